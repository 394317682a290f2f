"""NNEF to any dialect: elementwise operations that are one operator, or the same composition of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...model import Tensor
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef
from ..maths import names

BINARY = ("pow", "min", "max", "fmod", "bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right")
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")


def _unary(name: str) -> Callable[..., Tensor]:
    def convert(b: TargetBuilder, x: Tensor) -> Tensor:
        return b.counterpart(name, x)

    return convert


def _binary(name: str, dtype: Any) -> Callable[..., Tensor]:
    def convert(b: TargetBuilder, x: Tensor, y: Tensor) -> Tensor:
        return b.counterpart(name, x, y, dtype=dtype)

    return convert


for _name in (*(row.nnef for row in names.UNARY), "sqr", "rsqrt", "bitwise_not"):
    from_nnef(EVERY, _name)(_unary(_name))
for _name in (*(row.nnef for row in names.BINARY), *BINARY):
    from_nnef(EVERY, _name)(_binary(_name, np.bool_ if _name in COMPARISONS else None))


@from_nnef(EVERY, "rsqr")
def inverse_square(b: TargetBuilder, x: Tensor) -> Tensor:
    """rsqr: the reciprocal of the square."""
    return b.nnef.rcp(b.nnef.sqr(x))


@from_nnef(EVERY, "log2")
def log2(b: TargetBuilder, x: Tensor) -> Tensor:
    """log2: the natural logarithm, divided by that of 2."""
    return b.nnef.div(b.nnef.log(x), float(np.log(2)))


@from_nnef(EVERY, "round")
def round_half_up(b: TargetBuilder, x: Tensor) -> Tensor:
    """round: floor(x) + 1 where the rest is a half or more, since the operators round ties to even.

    floor(x + 0.5) would be wrong where the sum is rounded.
    """
    low = b.nnef.floor(x)
    up = b.nnef.ge(b.nnef.sub(x, low), 0.5)
    return b.nnef.add(low, b.cast(up, b.real))


@from_nnef(EVERY, "cast")
def convert_type(b: TargetBuilder, x: Tensor, *, dtype: Any) -> Tensor:
    """cast: real to integer truncates everywhere."""
    return b.cast(x, dtype)
