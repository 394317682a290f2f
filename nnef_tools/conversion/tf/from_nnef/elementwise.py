"""NNEF to TensorFlow: elementwise arithmetic, comparison, logic, activations, bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder
from ..common import SELU


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
    """add_n -> AddN; nothing to add is zero."""
    if not x:
        return b.scalar(0.0)
    return x[0] if len(x) == 1 else known(b.AddN(*x), shape(x[0]))


@from_nnef("tf", "clamp")
def clamp(b: TfBuilder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """clamp -> Relu6 or ClipByValue for ordered numbers, else Maximum of Minimum: the lower limit comes last."""
    limits = _numbers(b, x, low, high)
    if limits == (0, 6):
        return b.elementwise(b.Relu6, x)
    if limits is not None and limits[0] <= limits[1]:
        return known(b.ClipByValue(x, b.reshape(low, []), b.reshape(high, [])), shape(x))
    return b.elementwise(b.Maximum, b.elementwise(b.Minimum, x, high), low)


def _numbers(b: TfBuilder, x: Tensor, low: Tensor, high: Tensor) -> tuple[float, float] | None:
    """Two constants that are single numbers and add nothing to the rank of x."""
    below, above = b.value(low), b.value(high)
    if below is None or above is None or below.size != 1 or above.size != 1:
        return None
    return (below.item(), above.item()) if max(below.ndim, above.ndim) <= len(shape(x)) else None


@from_nnef("tf", "select")
def choose(b: TfBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select -> SelectV2."""
    return b.elementwise(b.SelectV2, condition, true_value, false_value)


# activations


def _elu(b: TfBuilder, x: Tensor, alpha: float) -> Tensor:
    y = b.elementwise(b.Elu, x)
    if alpha == 1.0:
        return y
    negative = b.elementwise(b.Less, x, b.scalar(0.0), dtype=np.bool_)
    return b.nnef.select(negative, b.elementwise(b.Mul, y, b.scalar(alpha)), x)


@from_nnef("tf", "elu")
def elu(b: TfBuilder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """elu -> Elu, whose alpha is 1; otherwise what is negative is scaled."""
    return _elu(b, x, alpha)


@from_nnef("tf", "selu")
def selu(b: TfBuilder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu -> Selu for the constants that it has, up to the accuracy of float32; otherwise a scaled elu."""
    if np.allclose([alpha, lambda_], SELU, rtol=1e-6 if b.real is np.float32 else 0, atol=0):
        return b.elementwise(b.Selu, x)
    return b.elementwise(b.Mul, _elu(b, x, alpha), b.scalar(lambda_))


@from_nnef("tf", "leaky_relu")
def leaky_relu(b: TfBuilder, x: Tensor, *, alpha: float) -> Tensor:
    """leaky_relu -> LeakyRelu."""
    return b.elementwise(b.LeakyRelu, x, alpha=float(alpha))


@from_nnef("tf", "prelu")
def prelu(b: TfBuilder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu: alpha * x where x is negative."""
    negative = b.elementwise(b.Less, x, b.scalar(0.0), dtype=np.bool_)
    return b.nnef.select(negative, b.elementwise(b.Mul, x, alpha), x)
