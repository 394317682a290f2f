"""Conditionals of TensorFlow 1 made functional: they become StatelessIf and StatelessCase.

A conditional is Switch, which leads a value to one of two branches, and Merge, which takes the value of the branch that
ran; a choice by an index is _SwitchN and Merge. What runs only in a branch is told by data and control inputs that come
from a Switch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....dialects.tf.operators import find_operator
from ....errors import FormatError
from .loops import raise_loops
from .nodes import Body, Node, Ref, final_reference
from .resolve import FORWARDING

# Predicate (or index) -> the number of the branch in which a node runs; inner ones behind outer ones.
_Context = dict[Ref, int]

_SWITCHES = ("Switch", "_SwitchN")
_MAX_BRANCHES = 4096


def raise_control_flow(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with loops and conditionals in functional form. Raises FormatError for incomplete ones.

    See `raise_loops`. The branches of a conditional are Bodies with the same arguments: what they use from outside. If
    its predicate is a constant, the branch that runs takes its place.
    """
    result = list(nodes)
    if any(node.op == "Enter" for node in result):
        result = raise_loops(result)
    if any(node.op in (*_SWITCHES, "Merge") for node in result):
        result = _Conditionals(result).raised()
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
class _Group:
    """The Merges that one conditional decides.

    context: of the conditional itself. needs: groups that it depends on, a bit for each. branches: for each branch the
    results, one for each Merge.
    """

    node: Node
    condition: Ref
    context: _Context
    branches: list[list[Ref]]
    types: list[Any] = field(default_factory=list)
    needs: int = 0


