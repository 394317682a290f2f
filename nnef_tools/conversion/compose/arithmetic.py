"""Elementwise arithmetic that several source formats define alike, as compositions of NNEF operations.

Where operands are two tensors, they are aligned on the right, as in numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import integer_bits, integer_range, is_float, is_integer
from ..building.nnef import Builder
from ..building.shapes import aligned, right_aligned, shape
from ..maths.generated import positions
from .number_types import wrap

Array = np.ndarray[Any, Any]


def arithmetic_range(start: Array, limit: Array, delta: Array) -> Array:
    """Range of single numbers: start + k * delta before the limit, in the type of start. Unsupported for delta = 0."""
    first, last, step = (item.reshape(()).item() for item in (start, limit, delta))
    if step == 0:
        raise Unsupported("a delta of 0")
    count = max(math.ceil((last - first) / step), 0)
    return np.asarray(first + positions(count) * step, start.dtype)


def unary(nnef: str) -> Callable[[Builder, Tensor], Tensor]:
    """The rule of an operator that is the NNEF operation of that name, of one tensor."""

    def convert(b: Builder, x: Tensor) -> Tensor:
        return b.single(nnef, x)

    return convert


def power(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Pow -> pow; the result has the type of the base. Squares and roots have operations of their own."""
    base, exponent = aligned(b, x, y)
    if y.data is not None and y.volume == 1 and is_float(x.dtype) and len(shape(base)) == len(shape(x)):
        special = {2.0: "sqr", 0.5: "sqrt", -1.0: "rcp", -2.0: "rsqr", -0.5: "rsqrt"}
        value = float(np.asarray(y.data).reshape(()))
        if len(shape(x)) >= len(shape(y)) and value in special:
            return b.single(special[value], x)
    result: Tensor = b.pow(base, exponent)
    return b.cast(result, x.dtype) if is_integer(x.dtype) and not is_integer(result.dtype) else result


def modulo(b: Builder, x: Tensor, y: Tensor, *, fmod: int = 0) -> Tensor:
    """Mod: x - y * floor(x / y), the sign of the divisor; with fmod x - y * trunc(x / y), the sign of the dividend."""
    x, y = aligned(b, x, y)
    if is_integer(x.dtype):
        return _integer_modulo(b, x, y, bool(fmod))
    remainder = b.fmod(x, y)  # exact; from the rounded quotient it would not be
    if fmod:
        return remainder
    opposite = b.lt(b.mul(b.sign(remainder), b.sign(y)), 0.0)
    return b.select(opposite, b.add(remainder, y), remainder)


def _integer_modulo(b: Builder, x: Tensor, y: Tensor, truncate: bool) -> Tensor:
    """By the quotient in reals: its floor is right for integers that float32 holds exactly."""
    dtype = x.dtype
    x, y = b.cast(x, np.float32), b.cast(y, np.float32)
    b.rounded.add("div")
    quotient = b.div(x, y)
    whole = b.mul(b.sign(quotient), b.floor(b.abs(quotient))) if truncate else b.floor(quotient)
    return b.cast(b.sub(x, b.mul(y, whole)), dtype)


