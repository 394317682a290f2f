"""NNEF to any dialect: activations."""

from __future__ import annotations

from collections.abc import Callable

from ...model import Tensor
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef
from ..maths import names


def _unary(name: str) -> Callable[..., Tensor]:
    def convert(b: TargetBuilder, x: Tensor) -> Tensor:
        return b.counterpart(name, x)

    return convert


for _row in names.ACTIVATIONS:
    from_nnef(EVERY, _row.nnef)(_unary(_row.nnef))


@from_nnef(EVERY, "gelu")
def gelu(b: TargetBuilder, x: Tensor) -> Tensor:
    """gelu: x * sigmoid(1.702 * x), which operators of that name are not."""
    return b.nnef.mul(x, b.nnef.sigmoid(b.nnef.mul(x, 1.702)))


@from_nnef(EVERY, "silu")
def silu(b: TargetBuilder, x: Tensor) -> Tensor:
    """silu: x * sigmoid(x)."""
    return b.nnef.mul(x, b.nnef.sigmoid(x))
