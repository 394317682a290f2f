"""The opening of a model to look at: with extents for the inputs that leave them open, so that it can be counted."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from ..budget import Budget, Limits, current, within
from ..errors import ConversionError, FileError, FormatError, NnefToolsError, shape_hint
from ..formats import Format, InputShapes, detect_input
from ..model import Graph, Operation, Tensor
from ..model.dtypes import dtype_name
from ..model.facts import OPEN_EXTENTS, symbolic_extents
from ..model.graph import Shape
from ..pipeline.job import Log
from ..pipeline.stages import OpenModel, open_model
from ..plugins import Plugins
from .macs import Count, count_macs
from .memory import Peak, activation_peak, is_constant, size_of

NO_PLUGINS = Plugins()


@dataclass(frozen=True)
class Interface:
    """An input or output. shape: None for an unknown rank; an extent that the file leaves open is its name, or '?'.

    quantization: of its items, None if they are not codes.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None
    quantization: str | None = None

    @classmethod
    def of(cls, tensor: Tensor, graph: Graph) -> Interface:
        """Of an input or output of a graph that was read from a file."""
        name = tensor.name or ""
        names = symbolic_extents(graph.metadata).get(name, ())
        is_open = {k for k, extent in enumerate(tensor.shape or ()) if extent is None}
        is_open.update(graph.metadata.get(OPEN_EXTENTS, {}).get(name, ()))
        extents = [
            (str(names[k]) if k < len(names) and names[k] else "?") if k in is_open else extent or 0
            for k, extent in enumerate(tensor.shape or ())
        ]
        shape = None if tensor.shape is None else tuple(extents)
        return cls(name, dtype_name(tensor.dtype), shape, quantization_of(tensor))


@dataclass(frozen=True)
class SizedModel:
    """A model whose inputs have extents, as far as they are given or can be assumed.

    model: with these extents. inputs, outputs: as the file has them. assumed: input name -> the shape that it was given
    because only the batch is open. shapes: all that were given to inputs, these among them. budget: in which it is
    counted.
    """

    model: OpenModel
    path: Path
    inputs: tuple[Interface, ...]
    outputs: tuple[Interface, ...]
    assumed: Mapping[str, Shape]
    shapes: InputShapes
    plugins: Plugins
    budget: Budget

    @property
    def graph(self) -> Graph:
        """The graph, in the dialect of its format."""
        return self.model.graph

    @cached_property
    def _counted(self) -> Count | NnefToolsError:
        try:
            with within(self.budget):
                return count_macs(self.graph, self.model.format, self.plugins.shapes)
        except ConversionError as error:
            if any(tensor.volume is None for tensor in self.graph.inputs):
                error.message = "the inputs leave extents open, without which nothing can be counted"
                error.hint = shape_hint({str(t.name): t.shape for t in self.graph.inputs if t.volume is None})
            return error

    @property
    def count(self) -> Count:
        """The MACs. ConversionError if the inputs leave more than the batch open."""
        if isinstance(self._counted, NnefToolsError):
            raise self._counted
        return self._counted

    @property
    def problem(self) -> NnefToolsError | None:
        """Why the MACs cannot be counted at all; None if they can."""
        return self._counted if isinstance(self._counted, NnefToolsError) else None

    @cached_property
    def peak(self) -> Peak:
        """The peak of the activations."""
        return activation_peak(self.graph, {tensor: self.size_of(tensor) for tensor in self.graph.tensors})

    def shape_of(self, tensor: Tensor) -> Shape | None:
        """The shape of a tensor, also if only the conversion to NNEF finds it."""
        return tensor.shape if self.problem else self.count.shapes[tensor]

    def type_of(self, tensor: Tensor) -> Any:
        """The item type of a tensor, also if only the conversion to NNEF finds it."""
        return tensor.dtype if self.problem else self.count.types[tensor]

    def size_of(self, tensor: Tensor) -> int | None:
        """Bytes of a tensor; None if they are not known."""
        return size_of(self.shape_of(tensor), self.type_of(tensor))

    @property
    def operators(self) -> list[Operation]:
        """The operators that compute something, in the order of execution."""
        inputs = set(self.graph.inputs)
        return [
            op
            for op in self.graph.operations
            if op.inputs or not op.outputs or not all(is_constant(t, inputs) or t in inputs for t in op.outputs)
        ]


