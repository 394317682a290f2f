"""NNEF to ONNX: elementwise arithmetic, comparison, logic, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ...maths import names
from ..building import (
    aligned,
    broadcast_shape,
    cast,
    elementwise,
    floor_half_up,
    known,
    lean,
    need_version,
    reduce,
    reshape,
    right_extended,
    scalar,
)
from ..common import shape
from . import substitutes

COMPARISONS = ("eq", "gt", "ge", "lt", "le")


def _unary(onnx: str) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, x: Tensor) -> Tensor:
        if b.real is np.float64 and onnx in substitutes.FLOAT64:
            return substitutes.FLOAT64[onnx](b, x)
        result: Tensor = b.op(onnx, x)
        return result

    return convert


def _binary(onnx: str, dtype: Any) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
        return elementwise(b, onnx, x, y, dtype=dtype)

    return convert


for _row in names.UNARY:
    from_nnef("onnx", _row.nnef)(_unary(_row.onnx))
for _row in names.BINARY:
    if _row.nnef != "ne":
        from_nnef("onnx", _row.nnef)(_binary(_row.onnx, np.bool_ if _row.nnef in COMPARISONS else None))


@from_nnef("onnx", "ne")
def ne(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """ne -> Not of Equal."""
    result: Tensor = b.Not(elementwise(b, "Equal", x, y, dtype=np.bool_))
    return result


@from_nnef("onnx", "copy")
def copy(b: PlainBuilder, x: Tensor) -> Tensor:
    """copy: the tensor itself."""
    return x


@from_nnef("onnx", "copy_n")
def copy_n(b: PlainBuilder, x: Tensor, *, times: int) -> list[Tensor]:
    """copy_n: the tensor itself."""
    return [x] * times


@from_nnef("onnx", "add_n")
def add_n(b: PlainBuilder, x: Sequence[Tensor]) -> Tensor:
    """add_n -> Sum."""
    return x[0] if len(x) == 1 else known(b.Sum(*x), shape(x[0]))


@from_nnef("onnx", "pow")
def power(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """pow -> Pow."""
    return elementwise(b, "Pow", x, y)


@from_nnef("onnx", "sqr")
def square(b: PlainBuilder, x: Tensor) -> Tensor:
    """sqr -> Pow, which runtimes look for when they fuse layer normalization."""
    return elementwise(b, "Pow", x, scalar(b, 2.0))


@from_nnef("onnx", "rsqr")
def inverse_square(b: PlainBuilder, x: Tensor) -> Tensor:
    """rsqr -> Reciprocal of Mul."""
    return elementwise(b, "Reciprocal", square(b, x))


@from_nnef("onnx", "rsqrt")
def inverse_root(b: PlainBuilder, x: Tensor) -> Tensor:
    """rsqrt -> Reciprocal of Sqrt."""
    return elementwise(b, "Reciprocal", elementwise(b, "Sqrt", x))


@from_nnef("onnx", "log2")
def log2(b: PlainBuilder, x: Tensor) -> Tensor:
    """log2 -> Log, divided by log(2)."""
    return elementwise(b, "Div", elementwise(b, "Log", x), scalar(b, float(np.log(2))))


@from_nnef("onnx", "round")
def round_half_up(b: PlainBuilder, x: Tensor) -> Tensor:
    """round: ties go up, where ONNX's Round takes them to even."""
    return floor_half_up(b, x)


