"""Checks that shape rules share. A message names the parameter and the values; the caller adds the operation."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ShapeError


def check(condition: bool, message: str) -> None:
    """Raises ShapeError with that message unless the condition holds."""
    if not condition:
        raise ShapeError(message)


def check_rank(name: str, shape: Sequence[int], rank: int) -> None:
    """Raises ShapeError unless the shape has exactly that rank."""
    check(len(shape) == rank, f"'{name}' must have rank {rank}, got shape {list(shape)}")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ShapeError unless the attribute has one of the allowed values."""
    check(value in allowed, f"'{name}' must be one of {', '.join(allowed)}; got '{value}'")


def check_axes(axes: Sequence[int], rank: int, name: str = "axes") -> None:
    """Raises ShapeError unless the axes are unique and within [0, rank)."""
    check(len(set(axes)) == len(axes), f"'{name}' must be unique, got {list(axes)}")
    check(all(0 <= axis < rank for axis in axes), f"'{name}' must lie in [0, {rank}), got {list(axes)}")
