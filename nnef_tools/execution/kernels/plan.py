"""Plans and runs a Graph of the NNEF dialect, operation by operation, with given kernels.

A `Plan` resolves once what does not depend on the data: functions, attributes, constants, and the step after which each
intermediate value is not needed any more. Running it is then a plain loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ...errors import ExecutionError, NnefToolsError, PluginCodeError
from ...model import Graph, Operation, Tensor
from ...model.facts import Ties, ties_rule
from ...model.plugin_code import origin, own_lines, reason
from ...model.state import updates
from ...ops.bind import BoundCall, bind, python_name
from ...ops.inference import flat_results
from ...ops.library import Library
from ...ops.quantization import Quantization
from ..executor import Array, no_such_tensor

Operator = Callable[..., Any]

SOURCES = ("external", "variable", "constant")
"""Types of operations that compute nothing: a run begins with their results."""


class Kernels(Protocol):
    """The arrays and operators with which a plan runs."""

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    def operator(self, name: str) -> Operator | None:
        """The function of that operator (CUSTOM_OPERATORS protocol), or None."""

    def from_numpy(self, array: Array) -> Any: ...

    def constant(self, array: Array) -> Any:
        """The same for an array that nothing writes to, which may share its memory."""

    def to_numpy(self, value: Any) -> Array: ...

    def as_value(self, result: Any) -> Any:
        """The result of an operator as an array of these kernels; a numpy function may return a plain scalar."""

    def context(self) -> AbstractContextManager[Any]:
        """A context in which a model runs."""


@dataclass(slots=True)
class Step:
    """An operation. arguments: slot numbers, a tuple of them for an array argument. frees: slots not needed later."""

    type: str
    function: Operator
    arguments: tuple[int | tuple[int, ...], ...]
    attribs: Mapping[str, Any]
    outputs: tuple[int, ...]
    quantizers: tuple[Operator | None, ...]
    variables: tuple[int, ...]  # the slots that an `update` writes to after the run: all variables of one label
    quantize_variable: Operator | None
    frees: tuple[int, ...] = ()


class Plan:
    """The prepared run of a graph. Values are stored in numbered slots, one for each used tensor.

    Raises ExecutionError, listing all operators that the kernels lack, or if the graph is not sorted.
    """

    def __init__(self, graph: Graph, kernels: Kernels, custom_operators: Mapping[str, Operator] | None = None) -> None:
        if not graph.is_sorted():
            raise ExecutionError("the operations of the graph are not sorted", hint="call graph.sort() first")
        self.graph = graph
        self._kernels = kernels
        self._custom = custom_operators or {}
        self._library = Library.of(graph, foreign=self._custom)
        self._functions: dict[str | None, Operator | None] = {}
        self._slots: dict[Tensor, int] = {}
        self._ties = ties_rule(graph.metadata)
        self.inputs = [self._slot(tensor) for tensor in graph.inputs]
        self._check_operators()
        computed = [op for op in graph.operations if op.type not in SOURCES]
        self.constants: list[tuple[int, Tensor]] = list(self._find_constants())
        self._updates = updates(graph)
        self.steps = [self._prepare(op) for op in computed]
        self._release(self.steps)
        self.outputs = [self._slot(tensor) for tensor in graph.outputs]
        self.tensors: list[Tensor] = list(self._slots)
        self.names: list[str | None] = [tensor.name for tensor in self.tensors]
        self._by_name = {name: slot for slot, name in reversed(list(enumerate(self.names))) if name}
        self._input_quantizers = [quantizer(kernels, tensor, self._ties) for tensor in graph.inputs]

    @property
    def updated(self) -> set[int]:
        """The slots of variables that a run changes."""
        return {slot for step in self.steps for slot in step.variables}

    @property
    def tensor_names(self) -> list[str]:
        """The names of all tensors, inputs and variables included, in the order of the graph."""
        produced = (tensor for op in self.graph.operations for tensor in op.outputs)
        names = [tensor.name for tensor in (*self.graph.inputs, *produced) if tensor.name and tensor in self._slots]
        return list(dict.fromkeys(names))

    def find(self, name: str) -> int:
        """The slot of the tensor with that name. UsageError, with similar names, if there is none."""
        if name not in self._by_name:
            raise no_such_tensor(name, self.tensor_names)
        return self._by_name[name]

    def run(
        self,
        inputs: Sequence[Any],
        constants: Mapping[int, Any],
        wanted: Collection[int],
        observe: Callable[[str, Any], None] | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[dict[int, Any], dict[int, Any]]:
        """Runs all steps on arrays of the kernels.

        inputs: in graph order. constants: value by slot, for all of `self.constants`. wanted: slots to return.
        overrides: operator type -> attributes that replace those of the model. Returns wanted values by slot, and new
        values of updated variables by slot. ExecutionError if a step fails.
        """
        values: list[Any] = [None] * len(self.tensors)
        results: dict[int, Any] = {}
        changed: dict[int, Any] = {}

        def store(slot: int, value: Any) -> None:
            values[slot] = value
            if slot in wanted:
                results[slot] = value
            name = self.names[slot]
            if observe is not None and name:
                observe(name, value)

        for slot, value, quantize in zip(self.inputs, inputs, self._input_quantizers, strict=True):
            store(slot, quantize(value) if quantize else value)
        for slot, _ in self.constants:
            store(slot, constants[slot])
        for step in self.steps:
            outputs = self._execute(step, values, overrides)
            for slot, quantize, value in zip(step.outputs, step.quantizers, outputs, strict=False):
                store(slot, quantize(value) if quantize else value)
            for slot in step.variables:
                value, quantize = values[step.outputs[0]], step.quantize_variable
                changed[slot] = quantize(value) if quantize else value
            del outputs
            for slot in step.frees:
                values[slot] = None
        return results, changed

    def _execute(
        self, step: Step, values: list[Any], overrides: Mapping[str, Mapping[str, Any]] | None
    ) -> Sequence[Any]:
        arguments = [
            [values[slot] for slot in argument] if isinstance(argument, tuple) else values[argument]
            for argument in step.arguments
        ]
        attribs = step.attribs
        if overrides and step.type in overrides:
            attribs = {**attribs, **overrides[step.type]}
        try:
            result = step.function(*arguments, **attribs)
            outputs = list(flat_results(result))  # an array result is a list
            if len(outputs) < len(step.outputs):
                raise ExecutionError(f"it returned {len(outputs)} results where {len(step.outputs)} are needed")
            return [self._kernels.as_value(output) for output in outputs]
        except Exception as error:  # the function may raise anything
            raise self._failure(step, arguments, error) from error

    def _failure(self, step: Step, arguments: Sequence[Any], error: Exception) -> NnefToolsError:
        shapes = [
            [list(item.shape) for item in argument] if isinstance(argument, list) else list(argument.shape)
            for argument in arguments
        ]
        attribs = ", ".join(f"{name} = {value}" for name, value in step.attribs.items())
        details = [f"input shapes: {', '.join(map(str, shapes))}", *([f"attributes: {attribs}"] if attribs else [])]
        place = f"'{self.names[step.outputs[0]]}'" if step.outputs else None
        message, hint = f"operator '{step.type}' failed: {reason(error)}", None
        if isinstance(error, NnefToolsError):
            message, hint = f"operator '{step.type}' failed: {error.message}", error.hint
        if step.type in self._custom:
            where = origin(self._custom, step.type)
            return PluginCodeError(
                f"{place}: {message}" if where else message,
                [*own_lines(error, step.function), *details],
                where=where or place,
                hint=hint,
            )
        return ExecutionError(message, details, where=place, hint=hint)

    def _slot(self, tensor: Tensor) -> int:
        return self._slots.setdefault(tensor, len(self._slots))

    def _function(self, type: str | None) -> Operator | None:
        if type is None:
            return None
        if type not in self._functions:
            self._functions[type] = self._custom.get(type) or self._kernels.operator(type)
        return self._functions[type]

    def _check_operators(self) -> None:
        missing = Counter(
            str(op.type) for op in self.graph.operations if op.type not in SOURCES and self._function(op.type) is None
        )
        if missing:
            raise ExecutionError(
                f"backend '{self._kernels.name}' has no operator for {len(missing)} operation type(s) of the model",
                [f"{count} x {type}" for type, count in sorted(missing.items())],
                hint="give their functions with a plugin module (CUSTOM_OPERATORS)",
            )

    def _find_constants(self) -> Iterator[tuple[int, Tensor]]:
        """Variables, constants, and literals (tensors without a producer that are not graph inputs)."""
        inputs = set(self.graph.inputs)
        for op in self.graph.operations:
            tensors = op.outputs if op.type in ("variable", "constant") else op.inputs
            for tensor in tensors:
                known = tensor in self._slots
                slot = self._slot(tensor)
                if not known and tensor not in inputs and _is_constant(tensor):
                    yield slot, tensor
        for tensor in self.graph.outputs:
            if tensor not in self._slots and _is_constant(tensor):
                yield self._slot(tensor), tensor

    def _prepare(self, op: Operation) -> Step:
        function = self._function(op.type)
        assert function is not None and op.type is not None
        call = bind(op, self._library)
        return Step(
            type=op.type,
            function=function,
            arguments=tuple(
                [tuple(map(self._slot, x)) if isinstance(x, list) else self._slot(x) for x in call.arguments]
            ),
            attribs=self._attributes(op, call),
            outputs=tuple(self._slot(tensor) for tensor in op.outputs),
            quantizers=tuple(quantizer(self._kernels, tensor, self._ties) for tensor in op.outputs),
            variables=tuple(self._slot(tensor) for tensor, update in self._updates.items() if update is op),
            quantize_variable=quantizer(self._kernels, op.inputs[0], self._ties) if op.type == "update" else None,
        )

    def _attributes(self, op: Operation, call: BoundCall) -> dict[str, Any]:
        """The attributes as the function gets them. ExecutionError if one is missing, unless a plugin declares it."""
        if call.missing and op.type not in self._custom:
            raise ExecutionError(f"attribute '{call.missing[0]}' is missing", where=str(op))
        attribs = {python_name(name): value for name, value in call.attribs.items()}
        attribs |= {
            python_name(name): x for name, x in call.surplus.items() if x is not None or op.type in self._custom
        }
        if op.type == "cast" and "dtype" in op.attribs:
            attribs["dtype"] = op.attribs["dtype"]
        return attribs

    def _release(self, steps: list[Step]) -> None:
        """Notes with each step the values that no later step reads: liveness, from the last step to the first."""
        seen: set[int] = set()
        for step in reversed(steps):
            last = set(step.outputs)
            for argument in step.arguments:
                last.update(argument if isinstance(argument, tuple) else (argument,))
            last -= seen
            seen |= last
            step.frees = tuple(sorted(last))


def quantizer(kernels: Kernels, tensor: Tensor, ties: Ties) -> Operator | None:
    """A function that rounds values according to the quantization of the tensor; None if it has none.

    ties: the rule for values in the middle of two codes, for quantization by a zero point.
    Unsupported or FormatError for an unknown or malformed quantization.
    """
    quantization = Quantization.of(tensor.quant)
    if quantization is None:
        return None
    function = kernels.operator(quantization.definition.name)
    assert function is not None, quantization.definition.name
    parameters = [kernels.from_numpy(array) for array in quantization.tensors.values()]
    attribs = dict(quantization.attribs)
    if ties is not Ties.UP and quantization.definition.name == "zero_point_linear_quantize":
        attribs["ties"] = ties
    return partial(_quantize, function, parameters, attribs)


def _quantize(function: Operator, parameters: Sequence[Any], attribs: Mapping[str, Any], value: Any) -> Any:
    return function(value, *parameters, **attribs)


def _is_constant(tensor: Tensor) -> bool:
    producer = tensor.producer
    return producer is None or producer.type in ("variable", "constant")
