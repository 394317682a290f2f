"""An NNEF model as a `torch.nn.Module`. Imports torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np
import torch

from ...errors import UsageError
from ...execution.kernels.constants import constant_data
from ...execution.kernels.loading import load_graph
from ...execution.kernels.plan import Plan
from ...execution.kernels.torch import TorchKernels, find_operator, tensor_from_numpy
from ...io.nnef import Writer
from ...model import Tensor
from ...model.state import updates
from ...model.widths import has_doubles

ActivationCallback = Callable[[str, torch.Tensor], None]
_ARCHIVE_SUFFIX = ".tgz"


class NNEFModule(torch.nn.Module):
    """Computes a model with gradients: variables are parameters `_nnef_<name>`, constants and literals are buffers.

    model: folder, .tgz archive, Graph in the NNEF dialect, or `nnef.Graph` (shapes are not inferred). decomposed:
    operations to run by their definitions. custom_operators: operation -> function of torch tensors.
    activation_callback: called with the name and value of each input, constant and result in a run.
    training_attributes: {operation type: {attribute: value}}, which replace those of the model while the module is in
    training mode.

    Items are float32 (float64 where the model is), int64 or bool. Float parameters are trainable. Quantized variables
    are dequantized at load, quantized activations are rounded as their quantization says. Variables of one label are
    one parameter. Raises NnefToolsError subclasses, which are ValueError, OSError or RuntimeError too.
    """

    def __init__(
        self,
        model: Any,
        decomposed: Collection[str] | None = None,
        custom_operators: Mapping[str, Callable[..., Any]] | None = None,
        activation_callback: ActivationCallback | None = None,
        training_attributes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        operators = dict(custom_operators or {})
        self._graph = load_graph(model, lambda name: operators.get(name) or find_operator(name), decomposed)
        self._operators = operators
        self._doubles = has_doubles(self._graph)
        self._training_attributes = training_attributes
        self._activation_callback = activation_callback
        self._plan: Plan | None = None
        self._entries: dict[Tensor, str] = {}
        self._add_constants()

    @property
    def activation_callback(self) -> ActivationCallback | None:
        """The function that is called with the name and value of each tensor; None for none."""
        return self._activation_callback

    @activation_callback.setter
    def activation_callback(self, callback: ActivationCallback | None) -> None:
        self._activation_callback = callback

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs in graph order for the inputs in graph order.

        AssertionError for a wrong number of inputs; ExecutionError for operations that fail or have no function.
        """
        plan = self._prepare()
        assert len(inputs) == len(plan.inputs), f"the model has {len(plan.inputs)} inputs, {len(inputs)} are given"
        parameters = {slot: self._value(tensor) for slot, tensor in plan.constants}
        # results may be views of a variable, and must keep its old value when it is updated
        constants = {slot: value.view_as(value) for slot, value in parameters.items()}
        overrides = self._training_attributes if self.training else None
        results, changed = plan.run(
            [self._as_input(*pair) for pair in zip(inputs, self._graph.inputs, strict=True)],
            constants,
            set(plan.outputs),
            self._activation_callback,
            overrides,
        )
        for slot, value in changed.items():
            parameters[slot].data = value.detach().clone()
        return tuple(results[slot] for slot in plan.outputs)

    def reset(self) -> None:
        """Gives the variables that a run changes the values that they were loaded with."""
        for tensor in updates(self._graph):
            parameter = self._value(tensor)
            parameter.data = self._constant(tensor).clone().to(parameter)

    def save_nnef(self, path: str | PathLike[str]) -> None:
        """Writes the model with the current values of its parameters to a folder, or to an archive if it ends in .tgz.

        Quantized variables are written as real values, along with their quantization.
        """
        target = fspath(path)
        variables = [(tensor, name) for tensor, name in self._entries.items() if _is_variable(tensor)]
        original = [(tensor, tensor.data) for tensor, _ in variables]
        try:
            for tensor, name in variables:
                tensor.data = getattr(self, name).detach().cpu().numpy()
            if target.endswith(_ARCHIVE_SUFFIX):
                Writer(compression=1)(self._graph, target[: -len(_ARCHIVE_SUFFIX)])
            else:
                Writer()(self._graph, target)
        finally:
            for tensor, data in original:
                tensor.data = data

    def _prepare(self) -> Plan:
        # Not at load: a model may be loaded, inspected and saved though some operation cannot be run.
        if self._plan is None:
            self._plan = Plan(self._graph, _ModuleKernels(self), self._operators)
        return self._plan

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None}  # the plan holds functions that cannot be pickled

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> NNEFModule:
        self._plan = None  # the plan holds quantization parameters on the former device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _as_input(self, value: torch.Tensor, tensor: Tensor) -> torch.Tensor:
        if value.dtype == torch.bool:
            return value
        if not value.is_floating_point():
            return value.to(torch.int64)
        if self._doubles:
            return value.to(torch.float64 if tensor.dtype is np.float64 else torch.float32)
        return value.to(self._float_type())

    def _float_type(self) -> torch.dtype:
        """float32, unless the module was converted by `double()` or the like."""
        floats = (item for item in (*self.parameters(), *self.buffers()) if item.is_floating_point())
        return next((item.dtype for item in floats), torch.float32)

    def _value(self, tensor: Tensor) -> Any:
        return getattr(self, self._entries[tensor])

    def _add_constants(self) -> None:
        labels: dict[Any, torch.nn.Parameter] = {}
        literals = 0
        for tensor in self._graph.tensors:
            producer = tensor.producer
            if producer is not None and producer.type not in ("variable", "constant"):
                continue
            if producer is None and (tensor.data is None or not tensor.has_consumer):
                continue
            if _is_variable(tensor):
                assert producer is not None
                label = producer.attribs.get("label", tensor.name)
                if label not in labels:
                    value = self._constant(tensor)
                    if not value.is_floating_point():
                        labels[label] = torch.nn.Parameter(value, requires_grad=False)
                    else:
                        labels[label] = torch.nn.Parameter(_writable(value))
                self.register_parameter(self._entry(tensor, tensor.name or ""), labels[label])
            else:
                name = tensor.name if producer is not None and tensor.name else f"${literals}"
                literals += name.startswith("$")
                self.register_buffer(self._entry(tensor, name), _writable(self._constant(tensor)))

    def _constant(self, tensor: Tensor) -> torch.Tensor:
        return tensor_from_numpy(constant_data(tensor), doubles=self._doubles)

    def _entry(self, tensor: Tensor, name: str) -> str:
        entry = "_nnef_" + re.sub(r"\.", "_", name)
        if entry in self._parameters or entry in self._buffers:
            raise UsageError(f"the model has two constants of the name '{name}'")
        self._entries[tensor] = entry
        return entry


class _ModuleKernels(TorchKernels):
    """The torch kernels, with quantization parameters on the device of the module's own parameters."""

    def __init__(self, module: NNEFModule) -> None:
        first = next((item for items in (module.parameters(), module.buffers()) for item in items), None)
        super().__init__(first.device if first is not None else None, doubles=module._doubles)


def _is_variable(tensor: Tensor) -> bool:
    producer = tensor.producer
    return producer is not None and producer.type == "variable"


def _writable(value: torch.Tensor) -> torch.Tensor:
    """A copy of an array for a parameter, since training must not write to the memory of the graph."""
    return value.clone()
