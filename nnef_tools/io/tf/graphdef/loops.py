"""Control flow of TensorFlow 1 made functional: loops become StatelessWhile, conditionals a selection.

A loop is a frame: Enter brings values in, Merge takes the value of Enter or that of the last round (NextIteration),
Switch leads it on to the body (1) or out to Exit (0), as LoopCond says. A conditional is Switch and Merge alone, or
_SwitchN and Merge for a choice by an index. Frozen graphs have these also for loops that TensorFlow 2 made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....errors import FormatError
from .nodes import Body, Node, Ref
from .resolve import FORWARDING

# Predicate (or index) -> the number of the branch in which a node runs.
_Context = dict[Ref, int]

_SWITCHES = ("Switch", "_SwitchN")
_MAX_BRANCHES = 4096


def raise_control_flow(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with loops and conditionals in functional form. Raises FormatError for incomplete ones.

    Loops get the attributes `cond` and `body`, each a Body whose arguments are the loop's variables and invariants.
    All branches of a conditional are computed; if its predicate is a constant, the other branches are left out. A
    choice by an index becomes a StatelessCase of the results of its branches.
    """
    result = list(nodes)
    if any(node.op == "Enter" for node in result):
        result = _raise_loops(result)
    if any(node.op in (*_SWITCHES, "Merge") for node in result):
        result = _raise_conditionals(result)
    return result


def inside_control_flow(nodes: Sequence[Node]) -> set[str]:
    """Names of the nodes whose results only control flow uses, and of those that pass on what comes out of it.

    When control flow is functional nothing uses these results any more, or never did (of the counter of a loop, say).
    """
    if not any(node.op in (*_SWITCHES, "Merge") for node in nodes):
        return set()
    found = {ref[0] for node in nodes for ref in node.inputs}
    found.update(node.name for node in nodes if node.op == "Exit")
    switches = {node.name for node in nodes if node.op in _SWITCHES}
    found.update(node.name for node in nodes if node.op == "Identity" and any(r[0] in switches for r in node.inputs))
    return found


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


def _raise_loops(nodes: list[Node]) -> list[Node]:
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
    """The nodes that compute the ends, from the starts."""
    found: dict[str, Node] = {}
    pending = list(ends)
    while pending:
        ref = pending.pop()
        if ref not in starts and ref[0] not in found and ref[0] in by_name:
            found[ref[0]] = by_name[ref[0]]
            pending += by_name[ref[0]].inputs
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


def _raise_conditionals(nodes: list[Node]) -> list[Node]:
    by_name = {node.name: node for node in nodes}
    replaced: dict[Ref, Ref] = {}
    contexts: dict[str, _Context] = {}
    counts: dict[Ref, int] = {}  # index -> number of branches
    result: list[Node] = []

    def final(ref: Ref) -> Ref:
        while ref in replaced:
            ref = replaced[ref]
        return ref

    def predicate(ref: Ref) -> Ref:
        """The reference of the predicate, behind nodes that only forward it."""
        ref = final(ref)
        while (node := by_name.get(ref[0])) is not None and node.op in FORWARDING and ref[1] < len(node.inputs):
            ref = final(node.inputs[ref[1]])
        return ref

    def context(name: str, index: int | None) -> _Context:
        node = by_name.get(name)
        found = contexts.get(name, {})
        if node is not None and node.op in _SWITCHES and index is not None and len(node.inputs) == 2:
            return {**found, predicate(node.inputs[1]): index}
        return found

    for node in _in_order(nodes):
        incoming = [context(*ref) for ref in node.inputs] + [context(name, None) for name in node.control]
        if node.op == "Merge":
            chosen, contexts[node.name] = _merged(node, incoming[: len(node.inputs)], counts, by_name)
            if isinstance(chosen, Node):
                result.append(chosen)
            else:
                replaced[node.name, 0] = chosen
            continue
        contexts[node.name] = {key: value for item in incoming for key, value in item.items()}
        if node.op in _SWITCHES:
            if len(node.inputs) != 2:
                raise FormatError(f"{node.op} needs two inputs", where=str(node))
            if node.op == "_SwitchN":
                counts[predicate(node.inputs[1])] = _branch_count(node)
            for k in range(2 if node.op == "Switch" else _branch_count(node)):
                replaced[node.name, k] = node.inputs[0]
        else:
            result.append(node)
    for node in result:
        if any(ref[1] == 1 and ref[0] in by_name and by_name[ref[0]].op == "Merge" for ref in node.inputs):
            raise FormatError("the number of the branch that was taken is used", where=str(node))
        node.inputs = [final(ref) for ref in node.inputs]
    return result


