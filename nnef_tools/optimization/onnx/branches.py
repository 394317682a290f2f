"""Moves operators of an ONNX graph that only one value of a condition needs to a branch of an `If`.

NNEF computes both operands of a `select`, and so does ONNX's `Where`. If the condition is a single item, it decides for
whole tensors, and `If` computes only one of them, as did the model that NNEF was made from.

Every operator is placed in the innermost branch that contains all of its uses. Results of the graph are used outside of
all branches, the second operand of a `Where` in the one branch of its condition, the third in the other. Operators are
visited after their users, and all `Where` of one condition together, so that they become one `If`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from ...language.names import FreshNames
from ...model import Graph, Operation, Tensor
from ...model.utils import place_operations
from ..unused import remove_unused_tensors

MIN_BRANCH_ITEMS = 4096
"""The number of items that a branch must compute, so that skipping it saves more than the 2 microseconds of an If."""

HEAVY = frozenset({"Conv", "ConvTranspose", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})
"""Operators that are worth skipping for any number of items, since each item takes more than one step."""

_FREE = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze"})  # nothing is computed

DEPTH = 16
"""The largest depth of nested branches. Each takes three levels of messages in a file, of which parsers accept 100."""


@dataclass(eq=False)
class Branch:
    """A place for operators: one side of a choice, or the graph outside of all choices.

    work: the approximate number of items that are computed there. graph: holds the operators, if it becomes a branch.
    """

    choice: Choice | None
    depth: int
    work: int = 0
    graph: Graph | None = None

    @property
    def outer(self) -> Branch:
        """The branch around it; itself for the graph outside of all choices."""
        return self if self.choice is None else self.choice.outside

    @property
    def actual(self) -> Branch:
        """The branch, or the innermost one around it, whose choice becomes an If and does not stay a Where."""
        branch = self
        while branch.choice is not None and not branch.choice.pays:
            branch = branch.outer
        return branch


@dataclass(eq=False)
class Choice:
    """Selections by one condition that are used in the same place."""

    condition: Tensor
    outside: Branch
    selections: list[Operation]
    sides: tuple[Branch, Branch] = field(init=False)

    def __post_init__(self) -> None:
        self.sides = (Branch(self, self.outside.depth + 1), Branch(self, self.outside.depth + 1))

    @property
    def pays(self) -> bool:
        """Is there enough work to skip?"""
        return any(side.work >= MIN_BRANCH_ITEMS for side in self.sides)


def restore_branches(graph: Graph) -> int:
    """Replaces Where by If with the operators that only one side needs, in place, if it pays. Returns the count.

    The graph must be sorted and its tensors named: results keep their names, and stay where the results of the graph or
    operators outside need them. Branches take what they need from outside directly from the outer graph's tensors.
    """
    conditions = {op: c for op in graph.operations if op.type == "Where" and (c := _condition(op)) is not None}
    if not conditions:
        return 0
    places = _Places(graph, conditions)
    chosen = [choice for choice in places.choices if choice.pays]
    if chosen:
        _Builder(graph, places.of).build(chosen)
    return len(chosen)


def _condition(op: Operation) -> Tensor | None:
    """The single item by which a Where selects a whole tensor, before reshapes of it; None if there is none."""
    if op.domain or any(t.shape is None for t in (*op.inputs, *op.outputs)):
        return None
    condition, *values = op.inputs
    if condition.volume != 1 or not all(_fits(value, op.output) for value in values):
        return None
    while (producer := condition.producer) is not None and producer.type in _FREE and not producer.domain:
        condition = producer.inputs[0]
    return condition if condition.data is None else None


def _fits(value: Tensor, result: Tensor) -> bool:
    """Does the operand have the whole shape of the result? Constants may lack leading axes of extent 1."""
    return value.shape == result.shape or (value.data is not None and value.volume == result.volume)


class _Places:
    """The places of operators. of: operator -> branch, outside if it is missing. choices: outer ones first."""

    def __init__(self, graph: Graph, conditions: Mapping[Operation, Tensor]) -> None:
        self.of: dict[Operation, Branch] = {}
        self.choices: list[Choice] = []
        self._outside = Branch(None, 0)
        self._conditions = conditions
        self._order = {op: k for k, op in enumerate(conditions)}
        self._visited: set[Operation] = set()
        self._ready: list[Operation] = []
        # Condition -> the selections by it that are left, and those of them whose users have all been visited.
        self._left = Counter(conditions.values())
        self._waiting: dict[Tensor, list[Operation]] = {condition: [] for condition in self._left}
        # Operator -> number of uses of its results that have not been visited.
        self._uses = Counter(need for op in graph.operations for tensor in self._reads(op) for need in tensor.producers)
        for tensor in graph.outputs:
            for producer in tensor.producers:
                self.of[producer] = self._outside
        self._visit_all(graph)
        for choice in reversed(self.choices):
            choice.outside.work += sum(side.work for side in choice.sides)

    def _reads(self, op: Operation) -> Iterator[Tensor]:
        yield from op.inputs
        yield from op.captures
        if op in self._conditions:
            yield self._conditions[op]

    def _visit_all(self, graph: Graph) -> None:
        backwards = list(reversed(graph.operations))
        for op in [op for op in backwards if not self._uses[op]]:
            self._release(op)
        for op in backwards:
            self._visit_ready()
            if op not in self._visited:
                # All users of it were visited, so it waits for selections by the same condition that depend on it.
                self._select(self._conditions[op])
        self._visit_ready()

    def _visit_ready(self) -> None:
        while self._ready:
            op = self._ready.pop()
            place = self.of.setdefault(op, self._outside)
            place.work += _work(op)
            self._visited.add(op)
            for tensor in self._reads(op):
                self._use(tensor, place)

    def _release(self, op: Operation) -> None:
        """Puts the operator into its place, after all of its users have been visited."""
        condition = self._conditions.get(op)
        if condition is None:
            self._ready.append(op)
            return
        self._waiting[condition].append(op)
        if len(self._waiting[condition]) == self._left[condition]:
            self._select(condition)

    def _select(self, condition: Tensor) -> None:
        """Makes choices of the waiting selections, one for each place."""
        groups: dict[Branch, list[Operation]] = {}
        for op in self._waiting[condition]:
            groups.setdefault(self.of.get(op, self._outside), []).append(op)
        self._left[condition] -= len(self._waiting[condition])
        self._waiting[condition] = []
        for place, selections in groups.items():
            selections.sort(key=self._order.__getitem__)
            self._visited.update(selections)
            if place.depth == DEPTH:
                self._ready.extend(selections)
                continue
            choice = Choice(condition, place, selections)
            self.choices.append(choice)
            for op in selections:
                places = (place, *choice.sides, place)
                for tensor, user in zip(self._reads(op), places, strict=True):
                    self._use(tensor, user)

    def _use(self, tensor: Tensor, place: Branch) -> None:
        for op in tensor.producers:
            self.of[op] = _common(self.of.get(op, place), place)
            self._uses[op] -= 1
            if not self._uses[op]:
                self._release(op)


def _common(a: Branch, b: Branch) -> Branch:
    """The innermost branch that contains both branches; it may be one of them."""
    while a is not b:
        if a.depth >= b.depth:
            a = a.outer
        else:
            b = b.outer
    return a


def _work(op: Operation) -> int:
    if op.domain == "" and op.type in _FREE:
        return 0
    if op.type in HEAVY or any(t.volume is None for t in op.outputs):
        return MIN_BRANCH_ITEMS
    return sum(t.volume or 0 for t in op.outputs)


class _Builder:
    """Makes If operators of choices, and moves operators to their places."""

    def __init__(self, graph: Graph, places: dict[Operation, Branch]) -> None:
        self._graph = graph
        self._places = places
        self._names = FreshNames([tensor.name or "" for tensor in graph.tensors])
        self._copies: dict[tuple[Tensor, Graph, tuple[int | None, ...]], Tensor] = {}  # copies of constants

    def build(self, choices: Sequence[Choice]) -> None:
        read = [tensor for choice in choices for op in choice.selections for tensor in op.inputs]
        operands = [self._replace(choice) for choice in choices]
        for op in list(self._graph.operations):
            branch = self._places.get(op)
            if branch is not None and (inner := branch.actual.graph) is not None:
                inner.adopt(op)
        sides = [side for choice in choices for side in choice.sides]
        branches = [side.graph for side in sides if side.graph is not None]
        for branch_graph, values in zip(branches, chain.from_iterable(operands), strict=True):
            branch_graph.outputs = self._results(branch_graph, values)
            self._take_codes(branch_graph)
        kept = {tensor for part in (self._graph, *branches) for tensor in part.outputs}
        for (constant, *_), copy in self._copies.items():
            if constant.graph is not None and not constant.has_consumer:
                self._graph.remove_tensor(constant)
                copy.name = constant.name
        remove_unused_tensors(read, kept)
        for part in (self._graph, *branches):
            place_operations(part)

    def _replace(self, choice: Choice) -> tuple[list[Tensor], list[Tensor]]:
        """Replaces the selections by an If with empty branches; returns the results that each branch must have."""
        selections, name = choice.selections, choice.selections[0].name
        results = [op.output for op in selections]
        operands = [[self._full(x, op.output) for x in op.inputs[1:]] for op in selections]
        self._graph.remove_operations(selections, unlink=True)
        attribs = {}
        for side, branch in zip(choice.sides, ("then", "else"), strict=True):
            side.graph = attribs[f"{branch}_branch"] = Graph(f"{name}_{branch}")
        made = Operation(self._graph, "If", name, attribs, choice.condition, tuple(results))
        self._places[made] = choice.outside
        return [x for x, _ in operands], [y for _, y in operands]

    def _full(self, value: Tensor, result: Tensor) -> Tensor:
        """A constant extended by the leading axes of the result; any other tensor has them already."""
        return value if value.shape == result.shape else self._copy(value, self._graph, result.shape or ())

    def _copy(self, constant: Tensor, graph: Graph, dims: tuple[int | None, ...]) -> Tensor:
        key = constant, graph, dims
        if key not in self._copies:
            data = np.asarray(constant.data).reshape(dims)
            name = self._names.distinct(constant.name or "")
            self._copies[key] = constant.copy_with(graph, name, shape=dims, data=data)
        return self._copies[key]

    def _results(self, graph: Graph, values: Sequence[Tensor]) -> list[Tensor]:
        """Results of a branch with these values; each must be computed in the branch, and occur only once."""
        results: dict[Tensor, None] = {}
        for value in values:
            result = value
            if value.graph is not graph or value in results:
                result = Tensor(graph, self._names.distinct(value.name or ""), value.shape, value.dtype)
                Operation(graph, "Identity", result.name, inputs=(value,), outputs=(result,))
            results[result] = None
        return list(results)

    def _take_codes(self, graph: Graph) -> None:
        """Moves constant inputs of DequantizeLinear into the branch that holds the operator.

        onnxruntime fuses it with its users, looks for the constants in the same graph only, and fails if they are not
        there.
        """
        for op in graph.operations:
            if op.type == "DequantizeLinear" and op.inputs[0].data is not None:
                op.inputs = tuple(t if t.data is None else self._copy(t, graph, t.shape or ()) for t in op.inputs)
