"""Elementwise arithmetic, comparison, logic, casts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import is_float, is_integer, nnef_dtype
from .. import names
from ..builder import Builder
from ..rules import to_nnef
from .common import aligned, dtype_of, right_aligned, shape, unsqueeze
from .narrow import MINIFLOATS, cast_to_minifloat, integer_bits, integer_range, round_half_even, wrap


def _unary(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, *, consumed_inputs: list[int] | None = None) -> Tensor:
        return b.single(nnef, x)

    return convert


def _binary(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, y: Tensor) -> Tensor:
        return b.single(nnef, *aligned(b, x, y))

    return convert


def _binary_legacy(nnef: str) -> Callable[..., Tensor]:
    """Up to opset 6 the second operand is broadcast only on request, from an axis on if one is given."""

    def convert(
        b: Builder,
        x: Tensor,
        y: Tensor,
        *,
        broadcast: int = 0,
        axis: int | None = None,
        consumed_inputs: list[int] | None = None,
    ) -> Tensor:
        return b.single(nnef, *_legacy_operands(b, x, y, broadcast, axis))

    return convert


def _legacy_operands(b: Builder, x: Tensor, y: Tensor, broadcast: int, axis: int | None) -> list[Tensor]:
    rank, own = len(shape(x)), len(shape(y))
    if not broadcast:
        if shape(x) != shape(y):
            raise Unsupported(f"shapes {shape(x)} and {shape(y)} differ, but broadcast is not set")
        return [x, y]
    if axis is None or own == 0:
        return aligned(b, x, y)
    start = axis + rank if axis < 0 else axis
    return [x, unsqueeze(b, y, [*range(start), *range(start + own, rank)])]


for _row in names.UNARY:
    to_nnef("onnx", _row.onnx)(_unary(_row.nnef))
for _row in names.BINARY:
    to_nnef("onnx", _row.onnx)(_binary_legacy(_row.nnef))
    to_nnef("onnx", _row.onnx, since=7)(_binary(_row.nnef))


def _reduced(b: Builder, nnef: str, xs: tuple[Tensor, ...]) -> Tensor:
    return functools.reduce(lambda x, y: b.single(nnef, *aligned(b, x, y)), xs)


@to_nnef("onnx", "Max")
def maximum(b: Builder, *xs: Tensor, consumed_inputs: list[int] | None = None) -> Tensor:
    """Max of any number of operands -> max, two at a time."""
    return _reduced(b, "max", xs)


@to_nnef("onnx", "Min")
def minimum(b: Builder, *xs: Tensor, consumed_inputs: list[int] | None = None) -> Tensor:
    """Min of any number of operands -> min, two at a time."""
    return _reduced(b, "min", xs)


@to_nnef("onnx", "Sum")
def add_all(b: Builder, *xs: Tensor, consumed_inputs: list[int] | None = None) -> Tensor:
    """Sum of any number of operands -> add, two at a time."""
    return _reduced(b, "add", xs)


@to_nnef("onnx", "Mean")
def mean(b: Builder, *xs: Tensor, consumed_inputs: list[int] | None = None) -> Tensor:
    """Mean of any number of operands."""
    total = _reduced(b, "add", xs)
    return total if len(xs) == 1 else b.div(total, float(len(xs)))


@to_nnef("onnx", "Pow")
def power_legacy(b: Builder, x: Tensor, y: Tensor, *, broadcast: int = 0, axis: int | None = None) -> Tensor:
    """Pow-1 with explicit broadcasting."""
    return power(b, *_legacy_operands(b, x, y, broadcast, axis))


@to_nnef("onnx", "Pow", since=7)
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


@to_nnef("onnx", "Mod", since=10)
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


@to_nnef("onnx", "Where", since=9)
def where(b: Builder, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Where -> select."""
    return b.select(*aligned(b, condition, x, y))


