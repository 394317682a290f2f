"""Checks of single axes and of index values."""

from __future__ import annotations

from ..errors import ExecutionError
from .broadcast import Array
from .checks import check


def check_axis(axis: int, rank: int, name: str = "axis") -> None:
    """Raises ShapeError unless the axis is within [0, rank), as in the standard operations."""
    check(0 <= axis < rank, f"'{name}' must lie in [0, {rank}), got {axis}")


def normal_axis(axis: int, rank: int, name: str = "axis") -> int:
    """The axis counted from the front, for custom operations. ShapeError unless it is within [-rank, rank)."""
    check(-rank <= axis < rank, f"'{name}' must lie in [{-rank}, {rank}), got {axis}")
    return axis % rank


def check_indices(indices: Array, low: int, high: int, what: str) -> None:
    """Raises ExecutionError if an index is outside [low, high): values are known only when a model runs."""
    if indices.size and (indices.min() < low or indices.max() >= high):
        wrong = indices[(indices < low) | (indices >= high)].flat[0]
        raise ExecutionError(f"index {wrong} is out of range [{low}, {high}) for {what}")
