"""The interface between the removal of transposes and the operations of a dialect."""

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
    """Another order of the items along an axis of a constant, which stands for several merged axes that are permuted.

    The constant must have no other use.
    """

    constant: Tensor
    axis: int
    extents: tuple[int, ...]
    perm: Perm


@dataclass(frozen=True)
class Choice:
    """A way in which an operation can work on tensors whose axes are in another order.

    inputs, outputs: for each tensor, the permutation from its order of axes in the given graph to the one in this
    choice. The permutation of a constant input may have a higher rank: the constant is first extended to it by trailing
    1s. trims: may these 1s be dropped again, since the inputs broadcast? order: the positions of the arguments among
    the given inputs. reorderings: constants elsewhere that change, too.
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
    """The choice that leaves the operation as it is."""
    return Choice(
        tuple(identity(tensor.rank or 0) for tensor in operation.inputs),
        tuple(identity(tensor.rank or 0) for tensor in operation.outputs),
        operation.attribs,
    )


class Dialect(Protocol):
    """The operations of a graph, as far as transposes are concerned. One object serves one rewrite of one graph."""

    def transposition(self, operation: Operation) -> Perm | None:
        """The permutation of the first input, if the operation is a transpose with a single output; else None."""

    def can_follow(self, operation: Operation) -> bool:
        """Does the operation have any choices?"""

    def choices(self, operation: Operation, port: Port, layout: Perm, current: Choice) -> Iterable[Choice]:
        """The choices of an operation with that permutation at a port (not one of a constant), the best one first.

        Other ports are as in the current choice if they do not depend on this one. None for an unknown value.
        """

    def value(self, tensor: Tensor) -> Array | None:
        """The value of a constant whose axes may be permuted; None for anything else."""

    def add_constant(self, data: Array, like: Tensor) -> Tensor:
        """Adds a constant that is made from another one."""

    def set_constant(self, tensor: Tensor, data: Array) -> None:
        """Gives a constant another value, of another shape, for all of its users."""

    def become_constant(self, operation: Operation, data: Array) -> None:
        """Makes the result of an operation a constant."""

    def add_transpose(self, source: Tensor, perm: Perm, result: Tensor) -> None:
        """Adds a transpose; it may be a reshape if `moves_items` is false."""

    def add_reshape(self, source: Tensor, result: Tensor) -> None:
        """Adds a reshape to the shape of the result."""

    def add_copy(self, source: Tensor, result: Tensor) -> None:
        """Adds an operation that copies."""