def _branch_count(node: Node) -> int:
    count = node.attribs.get("num_outs")
    if not isinstance(count, int) or not 1 <= count <= _MAX_BRANCHES:
        raise FormatError(f"num_outs = {count} is not a number of branches", where=str(node))
    return count


def _merged(
    node: Node, incoming: Sequence[_Context], counts: Mapping[Ref, int], by_name: Mapping[str, Node]
) -> tuple[Node | Ref, _Context]:
    """What Merge chooses: one of its inputs if the predicate is a constant, else a node; and the context of the result.

    incoming: of each input. counts: number of branches, for conditions that are an index.
    """
    shared = [key for key in (incoming[0] if incoming else ()) if all(key in context for context in incoming)]
    differing = [key for key in shared if len({context[key] for context in incoming}) == len(incoming) > 1]
    if not differing:
        raise FormatError("cannot tell which condition decides between the branches", where=str(node))
    condition = differing[-1]
    count = counts.get(condition, 2)
    branch = {context[condition]: ref for context, ref in zip(incoming, node.inputs, strict=True)}
    if set(branch) != set(range(count)):
        found = len(set(branch) & set(range(count)))
        raise FormatError(f"{found} of {count} branches have a result", where=str(node))
    common = {key: incoming[0][key] for key in shared if len({context[key] for context in incoming}) == 1}
    branches = [branch[k] for k in range(count)]
    known = _constant(by_name.get(condition[0]))
    if known is not None:
        return branches[_branch_of(known, count, condition in counts)], common
    select = _case(node, condition, branches) if condition in counts else _select(node, condition, branches)
    if node.attribs.get("_output_shapes"):
        select.attribs["_output_shapes"] = node.attribs["_output_shapes"][:1]
    return select, common


def _constant(node: Node | None) -> Any:
    """The item of a constant that has one, else None."""
    value = node.attribs.get("value") if node is not None and node.op == "Const" else None
    return value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else None


def _branch_of(value: Any, count: int, is_index: bool) -> int:
    """The branch that runs: the last one for any other index."""
    if not is_index:
        return int(bool(value))
    return int(value) if 0 <= value < count else count - 1


def _select(node: Node, condition: Ref, branches: list[Ref]) -> Node:
    on_false, on_true = branches
    return Node(node.name, "SelectV2", [condition, on_true, on_false], node.control, {"T": node.attribs.get("T")})


def _case(node: Node, index: Ref, branches: list[Ref]) -> Node:
    """A StatelessCase whose branches take the results of all branches and return one of them."""
    dtype = node.attribs.get("T")
    arguments = [(node.name, -1 - k) for k in range(len(branches))]
    attribs: dict[str, Any] = {
        "Tin": [dtype] * len(branches),
        "Tout": [dtype],
        "branches": [Body([], arguments, [argument], [], [{"dtype": dtype}] * len(branches)) for argument in arguments],
        "output_shapes": [],
    }
    return Node(node.name, "StatelessCase", [index, *branches], node.control, attribs)


def _in_order(nodes: list[Node]) -> list[Node]:
    """Each node after those that it depends on, by data or control."""
    by_name = {node.name: node for node in nodes}
    waiting: dict[str, int] = {}
    followers: dict[str, list[Node]] = {}
    for node in nodes:
        needs = {name for name in (*(ref[0] for ref in node.inputs), *node.control) if name in by_name}
        waiting[node.name] = len(needs)
        for name in needs:
            followers.setdefault(name, []).append(node)
    ready = deque(node for node in nodes if not waiting[node.name])
    result = []
    while ready:
        node = ready.popleft()
        result.append(node)
        for follower in followers.get(node.name, ()):
            waiting[follower.name] -= 1
            if not waiting[follower.name]:
                ready.append(follower)
    if len(result) < len(nodes):
        raise FormatError("the nodes depend on each other in a cycle")
    return result
