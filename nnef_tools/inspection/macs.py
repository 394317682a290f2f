"""The multiply-accumulate operations of a model, by one definition for all formats (docs/reference/macs.md).

The rules are those of NNEF's operations (`ops/`). An operator of another format counts as what a conversion makes of
it; that conversion is not finished, and copies no weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from ..conversion.engine.refusal import first_result
from ..conversion.engine.trial import Trial, try_conversion
from ..errors import NnefToolsError
from ..formats import NNEF, Format, load
from ..language.gc_pause import paused_collector
from ..model import Graph, Operation, Tensor
from ..model.graph import Shape
from ..ops.bind import bind
from ..ops.decomposition import decompose_operations
from ..ops.inference import ShapeFunctions
from ..ops.library import Library

GROUPS = ("pooling", "upsampling", "normalization", "reduction")
"""The operations that are counted on request only."""

NO_RULE = "there is no rule for its MACs"
OPEN = "its shapes are not known; --custom-shapes gives those of custom operators"


@dataclass(frozen=True)
class Macs:
    """The MACs of an operator. optional: group -> MACs that are counted on request.

    reason: why the operator, or a part of it, could not be counted; empty if it was.
    """

    count: int = 0
    optional: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""

    def total(self, groups: Iterable[str] = ()) -> int:
        """With those of the given groups."""
        return self.count + sum(self.optional.get(group, 0) for group in groups)


@dataclass(frozen=True)
class Uncounted:
    """The operators of one type whose MACs are not counted. reason: that of the first of them, if they differ."""

    type: str
    reason: str
    count: int


@dataclass(frozen=True)
class Count:
    """The MACs of all operators of a graph. shapes, types: of its tensors, also those that the file leaves out."""

    macs: Mapping[Operation, Macs]
    shapes: Mapping[Tensor, Shape | None]
    types: Mapping[Tensor, type | None]

    def total(self, groups: Sequence[str] = ()) -> int:
        """The sum over all operators that were counted."""
        return sum(item.total(groups) for item in self.macs.values())

    @property
    def uncounted(self) -> list[Uncounted]:
        """The operators that were not counted, by type."""
        found: dict[str, list[str]] = {}
        for op, item in self.macs.items():
            if item.reason:
                found.setdefault(str(op.type), []).append(item.reason)
        return [Uncounted(type, _joined(reasons), len(reasons)) for type, reasons in sorted(found.items())]


def count_macs(graph: Graph, format: Format, custom_shapes: ShapeFunctions | None = None) -> Count:
    """Counts the MACs of a graph that was read from a file of the format.

    custom_shapes: shape functions of operations that are not known here. ConversionError if the graph has inputs of
    open shape; PluginError.
    """
    functions = custom_shapes or {}
    if format.dialect is NNEF.dialect:
        library = Library.of(graph)
        macs = {op: _of_operations([op], library, functions) for op in graph.operations}
        return Count(macs, {t: t.shape for t in graph.tensors}, {t: t.dtype for t in graph.tensors})
    name = format.dialect.to_nnef
    assert name is not None, f"{format.title} cannot be read"
    converter = load(name, format)(mirror_unsupported=bool(functions), custom_shapes=functions)
    with paused_collector():
        trial = try_conversion(converter, graph)
    return Count(
        {op: _of_operator(op, trial, functions) for op in graph.operations},
        {t: t.shape if _is_known(t.shape) else trial.shapes.get(t.name or "", t.shape) for t in graph.tensors},
        {t: t.dtype or trial.types.get(t.name or "") for t in graph.tensors},
    )


def _joined(reasons: Sequence[str]) -> str:
    others = len(set(reasons)) - 1
    return reasons[0] + (f"; {others} further reason(s)" if others else "")


def all_items(graph: Graph, count: Count) -> int:
    """The number of items of all tensors with a name, weights among them, as far as their shapes are known."""
    shapes = [count.shapes.get(tensor, tensor.shape) for tensor in graph.tensors if tensor.name]
    return sum(prod(extent or 0 for extent in shape) for shape in shapes if shape is not None)


def _of_operator(op: Operation, trial: Trial, functions: ShapeFunctions) -> Macs:
    """The MACs of an operator of another dialect."""
    reason = trial.reasons.get(first_result(op))
    if reason is not None:
        return Macs(reason=reason)
    return _of_operations(trial.made.get(first_result(op), ()), Library(), functions)


def _of_operations(operations: Sequence[Operation], library: Library, functions: ShapeFunctions) -> Macs:
    """The sum over NNEF operations."""
    count, optional, reason = 0, Counter[str](), ""
    for op in operations:
        part = _of_operation(op, library, functions)
        count += part.count
        optional.update(part.optional)
        reason = reason or part.reason
    return Macs(count, dict(optional), reason)


def _of_operation(op: Operation, library: Library, functions: ShapeFunctions) -> Macs:
    definition = library.find(op.type)
    if definition is None:
        return _of_body(op, library, functions)
    if definition.macs is None:
        return Macs()
    if not all(_is_known(tensor.shape) for tensor in (*op.inputs, *op.outputs)):
        return Macs(reason=OPEN)
    arguments = bind(op, library).arguments
    inputs = [[t.shape for t in item] if isinstance(item, list) else item.shape for item in arguments]
    count = definition.macs(inputs, [tensor.shape for tensor in op.outputs], definition.complete(op.attribs))
    return Macs(optional={definition.macs_group: count}) if definition.macs_group else Macs(count)


def _of_body(op: Operation, library: Library, functions: ShapeFunctions) -> Macs:
    """The MACs of an operation without a rule: those of its body, if it has one."""
    names = [name for name in library.compounds if library.find(name) is None]
    if op.type not in names:
        return Macs(reason=NO_RULE)
    alone = _alone(op)
    try:
        decompose_operations(alone, names, library, functions)
    except NnefToolsError as error:
        return Macs(reason=error.message)
    parts = [part for part in alone.operations if part.type != op.type]
    return _of_operations(parts, library, functions) if parts else Macs(reason=NO_RULE)


def _alone(op: Operation) -> Graph:
    """A graph with a copy of the operation, and nothing else."""
    graph = Graph(str(op.type))
    copies = {t: Tensor(graph, t.name, t.shape, t.dtype, t.data) for t in dict.fromkeys((*op.inputs, *op.outputs))}
    graph.inputs = [copies[tensor] for tensor in dict.fromkeys(op.inputs) if tensor.name]
    graph.outputs = [copies[tensor] for tensor in op.outputs]
    inputs, outputs = [copies[t] for t in op.inputs], [copies[t] for t in op.outputs]
    Operation(
        graph,
        type=op.type,
        attribs=dict(op.attribs),
        inputs=tuple(inputs) if isinstance(op.inputs, tuple) else inputs,
        outputs=tuple(outputs) if isinstance(op.outputs, tuple) else outputs,
    )
    return graph


def _is_known(shape: Shape | None) -> bool:
    return shape is not None and None not in shape