@to_nnef("onnx", "Clip")
def clip_attributes(
    b: Builder,
    x: Tensor,
    *,
    min: float | None = None,
    max: float | None = None,
    consumed_inputs: list[int] | None = None,
) -> Tensor:
    """Clip-1, Clip-6: bounds are attributes."""
    lower = None if min is None or min <= np.finfo(np.float32).min else b.constant(min, x.dtype)
    upper = None if max is None or max >= np.finfo(np.float32).max else b.constant(max, x.dtype)
    return clip(b, x, lower, upper)


@to_nnef("onnx", "Clip", since=11)
def clip(b: Builder, x: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """Clip: min(max(x, lower), upper); clamp where the order of the two does not matter."""
    lower = None if min is None else right_aligned(b, min, len(shape(x)))
    upper = None if max is None else right_aligned(b, max, len(shape(x)))
    if lower is not None and upper is not None:
        ordered = lower.data is not None and upper.data is not None and bool(np.all(lower.data <= upper.data))
        return b.clamp(x, lower, upper) if ordered else b.min(b.max(x, lower), upper)
    if lower is not None:
        return b.max(x, lower)
    return x if upper is None else b.min(x, upper)


@to_nnef("onnx", "IsNaN", since=9)
def is_nan(b: Builder, x: Tensor) -> Tensor:
    """IsNaN: x != x."""
    return b.ne(x, x)


@to_nnef("onnx", "IsInf", since=10)
def is_inf(b: Builder, x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """IsInf: x is a number, but x - x is not."""
    if not detect_negative and not detect_positive:
        return b.constant(np.zeros(shape(x), np.bool_))
    difference = b.sub(x, x)
    infinite = b.and_(b.eq(x, x), b.ne(difference, difference))
    if detect_negative and detect_positive:
        return infinite
    return b.and_(infinite, b.gt(x, 0.0) if detect_positive else b.lt(x, 0.0))


@to_nnef("onnx", "Round", since=11)
def round_to_even(b: Builder, x: Tensor) -> Tensor:
    """Round to the nearest, ties to even."""
    return round_half_even(b, x)


def convert_dtype(b: Builder, x: Tensor, dtype: Any, saturate: bool = True) -> Tensor:
    """x in another data type. NNEF's types have no width: where values are not brought to it, that is reported."""
    if dtype is x.dtype:
        return x
    if dtype in MINIFLOATS:
        return cast_to_minifloat(b, x, dtype, saturate)
    if x.data is not None:
        with np.errstate(all="ignore"):
            return b.constant(np.asarray(x.data).astype(dtype))
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
    return b.cast(x, dtype) if x.dtype in MINIFLOATS else x


def _convert_integer(b: Builder, x: Tensor, dtype: Any) -> Tensor:
    """Wrapped to the width where the type does not hold all values; int32 is taken as wide enough for int64."""
    low, high = integer_range(x.dtype)
    smallest, largest = integer_range(dtype)
    if dtype is np.int32 and x.dtype is np.int64:
        return x
    return b.cast(x, dtype) if smallest <= low and high <= largest else wrap(b, x, dtype)


@to_nnef("onnx", "Cast")
def cast_named(b: Builder, x: Tensor, *, to: str) -> Tensor:
    """Cast-1: the type is given by name."""
    dtype = {"FLOAT": np.float32, "DOUBLE": np.float64, "BOOL": np.bool_}.get(to) or getattr(np, to.lower(), None)
    if dtype is None:
        raise Unsupported(f"cannot cast to {to}")
    return convert_dtype(b, x, dtype)


@to_nnef("onnx", "Cast", since=6)
def cast(b: Builder, x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """Cast -> cast; real to integer truncates."""
    return convert_dtype(b, x, dtype_of(to), bool(saturate))


@to_nnef("onnx", "CastLike", since=15)
def cast_like(b: Builder, x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """CastLike -> cast to the type of the second operand."""
    return convert_dtype(b, x, like.dtype, bool(saturate))
