"""NNEF to TensorFlow: elementwise arithmetic, comparison, logic, activations, bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ...building.emitted import SELU
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ...maths import names
from ..building import cast, elementwise, floor_half_up, known, reshape, scalar, select, shape

COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")

UNARY = (("sqr", "Square"), ("rsqrt", "Rsqrt"), ("bitwise_not", "Invert"))

BINARY = (
    ("pow", "Pow"),
    ("min", "Minimum"),
    ("max", "Maximum"),
    ("fmod", "Mod"),
    ("bitwise_and", "BitwiseAnd"),
    ("bitwise_or", "BitwiseOr"),
    ("bitwise_xor", "BitwiseXor"),
    ("shift_left", "LeftShift"),
    ("shift_right", "RightShift"),
)


def _unary(tf: str) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, x: Tensor) -> Tensor:
        return elementwise(b, tf, x)

    return convert


def _binary(tf: str, dtype: Any) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
        return elementwise(b, tf, x, y, dtype=dtype)

    return convert


for _nnef, _tf in (*((row.nnef, row.tf) for row in names.UNARY), *UNARY):
    from_nnef("tf", _nnef)(_unary(_tf))
for _nnef, _tf in (*((row.nnef, row.tf) for row in names.BINARY), *BINARY):
    from_nnef("tf", _nnef)(_binary(_tf, np.bool_ if _nnef in COMPARISONS else None))


@from_nnef("tf", "copy")
def copy(b: PlainBuilder, x: Tensor) -> Tensor:
    """copy -> Identity."""
    return elementwise(b, "Identity", x)


@from_nnef("tf", "copy_n")
def copy_n(b: PlainBuilder, x: Tensor, *, times: int) -> list[Tensor]:
    """copy_n -> Identity, several times."""
    return [elementwise(b, "Identity", x) for _ in range(times)]


@from_nnef("tf", "add_n")
def add_n(b: PlainBuilder, x: Sequence[Tensor]) -> Tensor:
    """add_n -> AddN; nothing to add is zero."""
    if not x:
        return scalar(b, 0.0)
    return x[0] if len(x) == 1 else known(b.AddN(*x), shape(x[0]))


@from_nnef("tf", "rsqr")
def inverse_square(b: PlainBuilder, x: Tensor) -> Tensor:
    """rsqr -> Reciprocal of Square."""
    return elementwise(b, "Reciprocal", elementwise(b, "Square", x))


@from_nnef("tf", "log2")
def log2(b: PlainBuilder, x: Tensor) -> Tensor:
    """log2 -> Log, divided by log(2)."""
    return elementwise(b, "RealDiv", elementwise(b, "Log", x), scalar(b, float(np.log(2))))


@from_nnef("tf", "round")
def round_half_up(b: PlainBuilder, x: Tensor) -> Tensor:
    """round: ties go up, where TensorFlow's Round takes them to even."""
    return floor_half_up(b, x)


@from_nnef("tf", "clamp")
def clamp(b: PlainBuilder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """clamp -> Relu6 or ClipByValue for ordered numbers, else Maximum of Minimum: the lower limit comes last."""
    limits = _numbers(b, x, low, high)
    if limits == (0, 6):
        return elementwise(b, "Relu6", x)
    if limits is not None and limits[0] <= limits[1]:
        return known(b.ClipByValue(x, reshape(b, low, []), reshape(b, high, [])), shape(x))
    return elementwise(b, "Maximum", elementwise(b, "Minimum", x, high), low)


def _numbers(b: PlainBuilder, x: Tensor, low: Tensor, high: Tensor) -> tuple[float, float] | None:
    """Two constants that are single numbers and add nothing to the rank of x."""
    below, above = b.value(low), b.value(high)
    if below is None or above is None or below.size != 1 or above.size != 1:
        return None
    return (below.item(), above.item()) if max(below.ndim, above.ndim) <= len(shape(x)) else None


@from_nnef("tf", "select")
def choose(b: PlainBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select -> SelectV2."""
    return select(b, condition, true_value, false_value)


@from_nnef("tf", "cast")
def convert_type(b: PlainBuilder, x: Tensor, *, dtype: Any) -> Tensor:
    """cast -> Cast; real to integer truncates in both."""
    return cast(b, x, dtype)


# activations


def _elu(b: PlainBuilder, x: Tensor, alpha: float) -> Tensor:
    y = elementwise(b, "Elu", x)
    if alpha == 1.0:
        return y
    negative = elementwise(b, "Less", x, scalar(b, 0.0), dtype=np.bool_)
    return select(b, negative, elementwise(b, "Mul", y, scalar(b, alpha)), x)


@from_nnef("tf", "elu")
def elu(b: PlainBuilder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """elu -> Elu, whose alpha is 1; otherwise what is negative is scaled."""
    return _elu(b, x, alpha)


@from_nnef("tf", "selu")
def selu(b: PlainBuilder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu -> Selu for the constants that it has, up to the accuracy of float32; otherwise a scaled elu."""
    if np.allclose([alpha, lambda_], SELU, rtol=1e-6 if b.real is np.float32 else 0, atol=0):
        return elementwise(b, "Selu", x)
    return elementwise(b, "Mul", _elu(b, x, alpha), scalar(b, lambda_))


@from_nnef("tf", "gelu")
def gelu(b: PlainBuilder, x: Tensor) -> Tensor:
    """gelu: x * sigmoid(1.702 * x)."""
    return elementwise(b, "Mul", x, elementwise(b, "Sigmoid", elementwise(b, "Mul", x, scalar(b, 1.702))))


@from_nnef("tf", "silu")
def silu(b: PlainBuilder, x: Tensor) -> Tensor:
    """silu: x * sigmoid(x)."""
    return elementwise(b, "Mul", x, elementwise(b, "Sigmoid", x))


@from_nnef("tf", "leaky_relu")
def leaky_relu(b: PlainBuilder, x: Tensor, *, alpha: float) -> Tensor:
    """leaky_relu -> LeakyRelu."""
    return elementwise(b, "LeakyRelu", x, alpha=float(alpha))


@from_nnef("tf", "prelu")
def prelu(b: PlainBuilder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu: alpha * x where x is negative."""
    negative = elementwise(b, "Less", x, scalar(b, 0.0), dtype=np.bool_)
    return select(b, negative, elementwise(b, "Mul", x, alpha), x)
