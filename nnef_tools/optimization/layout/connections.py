"""A graph seen without its transposes: who reads which tensor, through which permutation, and at what cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ...model import Graph, Operation, Tensor
from .dialect import Choice, Dialect, Port, unchanged
from .permutations import Perm, compose, identity, inverse, moves_items, permuted

Choices = Mapping[Operation, Choice]


class Use(NamedTuple):
    """A use of a tensor, directly or through transposes.

    operation, position: the input that reads it; operation None and position k for the graph output k. tensor: the one
    that is read there. perm: its permutation relative to the original.
    """

    operation: Operation | None
    position: int
    tensor: Tensor
    perm: Perm


class Cost(NamedTuple):
    """The number of needed transposes, the number of items that they move, and finer criteria if these are equal.

    places: 0 for a transpose at a graph input or output; 2 for one directly after an operation that cannot follow,
    since that can often be merged with a later one; 1 anywhere else. reshapes: the number of those in place of
    transposes.
    """

    transposes: int
    items: int
    places: int
    reshapes: int

    def plus(self, other: Cost) -> Cost:
        return Cost(
            self.transposes + other.transposes,
            self.items + other.items,
            self.places + other.places,
            self.reshapes + other.reshapes,
        )

    def is_better(self, other: Cost) -> bool:
        """Does it have no more transposes and moved items than the other, and less in any respect?"""
        return self.transposes <= other.transposes and self.items <= other.items and self < other


FREE = Cost(0, 0, 0, 0)


class Connections:
    """The connections between the operations of a graph, with the present choice of each operation.

    The originals are the tensors that are neither constants nor results of transposes.
    """

    def __init__(self, graph: Graph, dialect: Dialect) -> None:
        self.graph = graph
        self._dialect = dialect
        self._inputs = set(graph.inputs)
        self.transposes: list[Operation] = []
        self.choice: dict[Operation, Choice] = {}
        self.uses: dict[Tensor, list[Use]] = {}
        self._origin: dict[Tensor, tuple[Tensor, Perm]] = {}
        for operation in graph.operations:
            perm = dialect.transposition(operation)
            if perm is not None:
                self.transposes.append(operation)
                source, first = self.origin(operation.inputs[0])
                self._origin[operation.output] = (source, compose(first, perm))
            else:
                self.choice[operation] = unchanged(operation)
        self.constants = {t for op in self.choice for t in op.inputs if dialect.value(t) is not None}
        for operation in self.choice:
            for index, tensor in enumerate(operation.inputs):
                self._add_use(Use(operation, index, *self._read(tensor)))
        for index, tensor in enumerate(graph.outputs):
            self._add_use(Use(None, index, *self._read(tensor)))

    def _read(self, tensor: Tensor) -> tuple[Tensor, Perm]:
        return tensor, self.origin(tensor)[1]

    def _add_use(self, use: Use) -> None:
        if use.tensor not in self.constants:
            self.uses.setdefault(self.origin(use.tensor)[0], []).append(use)

    def origin(self, tensor: Tensor) -> tuple[Tensor, Perm]:
        """The original of a tensor, and the permutation that leads from it to the tensor."""
        return self._origin.get(tensor) or (tensor, identity(tensor.rank or 0))

    def made(self, original: Tensor, choices: Choices) -> Perm:
        """The permutation in which the original is computed."""
        producer = original.producer
        if producer is None:
            return identity(original.rank or 0)
        return self.chosen(producer, choices).outputs[_index(producer, original)]

    def needed(self, use: Use, choices: Choices) -> Perm:
        """The permutation, relative to the original, in which a tensor is read."""
        if use.operation is None:
            return use.perm
        return compose(use.perm, self.chosen(use.operation, choices).inputs[use.position])

    def chosen(self, operation: Operation, choices: Choices) -> Choice:
        """The choice of an operation among the given ones, or else its present choice."""
        choice = choices.get(operation)
        return choice if choice is not None else self.choice[operation]

    def cost(self, originals: Iterable[Tensor], choices: Choices) -> Cost:
        """The cost of the originals with these choices. A permutation that several uses need is made once."""
        total = FREE
        for original in originals:
            made = self.made(original, choices)
            for needed in {self.needed(use, choices) for use in self.uses.get(original, ())}:
                if needed != made:
                    total = total.plus(self.transposition_cost(original, made, needed))
        return total

    def transposition_cost(self, original: Tensor, made: Perm, needed: Perm) -> Cost:
        """The cost of getting one permutation of an original from another."""
        if made == needed:
            return FREE
        shape = permuted(original.shape or (), made)
        if not moves_items(shape, compose(inverse(made), needed)):
            return Cost(0, 0, 0, 1)
        return Cost(1, original.volume or 1, self._place(original, needed), 0)

    def _place(self, original: Tensor, needed: Perm) -> int:
        if original in self._inputs:
            return 0
        if any(use.operation is None and use.perm == needed for use in self.uses[original]):
            return 0
        return 1 if original.producer is not None and self._dialect.can_follow(original.producer) else 2

    def neighbors(self, operation: Operation) -> Iterator[Tensor]:
        """The originals that the operation reads or produces."""
        for tensor in operation.inputs:
            if tensor not in self.constants:
                yield self.origin(tensor)[0]
        yield from operation.outputs

    def conflicts(self) -> Iterator[Use]:
        """The uses that read a tensor in another permutation than the one in which it is produced."""
        for original, uses in self.uses.items():
            for use in uses:
                if self.needed(use, {}) != self.made(original, {}):
                    yield use

    def requests(self, operation: Operation, choice: Choice, port: Port) -> Iterator[tuple[Operation, Port, Perm]]:
        """What operations at the other end of a port would have to change to need no transpose: ports and permutations.

        If the producer cannot follow, the other readers of its result can, and share a transpose.
        """
        if port.is_output:
            made = choice.outputs[port.position]
            for use in self.uses.get(operation.outputs[port.position], ()):
                if use.operation is not None:
                    yield use.operation, Port(False, use.position), compose(inverse(use.perm), made)
            return
        tensor = operation.inputs[port.position]
        original, perm = self.origin(tensor)
        if tensor in self.constants:
            return
        needed = compose(perm, choice.inputs[port.position])
        producer = original.producer
        if producer is not None and self._dialect.can_follow(producer):
            yield producer, Port(True, _index(producer, original)), needed
            return
        for use in self.uses.get(original, ()):
            if use.operation not in (None, operation):
                yield use.operation, Port(False, use.position), compose(inverse(use.perm), needed)


def _index(producer: Operation, tensor: Tensor) -> int:
    return [output is tensor for output in producer.outputs].index(True)
