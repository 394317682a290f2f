"""Control flow of TensorFlow 1 in GraphDef messages: what is in branches and loops, and which branches are taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .graph_edit import node_name, with_nodes

SWITCHES = ("Switch", "RefSwitch", "_SwitchN")
_MERGES = ("Merge", "RefMerge")
CONTROL_FLOW = (*SWITCHES, *_MERGES, "Enter", "RefEnter", "Exit", "RefExit", "NextIteration", "RefNextIteration",
                "LoopCond")  # fmt: skip
"""Operators whose results are not always there, or are others in each round."""


def dependent_on_control_flow(graph_def: Any) -> set[str]:
    """Names of the nodes that are computed only sometimes, or in each round of a loop, and of all that need them."""
    users = _users(graph_def)
    pending = [node.name for node in graph_def.node if node.op in CONTROL_FLOW]
    found = set(pending)
    while pending:
        new = [user.name for user in users.get(pending.pop(), ()) if user.name not in found]
        found.update(new)
        pending += new
    return found


def _users(graph_def: Any) -> dict[str, list[Any]]:
    """Name of a node -> those that need it or wait for it."""
    users: dict[str, list[Any]] = {}
    for node in graph_def.node:
        for name in dict.fromkeys(map(node_name, node.input)):
            users.setdefault(name, []).append(node)
    return users


def with_taken_branches(graph_def: Any, taken: Mapping[str, int]) -> Any:
    """A copy without the branches that are not taken. taken: name of a switch -> which of its results there is.

    Where a node asks which input a merge has chosen, nothing is left out.
    """
    nodes = {node.name: node for node in graph_def.node}
    if any(
        _index(text) == 1 and nodes[node_name(text)].op in _MERGES for node in nodes.values() for text in node.input
    ):
        return graph_def
    dead = _dead_nodes(graph_def, taken)
    result = []
    for node in graph_def.node:
        if node.name in dead or node.name in taken:
            continue
        copy = type(node)()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(_source(text, nodes, taken) for text in node.input)
        if node.op in _MERGES:
            copy = _without_merge(copy, [_is_dead(text, dead, taken) for text in node.input])
        result.append(copy)
    return with_nodes(graph_def, result)


def _dead_nodes(graph_def: Any, taken: Mapping[str, int]) -> set[str]:
    """Names of the nodes that are not computed: an input is not there or, for a merge, none is."""
    users = _users(graph_def)
    dead: set[str] = set()
    pending = list(taken)
    while pending:
        for node in users.get(pending.pop(), ()):
            states = [_is_dead(text, dead, taken) for text in node.input]
            if node.name not in dead and (all(states) if node.op in _MERGES else any(states)):
                dead.add(node.name)
                pending.append(node.name)
    return dead


def _is_dead(text: str, dead: Iterable[str], taken: Mapping[str, int]) -> bool:
    name = node_name(text)
    if name in dead:
        return True
    return name in taken and not text.startswith("^") and _index(text) != taken[name]


def _index(text: str) -> int:
    return int(text.partition(":")[2] or 0)


def _source(text: str, nodes: Mapping[str, Any], taken: Mapping[str, int]) -> str:
    """What an input is that may come from a switch."""
    mark = "^" if text.startswith("^") else ""
    while node_name(text) in taken:
        text = nodes[node_name(text)].input[0]
    return mark + (node_name(text) if mark else text)


def _without_merge(node: Any, dead: list[bool]) -> Any:
    """A merge without its dead inputs: a copy of the only one that is left."""
    alive = [text for text, is_dead in zip(node.input, dead, strict=True) if not is_dead]
    if len(alive) == len(node.input):
        return node
    data = [text for text in alive if not text.startswith("^")]
    del node.input[:]
    node.input.extend(alive)
    if len(data) == 1:
        node.op = "Identity"
        node.attr.pop("N", None)
        node.attr.pop("_output_shapes", None)
    else:
        node.attr["N"].i = len(data)
    return node
