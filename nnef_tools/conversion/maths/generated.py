"""Arrays that rules generate from numbers of a model. The budget is asked before memory is taken: LimitError."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...budget import ask_constant

Array = np.ndarray[Any, Any]


def positions(count: int, dtype: Any = np.int64) -> Array:
    """0, 1, .. count - 1."""
    ask_constant(count)
    return np.arange(count, dtype=dtype)


def grid(extents: Sequence[int]) -> Array:
    """The index of each item of such an array, [rank, *extents]."""
    ask_constant(len(extents) * math.prod(extents))
    return np.indices(tuple(extents))


def filled(extents: Sequence[int], value: Any, dtype: Any) -> Array:
    """An array with one value everywhere, for the caller to change."""
    ask_constant(math.prod(extents))
    return np.full(tuple(extents), value, dtype)


def eye(rows: int, columns: int | None = None, k: int = 0, dtype: Any = np.float64) -> Array:
    """A matrix with ones on its k-th diagonal."""
    ask_constant(rows * (rows if columns is None else columns))
    return np.eye(rows, columns, k, dtype=dtype)


def is_every(places: Array, extent: int) -> bool:
    """Are these all positions of an axis of that extent, in order?"""
    return len(places) == extent and np.array_equal(places, np.arange(extent))
