"""NNEF to ONNX: elementwise arithmetic, comparison, logic, bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ....model import Tensor
from ...building.target import broadcast_shape, known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape
from . import substitutes


def _but_for_float64(name: str, substitute: substitutes.Function) -> substitutes.Function:
    def convert(b: OnnxBuilder, x: Tensor) -> Tensor:
        return substitute(b, x) if b.real is np.float64 else b.counterpart(name, x)

    return convert


for _name, _substitute in substitutes.FLOAT64.items():
    from_nnef("onnx", _name)(_but_for_float64(_name, _substitute))


@from_nnef("onnx", "ne")
def ne(b: OnnxBuilder, x: Tensor, y: Tensor) -> Tensor:
    """ne -> Not of Equal."""
    result: Tensor = b.Not(b.elementwise(b.Equal, x, y, dtype=np.bool_))
    return result


@from_nnef("onnx", "copy")
def copy(b: OnnxBuilder, x: Tensor) -> Tensor:
    """copy: the tensor itself."""
    return x


@from_nnef("onnx", "copy_n")
def copy_n(b: OnnxBuilder, x: Tensor, *, times: int) -> list[Tensor]:
    """copy_n: the tensor itself."""
    return [x] * times


@from_nnef("onnx", "add_n")
def add_n(b: OnnxBuilder, x: Sequence[Tensor]) -> Tensor:
    """add_n -> Sum."""
    return x[0] if len(x) == 1 else known(b.Sum(*x), shape(x[0]))


@from_nnef("onnx", "sqr")
def square(b: OnnxBuilder, x: Tensor) -> Tensor:
    """sqr -> Pow, which runtimes look for when they fuse layer normalization."""
    return b.elementwise(b.Pow, x, b.scalar(2.0))


@from_nnef("onnx", "rsqrt")
def inverse_root(b: OnnxBuilder, x: Tensor) -> Tensor:
    """rsqrt -> Reciprocal of Sqrt."""
    return b.elementwise(b.Reciprocal, b.elementwise(b.Sqrt, x))


@from_nnef("onnx", "fmod")
def fmod(b: OnnxBuilder, x: Tensor, y: Tensor) -> Tensor:
    """fmod -> Mod with fmod = 1."""
    return b.elementwise(b.Mod, x, y, fmod=1)


@from_nnef("onnx", "clamp")
def clamp(b: OnnxBuilder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """clamp -> Clip for ordered numbers, otherwise Max of Min: the lower limit is applied last."""
    below, above = b.value(low), b.value(high)
    ordered = below is not None and above is not None and below.size == above.size == 1 and np.all(below <= above)
    if ordered and len(shape(x)) >= max(len(shape(low)), len(shape(high))):
        return known(b.Clip(x, b.reshape(low, []), b.reshape(high, [])), shape(x))
    return b.elementwise(b.Max, b.elementwise(b.Min, x, high), low)


@from_nnef("onnx", "select")
def select(b: OnnxBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select -> Where; of truth values as integers, since runtimes lack it for them, or And and Or with constants."""
    if true_value.dtype is np.bool_:
        return _select_logical(b, condition, true_value, false_value)
    result: Tensor = b.Where(*b.aligned(condition, true_value, false_value))
    return known(result, broadcast_shape(condition, true_value, false_value), true_value.dtype)


def _select_logical(b: OnnxBuilder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select of truth values; a condition of one item always becomes a Where, which may become an If."""
    dims = broadcast_shape(condition, true_value, false_value)
    yes, no = (_truth(b, value) if condition.volume != 1 else None for value in (true_value, false_value))
    for constant, other, onnx in ((yes, false_value, "Or"), (no, true_value, "And")):
        if constant is (onnx == "Or") and shape(other) in ([], dims):
            return b.elementwise(b.Or if onnx == "Or" else b.And, condition, other, dtype=np.bool_)
    chosen = select(b, condition, b.cast(true_value, np.uint8), b.cast(false_value, np.uint8))
    return b.cast(chosen, np.bool_)


def _truth(b: OnnxBuilder, x: Tensor) -> bool | None:
    """The common value of all items of a logical constant; None if there is none."""
    value = b.value(x)
    return None if value is None or value.size == 0 or value.min() != value.max() else bool(value.min())


# bits


def _bitwise(name: str) -> Callable[..., Tensor]:
    def convert(b: OnnxBuilder, x: Tensor, y: Tensor) -> Tensor:
        b.need_version(18, b.plain[name])
        return b.counterpart(name, x, y)

    return convert


for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    from_nnef("onnx", _name)(_bitwise(_name))


@from_nnef("onnx", "bitwise_not")
def bitwise_not(b: OnnxBuilder, x: Tensor) -> Tensor:
    """bitwise_not -> BitwiseNot; before version 18 it is -1 - x."""
    if b.version >= 18:
        return known(b.BitwiseNot(x), shape(x), x.dtype)
    return b.elementwise(b.Sub, b.constant(-1, np.int64), x)


def _shift(b: OnnxBuilder, x: Tensor, y: Tensor, direction: str) -> Tensor:
    """A shift by BitShift, which supports unsigned types only."""
    bits = b.elementwise(b.BitShift, b.cast(x, np.uint64), b.cast(y, np.uint64), direction=direction)
    return b.cast(bits, np.int64)


@from_nnef("onnx", "shift_left")
def shift_left(b: OnnxBuilder, x: Tensor, y: Tensor) -> Tensor:
    """shift_left -> BitShift."""
    return _shift(b, x, y, "LEFT")


@from_nnef("onnx", "shift_right")
def shift_right(b: OnnxBuilder, x: Tensor, y: Tensor) -> Tensor:
    """shift_right -> BitShift; a negative x is inverted before and after, so that the sign bit is repeated."""
    minus = b.constant(-1, np.int64)
    negative = b.elementwise(b.Less, x, b.constant(0, np.int64), dtype=np.bool_)
    magnitude = select(b, negative, b.elementwise(b.Sub, minus, x), x)
    shifted = _shift(b, magnitude, y, "RIGHT")
    return select(b, negative, b.elementwise(b.Sub, minus, shifted), shifted)
