"""Loops of TensorFlow 1 made functional: they become StatelessWhile.

A loop is a frame: Enter brings values in, Merge takes the value of Enter or that of the last round (NextIteration),
Switch leads it on to the body (1) or out to Exit (0), as LoopCond says. Frozen graphs have these also for loops that
TensorFlow 2 made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ....errors import FormatError
from .nodes import Body, Node, Ref

# What makes frames and branches: control inputs that name these themselves only order their parts.
_FRAME = ("Enter", "Exit", "Merge", "NextIteration", "LoopCond", "Switch", "_SwitchN")


@dataclass
class _Variable:
    """A variable of a loop; one that stays as it is (invariant) has an Enter only."""

    enter: Node
    merge: Node | None = None
    switch: Node | None = None
    next: Ref | None = None
    exits: list[Node] = field(default_factory=list)


@dataclass
class _Frame:
    name: str
    variables: list[_Variable]
    condition: Ref

    @property
    def ends(self) -> list[Ref]:
        """The values that an iteration computes."""
        return [self.condition, *(variable.next for variable in self.variables if variable.next is not None)]


def raise_loops(nodes: list[Node]) -> list[Node]:
    """The nodes with loops in functional form. Raises FormatError for incomplete ones.

    Loops get the attributes `cond` and `body`, each a Body whose arguments are the loop's variables and invariants.
    """
    by_name = {node.name: node for node in nodes}
    position = {node.name: k for k, node in enumerate(nodes)}
    consumers: dict[Ref, list[Node]] = {}
    for node in nodes:
        for ref in node.inputs:
            consumers.setdefault(ref, []).append(node)
    enters: dict[str, list[Node]] = {}
    for node in nodes:
        if node.op == "Enter":
            enters.setdefault(str(node.attribs.get("frame_name")), []).append(node)
    pending = [_frame(name, group, by_name, consumers) for name, group in enters.items()]
    removed: set[str] = set()
    owners = {end.name: frame for frame in pending for variable in frame.variables for end in variable.exits}
    while pending:
        inner = _innermost(pending[-1], owners, by_name)
        pending.remove(inner)
        loop = _loop_node(inner, by_name, position)
        by_name[loop.name] = loop
        position[loop.name] = len(position)
        for k, variable in enumerate(inner.variables):
            for end in variable.exits:
                end.op, end.inputs = "Identity", [(loop.name, k)]
            removed.update(node.name for node in (variable.enter, variable.merge, variable.switch) if node is not None)
    return _without_dependents(list(by_name.values()), removed)


def _frame(name: str, enters: list[Node], by_name: Mapping[str, Node], consumers: Mapping[Ref, list[Node]]) -> _Frame:
    variables = []
    conditions = set()
    for enter in enters:
        merge = next((node for node in consumers.get((enter.name, 0), ()) if node.op == "Merge"), None)
        if merge is None:
            variables.append(_Variable(enter))
            continue
        others = [by_name.get(ref[0]) for ref in merge.inputs if ref != (enter.name, 0)]
        following = others[0] if len(others) == 1 else None
        if following is None or following.op != "NextIteration" or not following.inputs:
            raise FormatError("the loop has no value for the next round", where=str(merge))
        variable = _Variable(enter, merge, next=following.inputs[0])
        switches = [node for node in consumers.get((merge.name, 0), ()) if _is_loop_switch(node, merge, by_name)]
        if len(switches) == 1:
            variable.switch = switches[0]
            variable.exits = [node for node in consumers.get((switches[0].name, 0), ()) if node.op == "Exit"]
            conditions.add(switches[0].inputs[1])
        variables.append(variable)
    if len(conditions) != 1:
        raise FormatError("the loop has no condition, or several", where=f"loop '{name}'")
    condition = by_name[conditions.pop()[0]]
    if not condition.inputs:
        raise FormatError("the condition of the loop has no input", where=str(condition))
    return _Frame(name, variables, condition.inputs[0])


def _is_loop_switch(node: Node, merge: Node, by_name: Mapping[str, Node]) -> bool:
    if node.op != "Switch" or len(node.inputs) != 2 or node.inputs[0] != (merge.name, 0):
        return False
    condition = by_name.get(node.inputs[1][0])
    return condition is not None and condition.op == "LoopCond"


def _innermost(frame: _Frame, owners: Mapping[str, _Frame], by_name: Mapping[str, Node]) -> _Frame:
    """The frame itself, or a frame nested in it that contains no others."""
    outer: list[str] = []
    while True:
        reached = _reached(frame.ends, _starts(frame, body=True), by_name)
        end = next((node for node in reached if node.op == "Exit"), None)
        if end is None:
            return frame
        outer.append(frame.name)
        if end.name not in owners or owners[end.name].name in outer:
            raise FormatError("the loops are nested in each other", where=f"loop '{frame.name}'")
        frame = owners[end.name]


def _starts(frame: _Frame, body: bool) -> dict[Ref, int]:
    """References through which the values of variables enter -> number of the variable."""
    starts: dict[Ref, int] = {}
    for k, variable in enumerate(frame.variables):
        starts[variable.enter.name, 0] = k
        if variable.merge is not None:
            starts[variable.merge.name, 0] = k
        if variable.switch is not None and body:
            starts[variable.switch.name, 1] = k
    return starts


def _reached(ends: Iterable[Ref], starts: Mapping[Ref, int], by_name: Mapping[str, Node]) -> list[Node]:
    """The nodes that compute the ends, from the starts, and those that they wait for, which tell what branch runs."""
    found: dict[str, Node] = {}
    pending = list(ends)
    while pending:
        ref = pending.pop()
        if ref not in starts and ref[0] not in found and ref[0] in by_name:
            node = found[ref[0]] = by_name[ref[0]]
            pending += node.inputs
            pending += [(name, 0) for name in node.control if name in by_name and by_name[name].op not in _FRAME]
    return list(found.values())


def _loop_node(frame: _Frame, by_name: Mapping[str, Node], position: Mapping[str, int]) -> Node:
    def body_of(ends: list[Ref], starts: Mapping[Ref, int]) -> Body:
        arguments = [(variable.enter.name, -1 - k) for k, variable in enumerate(frame.variables)]

        def inside(ref: Ref) -> Ref:
            return arguments[starts[ref]] if ref in starts else ref

        nodes = [
            Node(node.name, node.op, [inside(ref) for ref in node.inputs], list(node.control), node.attribs)
            for node in sorted(_reached(ends, starts, by_name), key=lambda node: position[node.name])
        ]
        attribs = [
            {"dtype": variable.enter.attribs.get("T"), "_output_shapes": variable.enter.attribs.get("_output_shapes")}
            for variable in frame.variables
        ]
        return Body(nodes, arguments, [inside(ref) for ref in ends], [], attribs)

    results = [variable.next if variable.next is not None else (variable.enter.name, 0) for variable in frame.variables]
    name = frame.name
    while name in by_name:
        name += "_"
    attribs: dict[str, Any] = {
        "T": [variable.enter.attribs.get("T") for variable in frame.variables],
        "cond": body_of([frame.condition], _starts(frame, body=False)),
        "body": body_of(results, _starts(frame, body=True)),
        "output_shapes": [],
        "parallel_iterations": 10,
    }
    for variable in frame.variables:
        if not variable.enter.inputs:
            raise FormatError("nothing enters the loop", where=str(variable.enter))
    return Node(name, "StatelessWhile", [variable.enter.inputs[0] for variable in frame.variables], [], attribs)


def _without_dependents(nodes: list[Node], removed: set[str]) -> list[Node]:
    """The nodes without the given ones, and without all that depends on these (which is the inside of loops)."""
    followers: dict[str, list[str]] = {}
    for node in nodes:
        for name in (*(ref[0] for ref in node.inputs), *node.control):
            followers.setdefault(name, []).append(node.name)
    pending = list(removed)
    found = set(removed)
    while pending:
        for name in followers.get(pending.pop(), ()):
            if name not in found:
                found.add(name)
                pending.append(name)
    return [node for node in nodes if node.name not in found]
