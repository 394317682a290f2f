"""Permutations of axes as in `transpose`: dimension k of the result is dimension perm[k] of the source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
Perm = tuple[int, ...]


@lru_cache(64)
def identity(rank: int) -> Perm:
    """`(0, 1, .., rank - 1)`."""
    return tuple(range(rank))


@lru_cache(1024)
def inverse(perm: Perm) -> Perm:
    """The permutation that undoes another: `(0, 3, 1, 2)` -> `(0, 2, 3, 1)`. Item k is the new position of axis k."""
    result = [0] * len(perm)
    for position, axis in enumerate(perm):
        result[axis] = position
    return tuple(result)


@lru_cache(1024)
def compose(first: Perm, second: Perm) -> Perm:
    """The permutation that does the same as the first one followed by the second."""
    return tuple([first[axis] for axis in second])


def permuted(items: Sequence[T], perm: Perm) -> tuple[T, ...]:
    """The items in the order of the permutation."""
    return tuple([items[axis] for axis in perm])


def without_axes(perm: Perm, axes: Iterable[int]) -> Perm:
    """The permutation of the axes that are left when some are removed: `(0, 3, 1, 2)` without 1 and 2 -> `(0, 1)`."""
    removed = set(axes)
    kept = [axis for axis in perm if axis not in removed]
    number = {axis: k for k, axis in enumerate(sorted(kept))}
    return tuple(number[axis] for axis in kept)


def with_axes(perm: Perm, axes: Iterable[int]) -> Perm:
    """The inverse of `without_axes`, in which the added axes keep their positions: `(1, 0)` with 1 -> `(2, 1, 0)`."""
    added = set(axes)
    rank = len(perm) + len(added)
    old = [axis for axis in range(rank) if axis not in added]
    rest = iter(perm)
    return tuple(axis if axis in added else old[next(rest)] for axis in range(rank))


def moves_items(shape: Sequence[int | None], perm: Perm) -> bool:
    """Does a transposition change the order of items in memory, so that a reshape could not replace it?

    Axes of extent 1 do not count, apart from the first one: it may be a batch, whose extent can change.
    """
    wide = [axis for axis in perm if shape[axis] != 1 or axis == 0]
    return wide != sorted(wide)
