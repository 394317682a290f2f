"""Names and order of the nodes of an ONNX graph: everything defined once, before its use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from heapq import heapify, heappop, heappush

from ...errors import FormatError
from ..protobuf import Message


def normal_domain(domain: str) -> str:
    """The default domain has two spellings."""
    return "" if domain == "ai.onnx" else domain


def describe(node: Message) -> str:
    """How messages name a node."""
    return node_label(node["op_type"], node["name"], node["output"])


def node_label(op_type: str, name: str, outputs: Iterable[str]) -> str:
    """How messages name a node of that type and name, or else by its first result."""
    return f"{op_type or 'node'} '{name or next((output for output in outputs if output), '')}'"


def _subgraphs(node: Message) -> Iterator[Message]:
    """The graphs in the attributes of a node."""
    for attribute in node.get("attribute", ()):
        if "g" in attribute:
            yield attribute["g"]
        if "graphs" in attribute:
            yield from attribute["graphs"]


def _source_names(graph: Message) -> list[str]:
    """Names of inputs and initializers, an initializer that is an input too once. FormatError for duplicates."""
    names: dict[str, str] = {}
    inputs = [value["name"] for value in graph["input"]]
    initializers = [tensor["name"] for tensor in graph["initializer"]]
    initializers += [sparse_name(sparse) for sparse in graph["sparse_initializer"]]
    for kind, group in (("input", inputs), ("initializer", initializers)):
        for name in group:
            if not name:
                raise FormatError(f"graph '{graph['name']}' has an {kind} without a name")
            if names.get(name) == kind:
                raise FormatError(f"graph '{graph['name']}' has two {kind}s named '{name}'")
            names[name] = kind
    return list(names)


def sparse_name(sparse: Message) -> str:
    """The name of a sparse tensor: that of its values."""
    return str(sparse["values"]["name"]) if "values" in sparse else ""


def sort_graph(graph: Message, outer: tuple[Set[str], ...] = ()) -> set[str]:
    """Sorts the nodes of a graph, and of those nested in it, in place; the order is kept as far as possible.

    outer: the names of the enclosing graphs. Returns the ones of them that are used. Raises FormatError for a name that
    is defined twice in a graph or is used but not defined, for a node without a type, and for a cycle.
    """
    nodes: Sequence[Message] = graph["node"]
    defined = _defined(graph, nodes)
    captured: set[str] = set()
    uses: list[Iterable[str]] = []
    is_sorted = True
    for k, node in enumerate(nodes):
        used = node["input"]
        if "attribute" in node:
            inner = [sort_graph(nested, (*outer, defined.keys())) for nested in _subgraphs(node)]
            used = {*used, *(name for names in inner for name in names)} if inner else used
        uses.append(used)
        for name in used:
            producer = defined.get(name)
            if producer is None:
                captured |= _captured(used, defined, outer, describe(node))
            elif producer >= k:
                is_sorted = False
    outputs = [value["name"] for value in graph["output"]]
    captured |= _captured(outputs, defined, outer, f"outputs of graph '{graph['name']}'")
    if not is_sorted:
        _reorder(graph, [{k for name in used if (k := defined.get(name, -1)) >= 0} for used in uses])
    return captured


def _defined(graph: Message, nodes: Sequence[Message]) -> dict[str, int]:
    """Name -> the position of the node that defines it; -1 for inputs, initializers and the empty name."""
    defined = dict.fromkeys(_source_names(graph), -1)
    for k, node in enumerate(nodes):
        if not node.get("op_type"):
            raise FormatError("node without an operator type", where=describe(node))
        for name in node["output"]:
            if name in defined:
                raise FormatError(f"'{name}' is defined twice in graph '{graph['name']}'", where=describe(node))
            if name:
                defined[name] = k
    defined[""] = -1
    return defined


def _captured(used: Iterable[str], defined: dict[str, int], outer: tuple[Set[str], ...], where: str) -> set[str]:
    """The names that come from enclosing graphs."""
    names = {name for name in used if name not in defined}
    for name in sorted(names):
        if not any(name in scope for scope in outer):
            raise FormatError(f"'{name}' is used, but nothing defines it", where=where)
    return names


def _reorder(graph: Message, needs: list[set[int]]) -> None:
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
            f"the nodes of graph '{graph['name']}' depend on each other in a cycle", where=describe(graph["node"][k])
        )
    graph["node"] = [graph["node"][k] for k in order]