def as_it_is(model: OpenModel, path: Path) -> SizedModel:
    """An open model with the extents that it has."""
    inputs, outputs = _interfaces(model.graph)
    return SizedModel(model, path, inputs, outputs, {}, {}, NO_PLUGINS, current())


def _interfaces(graph: Graph) -> tuple[tuple[Interface, ...], tuple[Interface, ...]]:
    """The inputs and outputs of a graph."""
    inputs, outputs = (
        tuple(Interface.of(tensor, graph) for tensor in tensors) for tensors in (graph.inputs, graph.outputs)
    )
    return inputs, outputs


def open_sized(
    source: str | PathLike[str],
    *,
    format: str | None = None,
    input_shapes: InputShapes | None = None,
    signature: str | None = None,
    weights: str | PathLike[str] | None = None,
    plugins: Plugins = NO_PLUGINS,
    limits: Limits | None = None,
) -> SizedModel:
    """Opens a model to look at it; where only the first extent of inputs is open, it is taken as 1.

    An NNEF model may lack the files of its weights, or they may be damaged; a warning of the result tells that.

    See `pipeline.open_graph` for the parameters and errors.
    """
    path = Path(source)
    found = detect_input(path, format)
    shapes = dict(found.dialect.by_tensor_name(input_shapes or {}))

    def opened(shapes: InputShapes) -> OpenModel:
        return open_structure(path, found, shapes, {"signature": signature, "weights": weights}, plugins)

    with within(limits):
        model = opened(shapes)
        graph = model.graph
        inputs, outputs = _interfaces(graph)
        assumed = _with_batch_of_one(graph)
        if assumed:
            del model, graph
            gc.collect()  # two maps of a file would count as memory twice; graphs are circular
            try:
                model = opened({**shapes, **assumed})
            except NnefToolsError:  # the model cannot have a batch of 1
                model, assumed = opened(shapes), {}
        return SizedModel(model, path, inputs, outputs, assumed, {**shapes, **assumed}, plugins, current())


def open_structure(
    path: Path,
    format: Format,
    shapes: InputShapes,
    reader_options: Mapping[str, Any] | None = None,
    plugins: Plugins = NO_PLUGINS,
) -> OpenModel:
    """Opens a model, without weights if an NNEF model lacks their files or they are damaged; a warning tells that.

    shapes: for inputs that leave them open, by the names of tensors. reader_options: those that one format or another
    has. See `pipeline.open_graph` for the errors.
    """

    def opened(**options: bool) -> OpenModel:
        return open_model(path, format, shapes, None, None, {**(reader_options or {}), **options}, plugins, Log())

    try:
        return opened()
    except (FileError, FormatError) as error:
        if "load_variables" not in format.reader_options:
            raise
        model = opened(load_variables=False)  # raises another error if weights are not all it lacks
        return model._replace(warnings=(*model.warnings, f"without weights: {error.message}"))


def quantization_of(tensor: Tensor) -> str | None:
    """The quantization of a tensor in short: of its NNEF entry, or of a TFLite file. None if it is not quantized."""
    quant = tensor.quant or {}
    if "op-name" in quant:
        parts = [f"{key} = {value}" for key, value in quant.items() if key != "op-name" and _is_number(value)]
        return f"{quant['op-name']}({', '.join(parts)})"
    if quant.get("scale") is None:
        return None
    scale, zero_point = quant["scale"], quant.get("zero_point")
    return f"scale {scale:.6g}, zero point {zero_point or 0}" if _is_number(scale) else "by channel"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _with_batch_of_one(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Shapes for the inputs in which nothing but the first extent is open; none if other inputs leave more open."""
    found = {}
    for tensor in graph.inputs:
        if tensor.volume is not None:
            continue
        if not tensor.shape or None in tensor.shape[1:]:
            return {}
        found[str(tensor.name)] = (1, *(extent or 0 for extent in tensor.shape[1:]))
    return found
