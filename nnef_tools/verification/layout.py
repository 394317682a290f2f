"""Recognizes that a tensor of another model has its channels elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from ..execution.executor import Array
from ..model.channels import MIN_RANK, TO_LAST, TO_SECOND, ChannelMove

Move = ChannelMove | None
"""Where the channels of a tensor go; None if they stay."""


def fitting(shape: Sequence[int], other: Sequence[int], *, is_same_layout: bool) -> list[Move]:
    """The moves of channels that lead from one shape to the other one, the most probable first.

    is_same_layout: have both models their channels in the same place? Then only shapes that differ tell of a move.
    """
    found: list[Move] = [None] if tuple(shape) == tuple(other) else []
    if len(shape) < MIN_RANK or (found and is_same_layout):
        return found
    return found + [move for move in (TO_LAST, TO_SECOND) if move.shape(shape) == tuple(other)]


def moved(value: Array, move: Move) -> Array:
    """The value with its channels moved."""
    return value if move is None else move.array(value)


def move_label(move: Move) -> str:
    """What a move does, in a word or two; empty for none."""
    return "" if move is None else "channels last" if move == TO_LAST else "channels second"
