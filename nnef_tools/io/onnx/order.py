"""Names and order of the nodes of an ONNX graph: everything defined once, before its use."""

from __future__ import annotations

from collections.abc import Iterator, Set
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ...errors import FormatError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def source_names(graph: GraphProto) -> list[str]:
    """Names of inputs and initializers, an initializer that is an input too once. FormatError for duplicates."""
    names: dict[str, str] = {}
    inputs = [value.name for value in graph.input]
    initializers = [tensor.name for tensor in graph.initializer]
    initializers += [sparse.values.name for sparse in graph.sparse_initializer]
    for kind, group in (("input", inputs), ("initializer", initializers)):
        for name in group:
            if not name:
                raise FormatError(f"graph '{graph.name}' has an {kind} without a name")
            if names.get(name) == kind:
                raise FormatError(f"graph '{graph.name}' has two {kind}s named '{name}'")
            names[name] = kind
    return list(names)


def describe(node: NodeProto) -> str:
    """How messages name a node."""
    name = node.name or next((output for output in node.output if output), "")
    return f"{node.op_type or 'node'} '{name}'"


def sort_graph(graph: GraphProto, outer: tuple[Set[str], ...] = ()) -> set[str]:
    """Sorts the nodes of a graph, and of those nested in it, in place; the order is kept as far as possible.

    outer: the names of the enclosing graphs. Returns the ones of them that are used. Raises FormatError for a name that
    is defined twice in a graph or is used but not defined, for a node without a type, and for a cycle.
    """
    defined = dict.fromkeys(source_names(graph), -1)
    for k, node in enumerate(graph.node):
        if not node.op_type:
            raise FormatError("node without an operator type", where=describe(node))
        for name in node.output:
            if name and name in defined:
                raise FormatError(f"'{name}' is defined twice in graph '{graph.name}'", where=describe(node))
            defined[name] = k
    defined.pop("", None)
    captured: set[str] = set()
    needs: list[set[int]] = []
    for node in graph.node:
        used = set(node.input)
        for nested in subgraphs(node):
            used |= sort_graph(nested, (*outer, defined.keys()))
        used.discard("")
        captured |= _undefined(used, defined, outer, describe(node))
        needs.append({defined[name] for name in used if defined.get(name, -1) >= 0})
    captured |= _undefined({value.name for value in graph.output}, defined, outer, f"outputs of graph '{graph.name}'")
    if any(max(need, default=-1) >= k for k, need in enumerate(needs)):
        _reorder(graph, needs)
    return captured


def _undefined(used: set[str], defined: dict[str, int], outer: tuple[Set[str], ...], where: str) -> set[str]:
    """The names that come from enclosing graphs."""
    names = {name for name in used if name not in defined}
    for name in sorted(names):
        if not any(name in scope for scope in outer):
            raise FormatError(f"'{name}' is used, but nothing defines it", where=where)
    return names


def _reorder(graph: GraphProto, needs: list[set[int]]) -> None:
    followers: list[list[int]] = [[] for _ in needs]
    for k, need in enumerate(needs):
        for other in need:
            followers[other].append(k)
    waiting = [len(need) for need in needs]
    ready = [k for k, count in enumerate(waiting) if count == 0]
    heapify(ready)
    order = []
    while ready:
        k = heappop(ready)
        order.append(k)
        for follower in followers[k]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heappush(ready, follower)
    if len(order) != len(needs):
        k = next(k for k, count in enumerate(waiting) if count)
        raise FormatError(
            f"the nodes of graph '{graph.name}' depend on each other in a cycle", where=describe(graph.node[k])
        )
    nodes = [graph.node[k] for k in order]
    copies = type(graph)()
    copies.node.extend(nodes)
    del graph.node[:]
    graph.node.extend(copies.node)
