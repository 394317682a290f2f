"""Number types that NNEF does not have: rounding to small floating-point types, limiting integers to a width.

NNEF's scalar and integer have no width. Where an operator's meaning depends on one, these compositions give it exactly.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import integer_bits, integer_range, is_float, is_integer, nnef_dtype
from ..building.nnef import Builder

MINIFLOATS: tuple[Any, ...] = (
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e4m3fnuz,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e5m2fnuz,
    ml_dtypes.float6_e2m3fn,
    ml_dtypes.float6_e3m2fn,
    ml_dtypes.float4_e2m1fn,
)


def round_half_even(b: Builder, x: Tensor) -> Tensor:
    """x rounded to the nearest integer, ties to even: at a tie 2 * round(x / 2), as NNEF's round takes ties up."""
    tie = b.eq(b.sub(x, b.floor(x)), 0.5)
    return b.select(tie, b.mul(b.round(b.mul(x, 0.5)), 2.0), b.round(x))


def round_to_minifloat(b: Builder, x: Tensor, dtype: Any, saturate: bool = True) -> Tensor:
    """x rounded to the nearest value of the type, ties to even; NaN stays if the type has it.

    saturate: what is beyond the finite range becomes the largest value, else infinity, or NaN in types without it.
    Values between 2**e and 2**(e + 1) are multiples of a step that the type has for e. The logarithm only guesses e:
    the powers of two come from a table, and a comparison with x corrects the guess, so that everything is exact.
    """
    info: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    largest = float(info.max)
    reach = largest if saturate else 2 * largest
    low, high = int(info.minexp), int(np.floor(np.log2(reach)))
    unordered = b.ne(x, x)
    limited = b.clamp(b.select(unordered, 0.0, x), -reach, reach)
    size = b.abs(limited)
    guess = b.clamp(b.floor(b.log2(size)), float(low), float(high))
    powers = b.constant(np.exp2(np.arange(low, high + 1, dtype=np.float32)))
    power = b.gather(powers, b.cast(b.sub(guess, float(low)), np.int64), axis=0)
    higher = b.select(b.ge(size, b.mul(power, 2.0)), b.mul(power, 2.0), power)
    power = b.select(b.lt(size, power), b.mul(power, 0.5), higher)
    step = b.mul(b.max(power, float(2.0**low)), float(2.0**-info.nmant))
    rounded = b.mul(round_half_even(b, b.div(limited, step)), step)
    if not saturate:
        beyond = np.asarray(np.inf, np.float32).astype(dtype).astype(np.float32)
        rounded = b.select(b.gt(b.abs(rounded), largest), b.mul(b.sign(rounded), b.constant(beyond)), rounded)
    not_a_number = float(np.asarray(np.nan, np.float32).astype(dtype))  # -0 in types without NaN
    return b.select(unordered, x if np.isnan(not_a_number) else not_a_number, rounded)


def cast_to_minifloat(b: Builder, x: Tensor, dtype: Any, saturate: bool) -> Tensor:
    """x in a small floating-point type."""
    if x.data is not None:
        array = np.asarray(x.data).astype(np.float32)
        largest = np.float32(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
        return b.constant((np.clip(array, -largest, largest) if saturate else array).astype(dtype))
    values = x if is_float(x.dtype) else b.cast(x, np.float32)
    return b.cast(round_to_minifloat(b, values, dtype, saturate), dtype)


def wrap(b: Builder, x: Tensor, dtype: Any) -> Tensor:
    """The integers x modulo 2**width in the range of the type, whatever the width that they are computed in."""
    bits = integer_bits(dtype)
    if bits >= 64:
        return b.cast(x, dtype)
    mask = 2**bits - 1
    wide = b.cast(x, np.int64)
    low = b.bitwise_and(wide, b.constant(mask, np.int64))
    if integer_range(dtype)[0] < 0:
        sign = b.bitwise_and(low, b.constant(2 ** (bits - 1), np.int64))
        negative = b.ne(b.cast(sign, np.float32), 0.0)
        low = b.select(negative, b.bitwise_or(low, b.constant(~mask, np.int64)), low)
    return b.cast(low, dtype)


def reinterpret(b: Builder, x: Tensor, dtype: Any) -> Tensor:
    """The bits of constants, and of integers as other integers of that width. Unsupported for those of reals."""
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


def convert_dtype(b: Builder, x: Tensor, dtype: Any, saturate: bool = True) -> Tensor:
    """x in another data type. NNEF's types have no width: where values are not brought to it, that is reported."""
    if dtype is x.dtype:
        return x
    if dtype in MINIFLOATS:
        return cast_to_minifloat(b, x, dtype, saturate)
    if x.data is not None:
        with np.errstate(all="ignore"):
            return b.constant(np.asarray(x.data).astype(dtype), base=x)
    if is_integer(dtype) and is_integer(x.dtype):
        return _convert_integer(b, x, dtype)
    if nnef_dtype(dtype) != nnef_dtype(x.dtype):
        if is_float(x.dtype) and is_integer(dtype) and integer_bits(dtype) < 8:  # the one width that ONNX says it of
            return wrap(b, b.cast(x, np.int64), dtype)
        if is_integer(dtype) and np.dtype(dtype).itemsize < 4 and x.dtype is not np.bool_:
            b.warnings[f"Cast to {dtype.__name__}: values outside its range are kept, not wrapped"] = None
        return b.cast(x, dtype)
    if np.dtype(dtype).itemsize < min(np.dtype(x.dtype).itemsize, 4):
        b.warnings[f"Cast from {x.dtype.__name__} to {dtype.__name__}: values keep the wider type"] = None
    if is_float(dtype) and np.float64 in (dtype, x.dtype):  # the only two precisions that models are computed in
        return b.cast(x, dtype if dtype is np.float64 else np.float32)
    return b.cast(x, dtype) if x.dtype in MINIFLOATS else x


def _convert_integer(b: Builder, x: Tensor, dtype: Any) -> Tensor:
    """Wrapped to the width where the type does not hold all values; int32 is taken as wide enough for int64."""
    low, high = integer_range(x.dtype)
    smallest, largest = integer_range(dtype)
    if dtype is np.int32 and x.dtype is np.int64:
        return x
    return b.cast(x, dtype) if smallest <= low and high <= largest else wrap(b, x, dtype)
