"""Finds in a finished ONNX graph what only one value of a condition needs, and makes it a branch of an `If`.

NNEF computes both operands of a `select`, and so does ONNX's `Where`. Where the condition is a single item, it decides
for whole tensors, and `If` computes only the one that is wanted, as the model did that NNEF was made of.

Every operator is placed in the innermost branch that contains all of its uses: the results of the graph are used
outside, the second operand of a `Where` in the one branch of its condition, the third in the other. For that, operators
are visited after their users, and all `Where` of one condition together, so that they become one `If`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...language.names import FreshNames
from ...model import Graph, Operation, Tensor
from ...model.utils import place_operations
from .common import shape

ENOUGH = 4096
"""Items that a branch must compute, so that skipping it makes up for the 2 microseconds that an If takes."""

HEAVY = frozenset({"Conv", "ConvTranspose", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})
"""Operators that are worth skipping whatever they compute: each item takes more than one step."""

_FREE = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze"})  # nothing is computed

DEPTH = 16
"""Of branches in branches. Each takes three levels of messages in a file, of which parsers accept 100."""


@dataclass(eq=False)
class Branch:
    """A place of operators: one side of a choice, or what is outside of all choices.

    work: about how many items are computed there. graph: with the operators, if it becomes a branch of an If.
    """

    choice: Choice | None
    depth: int
    work: int = 0
    graph: Graph | None = None

    @property
    def outer(self) -> Branch:
        """The one around it; itself for what is outside of all choices."""
        return self if self.choice is None else self.choice.outside

    @property
    def actual(self) -> Branch:
        """The innermost one around it that is not left to Where, or itself."""
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
        """Is there enough to skip?"""
        return any(side.work >= ENOUGH for side in self.sides)


def restore_branches(graph: Graph) -> None:
    """Makes If of Where, in place, with what only one side of it needs, if that is worth it.

    The graph must be sorted and its tensors named: results keep their names, and stay where the results of the graph or
    operators outside need them. Branches take what they need from outside directly from the outer graph's tensors.
    """
    conditions = {op: c for op in graph.operations if op.type == "Where" and (c := _condition(op)) is not None}
    if not conditions:
        return
    places = _Places(graph, conditions)
    chosen = [choice for choice in places.choices if choice.pays]
    if chosen:
        _build(graph, places.of, chosen)


def _condition(op: Operation) -> Tensor | None:
    """The single item by which a Where selects a whole tensor, before changes of its rank; None if it does not."""
    if op.domain or any(t.shape is None for t in (*op.inputs, *op.outputs)):
        return None
    condition, *values = op.inputs
    if condition.volume != 1 or not all(_fits(value, op.output) for value in values):
        return None
    while (producer := condition.producer) is not None and producer.type in _FREE and not producer.domain:
        condition = producer.inputs[0]
    return condition if condition.data is None else None


def _fits(value: Tensor, result: Tensor) -> bool:
    """Is the operand all of the result? Constants may lack leading axes of extent 1."""
    return value.shape == result.shape or (value.data is not None and value.volume == result.volume)


class _Places:
    """of: operator -> where it belongs, outside if it is not there. choices: the outer before the inner ones."""

    def __init__(self, graph: Graph, conditions: Mapping[Operation, Tensor]) -> None:
        self.of: dict[Operation, Branch] = {}
        self.choices: list[Choice] = []
        self._outside = Branch(None, 0)
        self._conditions = conditions
        self._order = {op: k for k, op in enumerate(conditions)}
        self._visited: set[Operation] = set()
        self._ready: list[Operation] = []
        # Condition -> its selections that are left, and those of them whose users have all been visited.
        self._left = Counter(conditions.values())
        self._waiting: dict[Tensor, list[Operation]] = {condition: [] for condition in self._left}
        # Operator -> uses of its results that have not been visited.
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
                # Its users have been, so it waits for others of its condition that in some way wait for it.
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
        """All users of the operator have been visited."""
        condition = self._conditions.get(op)
        if condition is None:
            self._ready.append(op)
            return
        self._waiting[condition].append(op)
        if len(self._waiting[condition]) == self._left[condition]:
            self._select(condition)

    def _select(self, condition: Tensor) -> None:
        """Makes choices of the selections that are waiting, one for each place."""
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
    """The innermost branch around both, of which each may be itself."""
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
        return ENOUGH
    return sum(t.volume or 0 for t in op.outputs)


def _build(graph: Graph, places: dict[Operation, Branch], choices: list[Choice]) -> None:
    ranks = [t for choice in choices for op in choice.selections if (t := op.inputs[0]) is not choice.condition]
    names = FreshNames([t.name or "" for t in graph.tensors])
    operands = [_replace_selections(graph, places, choice, names) for choice in choices]
    for op in list(graph.operations):
        branch = places.get(op)
        if branch is not None and (inner := branch.actual.graph) is not None:
            inner.adopt(op)
    built = [graph]
    for choice, sides in zip(choices, operands, strict=True):
        for side, values in zip(choice.sides, sides, strict=True):
            assert side.graph is not None
            side.graph.outputs = _results(side.graph, values, names)
            _take_codes(side.graph, names)
            built.append(side.graph)
    results = {t for part in built for t in part.outputs}
    for tensor in ranks:
        _remove_unused(tensor, results)
    for part in built:
        place_operations(part)


def _replace_selections(
    graph: Graph, places: dict[Operation, Branch], choice: Choice, names: FreshNames
) -> tuple[list[Tensor], list[Tensor]]:
    """Puts an If with empty branches in the place of the selections; the results that each branch must have."""
    selections, name = choice.selections, choice.selections[0].name
    operands = [tuple(op.inputs) for op in selections]
    results = [op.output for op in selections]
    graph.remove_operations(selections, unlink=True)
    for side, suffix in zip(choice.sides, ("then", "else"), strict=True):
        side.graph = Graph(f"{name}_{suffix}")
    attribs = {f"{suffix}_branch": side.graph for side, suffix in zip(choice.sides, ("then", "else"), strict=True)}
    made = Operation(graph, "If", name, attribs, choice.condition, results)
    places[made] = choice.outside
    return (
        [_full(x, result, names) for (_, x, _), result in zip(operands, results, strict=True)],
        [_full(y, result, names) for (_, _, y), result in zip(operands, results, strict=True)],
    )


def _full(value: Tensor, result: Tensor, names: FreshNames) -> Tensor:
    """A constant with the leading axes of the result; anything else has them."""
    if value.shape == result.shape:
        return value
    data = np.asarray(value.data).reshape(shape(result))
    return value.copy_with(name=names.distinct(value.name or ""), shape=data.shape, data=data)


def _results(graph: Graph, values: list[Tensor], names: FreshNames) -> list[Tensor]:
    """Results of a branch with these values, each of which must be computed in the branch, and be there once."""
    results: dict[Tensor, None] = {}
    for value in values:
        result = value
        if value.graph is not graph or value in results:
            result = Tensor(graph, names.distinct(value.name or ""), value.shape, value.dtype)
            Operation(graph, "Identity", result.name, inputs=(value,), outputs=(result,))
        results[result] = None
    return list(results)


def _take_codes(graph: Graph, names: FreshNames) -> None:
    """What DequantizeLinear makes numbers of becomes part of the branch: onnxruntime fuses it with what reads it.

    It then looks for the constants in the same graph only, and fails if they are not there.
    """
    copies: dict[Tensor, Tensor] = {}
    for op in graph.operations:
        if op.type != "DequantizeLinear" or op.inputs[0].data is None:
            continue
        for tensor in op.inputs:
            if tensor.data is not None and tensor.graph is not graph and tensor not in copies:
                copies[tensor] = tensor.copy_with(graph, names.distinct(tensor.name or ""))
        op.inputs = tuple(copies.get(tensor, tensor) for tensor in op.inputs)
    for tensor, copy in copies.items():
        if not tensor.has_consumer:
            copy.name = tensor.name
            _remove_unused(tensor, ())


def _remove_unused(tensor: Tensor, results: Container[Tensor]) -> None:
    """Removes what nothing uses any more: a tensor, its producer, and so on."""
    pending = [tensor]
    while pending:
        tensor = pending.pop()
        owner, producer = tensor.graph, tensor.producer
        if owner is None or tensor.has_consumer or tensor in results or tensor in owner.inputs:
            continue
        if producer is not None:
            pending.extend(producer.inputs)
            owner.remove_operation(producer, unlink=True)
        owner.remove_tensor(tensor)
