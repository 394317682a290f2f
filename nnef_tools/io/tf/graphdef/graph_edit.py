"""Questions about and changes of TensorFlow's GraphDef messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ....errors import UsageError


def node_name(text: str) -> str:
    """The node that an entry of `node.input`, or the name of a tensor, refers to."""
    return text.removeprefix("^").partition(":")[0]


def data_inputs(node: Any) -> list[str]:
    """Names of the nodes that a node gets values from."""
    return [node_name(text) for text in node.input if not text.startswith("^")]


def control_names(node: Any) -> list[str]:
    """Names of the nodes that a node only waits for."""
    return [node_name(text) for text in node.input if text.startswith("^")]


def sinks(graph_def: Any) -> list[str]:
    """Names of the nodes that no other one refers to."""
    used = {node_name(text) for node in graph_def.node for text in node.input}
    return [node.name for node in graph_def.node if node.name not in used]


def reachable(graph_def: Any, names: Iterable[str]) -> Any:
    """A copy with only those nodes that the named ones need. UsageError if there is none of such a name."""
    nodes = {node.name: node for node in graph_def.node}
    found: set[str] = set()
    pending = list(names)
    for name in pending:
        if name not in nodes:
            raise UsageError(f"the graph has no node '{name}'")
    while pending:
        name = pending.pop()
        if name not in found and name in nodes:
            found.add(name)
            pending += [node_name(text) for text in nodes[name].input]
    return with_nodes(graph_def, (node for node in graph_def.node if node.name in found))


def with_nodes(graph_def: Any, nodes: Iterable[Any]) -> Any:
    """A GraphDef of other nodes, with the library and version of the given one."""
    result = type(graph_def)()
    result.node.extend(nodes)
    result.library.CopyFrom(graph_def.library)
    result.versions.CopyFrom(graph_def.versions)
    return result


def with_first(graph_def: Any, names: Iterable[str]) -> Any:
    """A copy in which the named nodes come first, in this order."""
    order = {name: k for k, name in enumerate(names)}
    return with_nodes(graph_def, sorted(graph_def.node, key=lambda node: order.get(node.name, len(order))))


def rename_nodes(graph_def: Any, names: Mapping[str, str]) -> None:
    """Renames nodes in place; other nodes that have one of the new names get a free one."""
    taken = {node.name for node in graph_def.node} | set(names.values())
    final = dict(names)
    for name in set(names.values()) - set(names):
        if any(node.name == name for node in graph_def.node):
            free, count = f"{name}_inner", 1
            while free in taken:
                free, count = f"{name}_inner_{count}", count + 1
            taken.add(free)
            final[name] = free
    for node in graph_def.node:
        node.name = final.get(node.name, node.name)
        for k, text in enumerate(node.input):
            name = node_name(text)
            if name in final:
                mark, _, index = text.partition(name)
                node.input[k] = f"{mark}{final[name]}{index}"
