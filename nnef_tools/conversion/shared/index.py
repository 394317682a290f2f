"""NNEF to any dialect: what takes elements by index tensors."""

from __future__ import annotations

from ...model import Tensor
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef


@from_nnef(EVERY, "gather")
def gather(b: TargetBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather."""
    return b.gather(input, indices, axis)
