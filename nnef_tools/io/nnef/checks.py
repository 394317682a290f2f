"""Checks that a graph can be written as NNEF text."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import FormatError
from ...language.lexer import is_identifier
from ...model import Graph, Tensor


def check_writable(graph: Graph) -> None:
    """FormatError that lists everything that keeps the graph from being written as NNEF.

    Operations have to be in order, their types and results to be identifiers, the results of unique names; each graph
    input is the result of an operation without inputs, with a shape; other tensors without producer are scalars.
    """
    problems = [*_interface_problems(graph), *_operation_problems(graph)]
    if problems:
        raise FormatError(f"graph '{graph.name}' cannot be written as NNEF", problems)


def _interface_problems(graph: Graph) -> Iterator[str]:
    if not graph.inputs or not graph.outputs:
        yield "a graph needs at least one input and one output"
    for tensor in graph.inputs:
        producers = tensor.producers
        if len(producers) != 1 or producers[0].inputs:
            yield f"graph input '{tensor!r}' is not the result of an 'external' operation"
        elif producers[0].type == "external":
            shape = producers[0].attribs.get("shape")
            if not isinstance(shape, (list, tuple)) or not all(_is_extent(extent) for extent in shape):
                yield f"the shape of graph input '{tensor!r}' is not known: {shape!r}"
        if tensor in graph.outputs:
            yield f"'{tensor!r}' is both an input and an output, which needs a 'copy'"
    for tensor in graph.outputs:
        if not tensor.has_producer:
            yield f"graph output '{tensor!r}' is not the result of an operation"
    for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        if len({id(tensor) for tensor in tensors}) != len(tensors):
            yield f"a tensor is a graph {kind} twice"


def _is_extent(extent: object) -> bool:
    return isinstance(extent, str) or (isinstance(extent, int) and extent > 0)  # str: the name of a symbol


def _operation_problems(graph: Graph) -> Iterator[str]:
    if not graph.is_sorted():
        yield "operations are not in topological order"
    owners: dict[str, Tensor] = {}
    for op in graph.operations:
        if not is_identifier(op.type or ""):
            yield f"operation type '{op.type}' is not an identifier"
        for tensor in op.outputs:
            if not is_identifier(tensor.name or ""):
                yield f"the name '{tensor.name}' of a result of '{op.type}' is not an identifier"
            elif owners.setdefault(str(tensor.name), tensor) is not tensor:
                yield f"several tensors are named '{tensor.name}'"
            if len(tensor.producers) > 1:
                yield f"tensor '{tensor.name}' has {len(tensor.producers)} producers"
        for tensor in op.inputs:
            if not tensor.has_producer and tensor.data is None:
                yield f"'{tensor!r}', an input of '{op.type}', is neither computed nor constant"
