"""A model that is compared with another one: what is known of its tensors, and how it runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import NnefToolsError
from ..execution.executor import Executor, TensorInfo
from ..execution.feeds.inputs import tensor_info
from ..execution.kernels.loading import ModelWarning
from ..execution.runtimes import Functions, Model, kernel_backends, make_executor
from ..formats import NNEF, Format, InputShapes, check_dialect, detect_input, find_format, load, make_reader
from ..language.gc_pause import paused_collector
from ..model import Graph, Operation, Tensor
from ..model.copying import copy_graph
from ..model.facts import tensor_facts
from ..ops.inference import infer_graph
from ..report import size_on_disk
from .interface import Interface
from .quantization_tolerance import passed_steps
from .real_values import Codes, tensor_codes

SMALL = 1 << 26
"""The largest size of the files of a model, in bytes, that stays open."""

READER_OPTIONS = ("signature", "weights")


class ComparedModel:
    """One of two models. It runs in its own runtime; NNEF runs in kernels, since others would need its conversion.

    input_shapes: of inputs that the model leaves open. options: of the reader, None for those not given; the ones that
    the format does not have are left out.
    """

    def __init__(
        self,
        model: Model,
        format: str | None = None,
        *,
        input_shapes: InputShapes | None = None,
        custom_operators: Functions | None = None,
        **options: Any,
    ) -> None:
        self.model = model
        self.format = self._find_format(format)
        self.functions = custom_operators
        self._options = {
            key: value for key, value in options.items() if value is not None and key in self.format.reader_options
        }
        self.input_shapes = self.format.dialect.by_tensor_name(input_shapes or {})
        self.graph = model if isinstance(model, Graph) else self.read()

    def with_shapes(self, input_shapes: InputShapes) -> ComparedModel:
        """The model with other shapes of its inputs. Errors: those of the reader."""
        return ComparedModel(
            self.model,
            self.format.name,
            input_shapes=input_shapes,
            custom_operators=self.functions,
            **self._options,
        )

    def _find_format(self, name: str | None) -> Format:
        if isinstance(self.model, (str, PathLike)):
            return detect_input(Path(self.model), name)
        found = find_format(name or NNEF.name)
        if isinstance(self.model, Graph):
            check_dialect(self.model, found)
        return found

    def read(self) -> Graph:
        """A graph of its own, sorted; a Graph that is compared is copied. Errors: those of the reader."""
        if isinstance(self.model, Graph):
            return copy_graph(self.model)
        known = {key: value for key, value in self._options.items() if key in READER_OPTIONS}
        with paused_collector(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelWarning)
            graph = make_reader(self.format, **known)(str(self.model), self.input_shapes or None)
        graph.sort()
        return graph

    def open(self) -> Executor:
        """A new executor, in its first state. Errors: see `make_executor`."""
        backends = kernel_backends(self.format.name)
        more: dict[str, Any] = {"backend": backends[0], "custom_operators": self.functions} if backends else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelWarning)
            return make_executor(
                self.model,
                format=self.format.name,
                input_shapes=self.input_shapes or None,
                **self._options,
                **more,
            )

    @cached_property
    def is_small(self) -> bool:
        """Can it stay open while the other model runs?"""
        if isinstance(self.model, (str, PathLike)):
            return (size_on_disk((Path(self.model),)) or 0) <= SMALL
        return False

    @property
    def where(self) -> str:
        """The model, in messages."""
        return str(self.model) if isinstance(self.model, (str, PathLike)) else "the graph"

    @property
    def is_nnef(self) -> bool:
        """Is it NNEF?"""
        return self.format.dialect is NNEF.dialect

    @cached_property
    def interface(self) -> tuple[list[Tensor], list[Tensor]]:
        """The inputs and outputs that a run has: neither states nor inputs without items."""
        names = Interface.of(self.graph, self.graph.outputs)
        inputs = {port.name for port in (*names.inputs, *(port for port, _ in names.empty))}
        outputs = {port.name for port in names.outputs}
        return (
            [tensor for tensor in self.graph.inputs if tensor.name in inputs],
            [tensor for tensor in self.graph.outputs if tensor.name in outputs],
        )

    @property
    def inputs(self) -> list[TensorInfo]:
        """The inputs that a run needs."""
        return [tensor_info(tensor) for tensor in self.interface[0]]

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor, of all computed tensors, in the order of execution; inputs are among them."""
        found = {str(tensor.name): tensor for tensor in self.graph.inputs if tensor.name}
        inputs = set(self.graph.inputs)
        for op in self.graph.operations:
            if op.inputs or not inputs.isdisjoint(op.outputs):
                found.update({str(t.name): t for t in op.outputs if t.name})
        found.update({str(t.name): t for t in self.graph.outputs if t.name})
        return {name: tensor for name, tensor in found.items() if not tensor.is_constant}

    @cached_property
    def makers(self) -> dict[str, Operation]:
        """Tensor name -> operation that computes it."""
        return {str(t.name): op for op in self.graph.operations for t in op.outputs if t.name}

    @cached_property
    def codes(self) -> dict[str, Codes]:
        """Tensor name -> codes, of those that are quantized."""
        return tensor_codes(self.graph)

    @cached_property
    def steps(self) -> dict[str, float]:
        """Tensor name -> the largest step of codes on the way of its values, in an NNEF model."""
        found = passed_steps(self.graph) if self.is_nnef and self.codes else {}
        return {str(tensor.name): step for tensor, step in found.items() if step}

    @cached_property
    def sources(self) -> dict[str, str]:
        """Tensor name -> its name in the model that an NNEF model was made of, as far as the sidecar tells."""
        facts = tensor_facts(self.graph.metadata)
        return {name: fact["source"] for name, fact in facts.items() if fact.get("source")}

    @cached_property
    def as_nnef(self) -> tuple[Graph, Mapping[str, str]] | None:
        """The graph in NNEF, with its shapes as far as known, and tensor name -> name there; None if it has none."""
        if self.is_nnef:
            infer_graph(self.graph, allow_unknown=True)
            return self.graph, {name: name for name in self.tensors}
        name = self.format.dialect.to_nnef
        if name is None:
            return None
        converter = load(name, self.format)(keep_io_names=True, keep_names=True)
        try:
            with paused_collector():
                graph: Graph = converter(self.read())
        except NnefToolsError:
            return None
        graph.sort()
        infer_graph(graph, allow_unknown=True)
        return graph, converter.tensor_mapping()

    def operands(self, name: str) -> Sequence[str]:
        """The names of the computed tensors that the operation of a tensor uses."""
        op = self.makers.get(name)
        return [] if op is None else [str(t.name) for t in op.inputs if str(t.name) in self.tensors]
