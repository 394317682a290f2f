"""NNEF to any dialect: resampling."""

from __future__ import annotations

from ...model import Tensor
from ...ops.window import Window
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef


@from_nnef(EVERY, "area_downsample")
def area_downsample(b: TargetBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """area_downsample: a normalized box over cells."""
    return b.nnef.box(input, **Window.cells([1, 1, *factor]).attributes(), normalize=True)
