"""Checks that a graph is well formed, whatever its dialect. Used after each stage by `--debug`, and by the tests."""

from __future__ import annotations

from collections.abc import Set

from ..errors import FormatError
from .graph import Graph, Operation, Tensor


def verify(graph: Graph, *, unique_names: bool = True) -> None:
    """FormatError that lists all problems of the graph, if it has any."""
    problems = find_problems(graph, unique_names=unique_names)
    if problems:
        raise FormatError(f"graph '{graph.name}' is not well formed", problems)


def find_problems(graph: Graph, *, unique_names: bool = True) -> list[str]:
    """What is wrong with the graph, one sentence each: links, membership, producers, order, names of tensors."""
    return _problems(graph, frozenset(), frozenset(), unique_names)


def _problems(graph: Graph, outer: Set[Tensor], outer_names: Set[str], unique_names: bool) -> list[str]:
    own = frozenset(graph.tensors)
    problems = [
        *_link_problems(graph, own, outer),
        *_interface_problems(graph, own, outer),
        *(_name_problems(graph, outer_names) if unique_names else ()),
    ]
    if not graph.is_sorted():
        problems.append("operations are not in topological order")
    names = outer_names | {tensor.name for tensor in own if tensor.name}
    for operation in graph.operations:
        for key, value in operation.attribs.items():
            for nested in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(nested, Graph):
                    inner = _problems(nested, outer | own, names, unique_names)
                    problems += [f"{_describe(operation)}, graph '{key}': {problem}" for problem in inner]
    return problems


def _link_problems(graph: Graph, own: Set[Tensor], outer: Set[Tensor]) -> list[str]:
    problems = []
    for tensor in graph.tensors:
        if len(tensor.producers) > 1:
            problems.append(f"tensor '{tensor!r}' has {len(tensor.producers)} producers")
        if any(producer.graph is not graph for producer in tensor.producers):
            problems.append(f"tensor '{tensor!r}' is produced by an operation of another graph")
        if any(consumer.graph is None for consumer in tensor.consumers):
            problems.append(f"tensor '{tensor!r}' is used by a removed operation")
        # An ONNX graph stands for each omitted argument by one tensor with an empty name.
        if tensor.has_consumer and tensor.name != "" and not _has_value(tensor, graph):
            problems.append(f"tensor '{tensor!r}' is used but neither computed nor constant nor an input")
    for operation in graph.operations:
        if operation.graph is not graph:
            problems.append(f"{_describe(operation)} belongs to another graph")
        for tensor in operation.inputs:
            if tensor not in own and tensor not in outer:
                problems.append(f"{_describe(operation)} uses '{tensor!r}', which is not in the graph")
            if operation not in tensor._consumers:
                problems.append(f"{_describe(operation)} uses '{tensor!r}' but is not one of its consumers")
        for tensor in operation.outputs:
            if tensor not in own:
                problems.append(f"{_describe(operation)} gives '{tensor!r}', which is not in the graph")
            if operation not in tensor._producers:
                problems.append(f"{_describe(operation)} gives '{tensor!r}' but is not its producer")
    return problems


def _has_value(tensor: Tensor, graph: Graph) -> bool:
    return tensor.has_producer or tensor.is_constant or tensor in graph.inputs


def _interface_problems(graph: Graph, own: Set[Tensor], outer: Set[Tensor]) -> list[str]:
    problems = []
    for tensor in graph.inputs:
        if tensor not in own:
            problems.append(f"graph input '{tensor!r}' is not in the graph")
        if any(producer.inputs for producer in tensor.producers):
            problems.append(f"graph input '{tensor!r}' is computed")
    for tensor in graph.outputs:
        if tensor not in own and tensor not in outer:
            problems.append(f"graph output '{tensor!r}' is not in the graph")
        elif tensor not in outer and not _has_value(tensor, graph):
            problems.append(f"graph output '{tensor!r}' is neither computed nor constant nor an input")
    return problems


def _name_problems(graph: Graph, outer_names: Set[str]) -> list[str]:
    problems = []
    names = set(outer_names)
    for tensor in graph.tensors:
        if tensor.name:
            if tensor.name in names:
                problems.append(f"several tensors are named '{tensor.name}'")
            names.add(tensor.name)
    return problems


def _describe(operation: Operation) -> str:
    return f"{operation.type} '{operation.name}'" if operation.name else f"{operation.type} -> {operation.outputs!r}"
