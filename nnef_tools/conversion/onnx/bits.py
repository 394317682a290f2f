"""Operators on the bits of numbers: shifts, bitwise logic, reinterpretation.

NNEF's integers have no width, so that results which would leave the width of the ONNX type are brought back to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import is_integer
from ..builder import Builder
from ..rules import to_nnef
from .common import aligned, dtype_of
from .narrow import integer_bits, integer_range, wrap


def _bitwise(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, y: Tensor) -> Tensor:
        return b.single(nnef, *aligned(b, x, y))

    return convert


for _onnx in ("And", "Or", "Xor"):
    to_nnef("onnx", f"Bitwise{_onnx}", since=18)(_bitwise(f"bitwise_{_onnx.lower()}"))


@to_nnef("onnx", "BitwiseNot", since=18)
def bitwise_not(b: Builder, x: Tensor) -> Tensor:
    """BitwiseNot -> bitwise_not; for unsigned types bitwise_xor with all ones of the type."""
    low, high = integer_range(x.dtype)
    return b.bitwise_not(x) if low < 0 or high >= 2**63 else b.bitwise_xor(x, b.constant(high, x.dtype))


@to_nnef("onnx", "BitShift", since=11)
def bit_shift(b: Builder, x: Tensor, y: Tensor, *, direction: str) -> Tensor:
    """BitShift -> shift_left, brought back to the width, or shift_right.

    Shifts by the width or more, or by a negative amount, leave nothing but the sign of a right shift.
    """
    if direction not in ("LEFT", "RIGHT"):
        raise Unsupported(f"direction = '{direction}' is not known")
    bits, (low, _) = integer_bits(x.dtype), integer_range(x.dtype)
    if bits == 64 and low == 0:
        b.warnings["BitShift on uint64: values from 2**63 on are taken as negative where integers have 64 bits"] = None
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
    else:
        result = wrap(b, b.shift_left(b.cast(x, np.int64), b.cast(inside, np.int64)), x.dtype)
    return result if always or signed_right else b.select(valid, result, b.constant(0, x.dtype))


@to_nnef("onnx", "BitCast", since=26)
def bit_cast(b: Builder, x: Tensor, *, to: int) -> Tensor:
    """BitCast of constants, and between integer types; the bits of reals have no counterpart in NNEF."""
    dtype = dtype_of(to)
    if np.dtype(dtype).itemsize != np.dtype(x.dtype).itemsize:
        raise Unsupported(f"{np.dtype(x.dtype).name} and {np.dtype(dtype).name} differ in width")
    if x.data is not None:
        return b.constant(np.ascontiguousarray(x.data).view(dtype))
    if dtype is x.dtype:
        return x
    if is_integer(dtype) and is_integer(x.dtype):
        return wrap(b, x, dtype)
    if x.dtype is np.bool_ and is_integer(dtype):
        return b.cast(x, dtype)
    raise Unsupported(
        f"{np.dtype(x.dtype).name} as {np.dtype(dtype).name}: NNEF does not say how numbers are represented in bits"
    )