@from_nnef("onnx", "fmod")
def fmod(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """fmod -> Mod with fmod = 1."""
    return elementwise(b, "Mod", x, y, fmod=1)


@from_nnef("onnx", "min")
def minimum(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """min -> Min."""
    return elementwise(b, "Min", x, y)


@from_nnef("onnx", "max")
def maximum(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """max -> Max."""
    return elementwise(b, "Max", x, y)


@from_nnef("onnx", "clamp")
def clamp(b: PlainBuilder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """clamp -> Clip for ordered numbers, else Max of Min: the lower limit comes last."""
    below, above = b.value(low), b.value(high)
    ordered = below is not None and above is not None and below.size == above.size == 1 and np.all(below <= above)
    if ordered and len(shape(x)) >= max(len(shape(low)), len(shape(high))):
        return known(b.Clip(x, reshape(b, low, []), reshape(b, high, [])), shape(x))
    return elementwise(b, "Max", elementwise(b, "Min", x, high), low)


@from_nnef("onnx", "select")
def select(b: PlainBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select -> Where; of truth values as integers, since runtimes lack it for them, or And and Or with constants."""
    if true_value.dtype is np.bool_:
        return _select_logical(b, condition, true_value, false_value)
    result: Tensor = b.Where(*aligned(b, condition, true_value, false_value))
    return known(result, broadcast_shape(condition, true_value, false_value), true_value.dtype)


def _select_logical(b: PlainBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """A condition of one item chooses by Where in any case, which may become an If."""
    dims = broadcast_shape(condition, true_value, false_value)
    yes, no = (_truth(b, value) if condition.volume != 1 else None for value in (true_value, false_value))
    for constant, other, onnx in ((yes, false_value, "Or"), (no, true_value, "And")):
        if constant is (onnx == "Or") and shape(other) in ([], dims):
            return elementwise(b, onnx, condition, other, dtype=np.bool_)
    chosen = select(b, condition, cast(b, true_value, np.uint8), cast(b, false_value, np.uint8))
    return cast(b, chosen, np.bool_)


def _truth(b: PlainBuilder, x: Tensor) -> bool | None:
    """The value that all items of a logical constant have."""
    value = b.value(x)
    return None if value is None or value.size == 0 or value.min() != value.max() else bool(value.min())


@from_nnef("onnx", "cast")
def convert_type(b: PlainBuilder, x: Tensor, *, dtype: Any) -> Tensor:
    """cast -> Cast; real to integer truncates in both."""
    return cast(b, x, dtype)


# activations


@from_nnef("onnx", idioms.HARD_SIGMOID)
def hard_sigmoid(b: PlainBuilder, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """A limited sum of a product -> HardSigmoid."""
    return known(b.HardSigmoid(x, alpha=alpha, beta=beta), shape(x))


@from_nnef("onnx", "elu")
def elu(b: PlainBuilder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """elu -> Elu."""
    if b.real is np.float64:
        return substitutes.elu(b, x, alpha)
    return known(b.Elu(x, alpha=alpha), shape(x))


@from_nnef("onnx", "selu")
def selu(b: PlainBuilder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu -> Selu."""
    if b.real is np.float64:
        return elementwise(b, "Mul", substitutes.elu(b, x, alpha), scalar(b, lambda_))
    return known(b.Selu(x, alpha=alpha, gamma=lambda_), shape(x))


@from_nnef("onnx", "gelu")
def gelu(b: PlainBuilder, x: Tensor) -> Tensor:
    """gelu: x * sigmoid(1.702 * x), which ONNX's Gelu is not."""
    return elementwise(b, "Mul", x, elementwise(b, "Sigmoid", elementwise(b, "Mul", x, scalar(b, 1.702))))


@from_nnef("onnx", "silu")
def silu(b: PlainBuilder, x: Tensor) -> Tensor:
    """silu: x * sigmoid(x)."""
    return elementwise(b, "Mul", x, elementwise(b, "Sigmoid", x))


@from_nnef("onnx", "leaky_relu")
def leaky_relu(b: PlainBuilder, x: Tensor, *, alpha: float) -> Tensor:
    """leaky_relu -> LeakyRelu."""
    if b.real is np.float64:
        return substitutes.prelu(b, x, scalar(b, alpha))
    return known(b.LeakyRelu(x, alpha=alpha), shape(x))


@from_nnef("onnx", "prelu")
def prelu(b: PlainBuilder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu -> PRelu."""
    if b.real is np.float64:
        return substitutes.prelu(b, x, alpha)
    slope = lean(b, right_extended(b, alpha, len(shape(x))))
    return known(b.PRelu(x, slope), shape(x))


@from_nnef("onnx", "softmax")
def softmax(b: PlainBuilder, x: Tensor, *, axes: list[int]) -> Tensor:
    """softmax -> Softmax over one axis; over several the exponentials, divided by their sum."""
    if len(axes) == 1:
        return known(b.Softmax(x, axis=axes[0]), shape(x))
    e = elementwise(b, "Exp", elementwise(b, "Sub", x, reduce(b, "ReduceMax", x, axes)))
    return elementwise(b, "Div", e, reduce(b, "ReduceSum", e, axes))


# bits


def _bitwise(onnx: str) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
        need_version(b, 18, onnx)
        return elementwise(b, onnx, x, y)

    return convert


for _name in ("And", "Or", "Xor"):
    from_nnef("onnx", f"bitwise_{_name.lower()}")(_bitwise(f"Bitwise{_name}"))


@from_nnef("onnx", "bitwise_not")
def bitwise_not(b: PlainBuilder, x: Tensor) -> Tensor:
    """bitwise_not -> BitwiseNot; before version 18 it is -1 - x."""
    if b.version >= 18:
        return known(b.BitwiseNot(x), shape(x), x.dtype)
    return elementwise(b, "Sub", b.constant(-1, np.int64), x)


def _shift(b: PlainBuilder, x: Tensor, y: Tensor, direction: str) -> Tensor:
    """BitShift knows unsigned types only."""
    bits = elementwise(b, "BitShift", cast(b, x, np.uint64), cast(b, y, np.uint64), direction=direction)
    return cast(b, bits, np.int64)


@from_nnef("onnx", "shift_left")
def shift_left(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """shift_left -> BitShift."""
    return _shift(b, x, y, "LEFT")


@from_nnef("onnx", "shift_right")
def shift_right(b: PlainBuilder, x: Tensor, y: Tensor) -> Tensor:
    """shift_right -> BitShift; a negative x is inverted before and after, so that its sign comes in."""
    minus = b.constant(-1, np.int64)
    negative = elementwise(b, "Less", x, b.constant(0, np.int64), dtype=np.bool_)
    magnitude = select(b, negative, elementwise(b, "Sub", minus, x), x)
    shifted = _shift(b, magnitude, y, "RIGHT")
    return select(b, negative, elementwise(b, "Sub", minus, shifted), shifted)
