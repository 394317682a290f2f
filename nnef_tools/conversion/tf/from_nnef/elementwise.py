"""NNEF to TensorFlow: elementwise operations that are not the same for every target."""

from __future__ import annotations

from collections.abc import Sequence

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder


@from_nnef("tf", "copy")
def copy(b: TfBuilder, x: Tensor) -> Tensor:
    """copy -> Identity."""
    return b.elementwise(b.Identity, x)


@from_nnef("tf", "copy_n")
def copy_n(b: TfBuilder, x: Tensor, *, times: int) -> list[Tensor]:
    """copy_n -> Identity, several times."""
    return [b.elementwise(b.Identity, x) for _ in range(times)]


@from_nnef("tf", "add_n")
def add_n(b: TfBuilder, x: Sequence[Tensor]) -> Tensor:
    """add_n -> AddN; zero for no tensors."""
    if not x:
        return b.scalar(0.0)
    return x[0] if len(x) == 1 else known(b.AddN(*x), shape(x[0]))


@from_nnef("tf", "clamp")
def clamp(b: TfBuilder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """clamp -> Relu6 or ClipByValue for ordered numbers, otherwise Maximum of Minimum, the lower limit last."""
    limits = _numbers(b, x, low, high)
    if limits == (0, 6):
        return b.elementwise(b.Relu6, x)
    if limits is not None and limits[0] <= limits[1]:
        return known(b.ClipByValue(x, b.reshape(low, []), b.reshape(high, [])), shape(x))
    return b.elementwise(b.Maximum, b.elementwise(b.Minimum, x, high), low)


def _numbers(b: TfBuilder, x: Tensor, low: Tensor, high: Tensor) -> tuple[float, float] | None:
    """The values of two constants that are single numbers and do not extend the rank of x; None for others."""
    below, above = b.value(low), b.value(high)
    if below is None or above is None or below.size != 1 or above.size != 1:
        return None
    return (below.item(), above.item()) if max(below.ndim, above.ndim) <= len(shape(x)) else None


@from_nnef("tf", "select")
def choose(b: TfBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select -> SelectV2."""
    return b.elementwise(b.SelectV2, condition, true_value, false_value)
