"""NNEF to Toy: what is not an operator of another name."""

from __future__ import annotations

from ....model import Tensor
from ...engine.rules import from_nnef
from ..building import ToyBuilder


@from_nnef("toy", "sqr")
def sqr(b: ToyBuilder, x: Tensor) -> Tensor:
    """sqr: x * x."""
    return b.nnef.mul(x, x)