class _Conditionals:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._by_name = {node.name: node for node in nodes}
        self._used: dict[str, set[int]] = {}  # node -> which of its results nodes take
        for name, index in (ref for node in nodes for ref in node.inputs):
            self._used.setdefault(name, set()).add(index)
        self._replaced: dict[Ref, Ref] = {}  # results of Switch, and of Merge that is decided -> what they stand for
        self._contexts: dict[str, _Context] = {}
        self._outer: dict[Ref, set[Ref]] = {}  # predicate -> those in whose branches it decides
        self._counts: dict[Ref, int] = {}  # index -> number of branches
        self._needs: dict[str, int] = {}  # node -> groups that it depends on, a bit for each
        self._groups: list[_Group] = []

    def raised(self) -> list[Node]:
        """The nodes, with a node for each conditional, and an Identity for each Merge."""
        result = [kept for node in _in_order(self._nodes) if (kept := self._visited(node)) is not None]
        for node in result:
            if any(index == 1 and self._is_merge(name) for name, index in node.inputs):
                raise FormatError("the number of the branch that was taken is used", where=str(node))
            node.inputs = [self._final(ref) for ref in node.inputs]
        by_name = {node.name: node for node in (*result, *(group.node for group in self._groups))}
        for group in sorted(self._groups, key=lambda group: len(group.context), reverse=True):  # inner ones first
            self._cut(group, by_name)
        return [*result, *(group.node for group in self._groups)]

    def _is_merge(self, name: str) -> bool:
        return name in self._by_name and self._by_name[name].op == "Merge"

    def _final(self, ref: Ref) -> Ref:
        return final_reference(ref, self._replaced)

    def _predicate(self, ref: Ref) -> Ref:
        """The reference of the predicate, behind nodes that only forward it."""
        ref = self._final(ref)
        while (node := self._by_name.get(ref[0])) is not None and node.op in FORWARDING and ref[1] < len(node.inputs):
            ref = self._final(node.inputs[ref[1]])
        return ref

    def _context(self, name: str, index: int | None) -> _Context:
        """In which branches a result is there, or any result of a node (index = None)."""
        node, found = self._by_name.get(name), self._contexts.get(name, {})
        if node is not None and node.op in _SWITCHES and index is not None and len(node.inputs) == 2:
            return {**found, self._predicate(node.inputs[1]): index}
        return found

    def _visited(self, node: Node) -> Node | None:
        """The node in its place, None for Switch; notes in which branches it runs."""
        incoming = [self._context(*ref) for ref in node.inputs] + [self._context(name, None) for name in node.control]
        needs = 0
        for name in (*(ref[0] for ref in node.inputs), *node.control):
            needs |= self._needs.get(name, 0)
        self._needs[node.name] = needs
        if node.op == "Merge":
            return self._merged(node, incoming[: len(node.inputs)])
        context = {key: value for item in incoming for key, value in item.items()}
        self._contexts[node.name] = context
        if node.op not in _SWITCHES:
            return node
        if len(node.inputs) != 2:
            raise FormatError(f"{node.op} needs two inputs", where=str(node))
        predicate = self._predicate(node.inputs[1])
        self._outer.setdefault(predicate, set()).update(key for key in context if key != predicate)
        count = 2
        if node.op == "_SwitchN":
            count = self._counts[predicate] = _branch_count(node)
        used = self._used.get(node.name, ())
        self._replaced.update({(node.name, k): node.inputs[0] for k in used if 0 <= k < count})
        return None

    def _merged(self, node: Node, incoming: Sequence[_Context]) -> Node | None:
        """A node that passes on what a conditional gives; None if a constant decides. incoming: of each input."""
        condition = self._condition(incoming)
        if condition is None:
            raise FormatError("cannot tell which condition decides between the branches", where=str(node))
        count = self._counts.get(condition, 2)
        branch = _branches(condition, incoming, node.inputs, count)
        if set(branch) != set(range(count)):
            found = len(set(branch) & set(range(count)))
            raise FormatError(f"{found} of {count} branches have a result", where=str(node))
        context = {key: value for item in incoming for key, value in item.items() if key != condition}
        self._contexts[node.name] = context
        known = _constant(self._by_name.get(condition[0]))
        if known is not None:
            self._replaced[node.name, 0] = branch[_branch_of(known, count, condition in self._counts)]
            return None
        group = self._group(node, condition, context, count)
        for results, k in zip(group.branches, range(count), strict=True):
            results.append(branch[k])
        group.types.append(node.attribs.get("T"))
        shapes = node.attribs.get("_output_shapes")
        attribs = {"T": node.attribs.get("T"), **({"_output_shapes": shapes[:1]} if shapes else {})}
        return Node(node.name, "Identity", [(group.node.name, len(group.types) - 1)], node.control, attribs)

    def _condition(self, incoming: Sequence[_Context]) -> Ref | None:
        """The innermost condition that tells the inputs of a Merge apart. One of them may be a constant without any."""
        bound = [context for context in incoming if context]
        if len(bound) + 1 < len(incoming) or not bound:
            return None
        shared = [key for key in bound[0] if all(key in context for context in bound)]
        differing = [key for key in shared if len({context[key] for context in bound}) == len(bound)]
        return max(differing, key=lambda key: len(self._outer.get(key, ())), default=None)

    def _group(self, node: Node, condition: Ref, context: _Context, count: int) -> _Group:
        """The conditional of a Merge: one of the same condition that does not depend on it, or a new one."""
        needs = self._needs[node.name] | self._needs.get(condition[0], 0)
        all_needs = self._all_needs(needs)
        for k, group in enumerate(self._groups):
            if not all_needs >> k & 1 and group.condition == condition and group.context == context:
                break
        else:
            k = len(self._groups)
            name = f"{node.name}/branches"
            while name in self._by_name:
                name += "_"
            group = _Group(Node(name, "StatelessIf", [], [], {}), condition, context, [[] for _ in range(count)])
            self._groups.append(group)
            self._contexts[name] = context
        group.needs |= needs
        self._needs[node.name] = needs | 1 << k
        return group

    def _all_needs(self, needs: int) -> int:
        """Groups that these depend on, too."""
        while True:
            wider = needs
            for k, group in enumerate(self._groups):
                if needs >> k & 1:
                    wider |= group.needs
            if wider == needs:
                return needs
            needs = wider

    def _cut(self, group: _Group, by_name: Mapping[str, Node]) -> None:
        """Makes the bodies of a conditional: what its branches need and that runs in them only."""
        ends = [[self._final(ref) for ref in results] for results in group.branches]
        parts = [self._part(results, group.condition, k, by_name) for k, results in enumerate(ends)]
        captured = list(dict.fromkeys(ref for _, outside in parts for ref in outside))
        name = group.node.name
        arguments = {ref: (name, -1 - k) for k, ref in enumerate(captured)}
        types = [_type_of(ref, by_name) for ref in captured]
        bodies = [
            Body(
                [
                    Node(n.name, n.op, [arguments.get(ref, ref) for ref in n.inputs], list(n.control), n.attribs)
                    for n in nodes
                ],
                list(arguments.values()),
                [arguments.get(ref, ref) for ref in results],
                [],
                [{"dtype": dtype} for dtype in types],
            )
            for (nodes, _), results in zip(parts, ends, strict=True)
        ]
        group.node.inputs = [self._final(group.condition), *captured]
        told = {} if None in types else {"Tin": types}
        shared = {**told, "Tout": list(group.types), "output_shapes": []}
        if group.condition in self._counts:
            group.node.op = "StatelessCase"
            group.node.attribs = {**shared, "branches": bodies}
        else:
            group.node.attribs = {"Tcond": np.bool_, **shared, "else_branch": bodies[0], "then_branch": bodies[1]}

    def _part(
        self, ends: Iterable[Ref], condition: Ref, branch: int, by_name: Mapping[str, Node]
    ) -> tuple[list[Node], list[Ref]]:
        """The nodes that compute the ends in a branch, and what these use from outside."""
        nodes: dict[str, Node] = {}
        captured: dict[Ref, None] = {}
        pending = list(ends)
        while pending:
            ref = pending.pop()
            node = by_name.get(ref[0])
            if node is None or self._contexts.get(ref[0], {}).get(condition) != branch:
                captured[ref] = None
            elif node.name not in nodes:
                nodes[node.name] = node
                pending += node.inputs
        return list(nodes.values()), list(captured)