def clip(b: Builder, x: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """Clip: min(max(x, lower), upper); clamp where the order of the two does not matter."""
    lower = None if min is None else right_aligned(b, min, len(shape(x)))
    upper = None if max is None else right_aligned(b, max, len(shape(x)))
    if lower is not None and upper is not None:
        low, high = b.value(lower), b.value(upper)
        ordered = low is not None and high is not None and bool(np.all(low <= high))
        return b.clamp(x, lower, upper) if ordered else b.min(b.max(x, lower), upper)
    if lower is not None:
        return b.max(x, lower)
    return x if upper is None else b.min(x, upper)


def softsign(b: Builder, x: Tensor) -> Tensor:
    """Softsign: x / (1 + |x|)."""
    return b.div(x, b.add(b.abs(x), 1.0))


def log_softmax(b: Builder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """LogSoftmax: y - log(sum(exp(y))) with y = x - max(x)."""
    y = b.sub(x, b.max_reduce(x, axes=axes))
    return b.sub(y, b.log(b.sum_reduce(b.exp(y), axes=axes)))


def gelu(b: Builder, x: Tensor, *, approximate: str = "none") -> Tensor:
    """Gelu: x * Phi(x), exact with erf or the tanh form. NNEF's own gelu is a coarser sigmoid form.

    The order of operations is the one that runtimes recognize.
    """
    if approximate == "tanh":
        inner = b.mul(b.add(x, b.mul(b.mul(b.sqr(x), x), 0.044715)), math.sqrt(2 / math.pi))
        return b.mul(b.mul(x, 0.5), b.add(b.tanh(inner), 1.0))
    if approximate != "none":
        raise Unsupported(f"approximate = '{approximate}' is not known")
    return b.mul(b.mul(x, b.add(b.erf(b.div(x, math.sqrt(2))), 1.0)), 0.5)


def is_nan(b: Builder, x: Tensor) -> Tensor:
    """IsNaN: x != x."""
    return b.ne(x, x)


def is_inf(b: Builder, x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """IsInf: x is a number, but x - x is not."""
    if not detect_negative and not detect_positive:
        return b.constant(np.zeros(shape(x), np.bool_))
    difference = b.sub(x, x)
    infinite = b.and_(b.eq(x, x), b.ne(difference, difference))
    if detect_negative and detect_positive:
        return infinite
    return b.and_(infinite, b.gt(x, 0.0) if detect_positive else b.lt(x, 0.0))


def bitwise_not(b: Builder, x: Tensor) -> Tensor:
    """BitwiseNot -> bitwise_not; for unsigned types bitwise_xor with all ones of the type."""
    low, high = integer_range(x.dtype)
    return b.bitwise_not(x) if low < 0 or high >= 2**63 else b.bitwise_xor(x, b.constant(high, x.dtype))


def bit_shift(b: Builder, x: Tensor, y: Tensor, *, direction: str) -> Tensor:
    """BitShift -> shift_left, brought back to the width, or shift_right.

    Shifts by the width or more, or by a negative amount, leave nothing but the sign of a right shift.
    """
    if direction not in ("LEFT", "RIGHT"):
        raise Unsupported(f"direction = '{direction}' is not known")
    bits, (low, _) = integer_bits(x.dtype), integer_range(x.dtype)
    signed_right = low < 0 and direction == "RIGHT"
    x, y = aligned(b, x, y)
    inside = y
    known = b.value(y)
    always = known is not None and bool(np.all((known >= 0) & (known < bits)))
    if not always:
        valid = b.and_(b.ge(y, 0), b.lt(y, bits))
        inside = b.select(valid, y, b.constant(bits - 1 if signed_right else 0, y.dtype))
    if direction == "RIGHT":
        result = b.shift_right(x, inside)
        if bits == 64 and low == 0:
            result = b.bitwise_and(result, _bits_after(b, inside))
    else:
        result = wrap(b, b.shift_left(b.cast(x, np.int64), b.cast(inside, np.int64)), x.dtype)
    return result if always or signed_right else b.select(valid, result, b.constant(0, x.dtype))


def _bits_after(b: Builder, y: Tensor) -> Tensor:
    """The bits that a uint64 can have after a right shift by y, which moves in the sign where integers have one.

    All ones, moved up by 64 - y in two steps below the width, and inverted; 63 - y is y with its bits inverted.
    """
    ones = b.constant(2**64 - 1, np.uint64)
    upper = b.shift_left(b.shift_left(ones, b.bitwise_xor(y, b.constant(63, y.dtype))), b.constant(1, y.dtype))
    result: Tensor = b.bitwise_not(upper)
    return result
