"""What the removal of transposes must know of the operations of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...model import Operation, Tensor
from .permutations import Perm, identity

Array = np.ndarray[Any, np.dtype[Any]]


class Port(NamedTuple):
    """An input or output of an operation."""

    is_output: bool
    position: int


@dataclass(frozen=True)
class Reordering:
    """The axis of a constant has another order of items: it stands for several axes, merged, which are permuted.

    The constant has no other use.
    """

    constant: Tensor
    axis: int
    extents: tuple[int, ...]
    perm: Perm


@dataclass(frozen=True)
class Choice:
    """A way of an operation to work on tensors whose axes are in another order.

    inputs, outputs: the permutation, for each tensor, from the order in the given graph to the order that it has here.
    That of a constant input may be of a higher rank, up to which the constant is extended by trailing 1s before it is
    permuted. trims: these may be dropped again, since the inputs broadcast. order: the positions of the arguments
    among the given inputs. reorderings: constants elsewhere that change, too.
    """

    inputs: tuple[Perm, ...]
    outputs: tuple[Perm, ...]
    attribs: Mapping[str, Any] = field(compare=False)
    order: tuple[int, ...] | None = None
    reorderings: tuple[Reordering, ...] = ()
    trims: bool = field(default=False, compare=False)

    def at(self, port: Port) -> Perm:
        """The permutation of the tensor at a port."""
        return (self.outputs if port.is_output else self.inputs)[port.position]


def unchanged(operation: Operation) -> Choice:
    """The operation as it is."""
    return Choice(
        tuple(identity(tensor.rank or 0) for tensor in operation.inputs),
        tuple(identity(tensor.rank or 0) for tensor in operation.outputs),
        operation.attribs,
    )


class Dialect(Protocol):
    """The operations of a graph, as far as transposes are concerned. One object serves one rewrite of one graph."""

    def transposition(self, operation: Operation) -> Perm | None:
        """What the operation does to its first input, if it is a transpose. Its result is the only output."""

    def can_follow(self, operation: Operation) -> bool:
        """Has the operation choices at all?"""

    def choices(self, operation: Operation, port: Port, layout: Perm, current: Choice) -> Iterable[Choice]:
        """The ways of an operation to have that permutation at a port (not that of a constant), the best one first.

        Other ports are as in the current choice where they do not depend on this one. None for what is unknown.
        """

    def value(self, tensor: Tensor) -> Array | None:
        """The value of a constant whose axes may be permuted; None for anything else."""

    def add_constant(self, data: Array, like: Tensor) -> Tensor:
        """A new constant, made from another one."""

    def set_constant(self, tensor: Tensor, data: Array) -> None:
        """Gives another value, of another shape, to a constant, for all that use it."""

    def become_constant(self, operation: Operation, data: Array) -> None:
        """Makes an operation the definition of its result as a constant."""

    def add_transpose(self, source: Tensor, perm: Perm, result: Tensor) -> None:
        """A new operation; it may be a reshape where `moves_items` does not hold."""

    def add_reshape(self, source: Tensor, result: Tensor) -> None:
        """A new operation that gives the shape of the result."""

    def add_copy(self, source: Tensor, result: Tensor) -> None:
        """A new operation that changes nothing."""