def _branches(condition: Ref, incoming: Sequence[_Context], refs: Sequence[Ref], count: int) -> dict[int, Ref]:
    """Branch -> its result; an input of which no branch is known is that of the branch that is left."""
    branch = {context[condition]: ref for context, ref in zip(incoming, refs, strict=True) if context}
    left = [k for k in range(count) if k not in branch]
    branch.update(zip(left, (ref for context, ref in zip(incoming, refs, strict=True) if not context), strict=False))
    return branch


def _type_of(ref: Ref, by_name: Mapping[str, Node]) -> Any:
    """The item type of a result, None if it is not told."""
    node = by_name.get(ref[0])
    operator = find_operator(node.op) if node is not None else None
    if node is None or operator is None:
        return None
    types = operator.output_types(operator.with_defaults(node.attribs))
    return types[ref[1]] if 0 <= ref[1] < len(types) else None


def _branch_count(node: Node) -> int:
    count = node.attribs.get("num_outs")
    if not isinstance(count, int) or not 1 <= count <= _MAX_BRANCHES:
        raise FormatError(f"num_outs = {count} is not a number of branches", where=str(node))
    return count


def _constant(node: Node | None) -> Any:
    """The item of a constant that has one, else None."""
    value = node.attribs.get("value") if node is not None and node.op == "Const" else None
    return value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else None


def _branch_of(value: Any, count: int, is_index: bool) -> int:
    """The branch that runs: the last one for any other index."""
    if not is_index:
        return int(bool(value))
    return int(value) if 0 <= value < count else count - 1


def _in_order(nodes: Sequence[Node]) -> list[Node]:
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
