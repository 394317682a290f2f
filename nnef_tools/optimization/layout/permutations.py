"""Permutations of axes, as `transpose` means them: dimension k of the result is dimension perm[k] of the source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
Perm = tuple[int, ...]


def identity(rank: int) -> Perm:
    """`(0, 1, .., rank - 1)`."""
    return tuple(range(rank))


def inverse(perm: Perm) -> Perm:
    """What undoes the permutation: `(0, 3, 1, 2)` -> `(0, 2, 3, 1)`. Item k is where axis k went to."""
    result = [0] * len(perm)
    for position, axis in enumerate(perm):
        result[axis] = position
    return tuple(result)


def compose(first: Perm, second: Perm) -> Perm:
    """One permutation for a transposition by the first, and then by the second."""
    return tuple(first[axis] for axis in second)


def permuted(items: Sequence[T], perm: Perm) -> tuple[T, ...]:
    """The items in the order of the permutation."""
    return tuple(items[axis] for axis in perm)


def without_axes(perm: Perm, axes: Iterable[int]) -> Perm:
    """The order of the axes that are left when some are removed: `(0, 3, 1, 2)` without 1 and 2 -> `(0, 1)`."""
    removed = set(axes)
    kept = [axis for axis in perm if axis not in removed]
    number = {axis: k for k, axis in enumerate(sorted(kept))}
    return tuple(number[axis] for axis in kept)


def with_axes(perm: Perm, axes: Iterable[int]) -> Perm:
    """The reverse of `without_axes`, where the added axes keep their positions: `(1, 0)` with 1 -> `(2, 1, 0)`."""
    added = set(axes)
    rank = len(perm) + len(added)
    old = [axis for axis in range(rank) if axis not in added]
    rest = iter(perm)
    return tuple(axis if axis in added else old[next(rest)] for axis in range(rank))


def moves_items(shape: Sequence[int | None], perm: Perm) -> bool:
    """Does a transposition change the order of items in memory, other than a reshape does?

    Axes of extent 1 do not count, but for the first one: that may be a batch, whose extent says nothing.
    """
    wide = [axis for axis in perm if shape[axis] != 1 or axis == 0]
    return wide != sorted(wide)
