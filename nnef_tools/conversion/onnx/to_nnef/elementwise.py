"""Elementwise arithmetic, comparison, logic, casts, copies, operators on bits."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import bit_shift, bitwise_not, clip, is_inf, is_nan, modulo, power, unary
from ...compose.number_types import convert_dtype, reinterpret, round_half_even
from ...engine.rules import to_nnef
from ...maths import names
from ..common import (
    DTYPES,
    aligned,
    dtype_code,
    dtype_of,
    shape,
    unsqueeze,
)


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
    to_nnef("onnx", _row.onnx)(unary(_row.nnef))
for _row in names.BINARY:
    to_nnef("onnx", _row.onnx)(_binary_legacy(_row.nnef))
    to_nnef("onnx", _row.onnx, since=7)(_binary(_row.nnef))


@to_nnef("onnx", "Identity")
def identity(b: Builder, x: Tensor) -> Tensor:
    """Identity: the tensor itself."""
    return x


def _reduced(b: Builder, nnef: str, xs: tuple[Tensor, ...]) -> Tensor:
    return functools.reduce(lambda x, y: b.single(nnef, *aligned(b, x, y)), xs)


@to_nnef("onnx", "Max")
def maximum(b: Builder, *xs: Tensor) -> Tensor:
    """Max of any number of operands -> max, two at a time."""
    return _reduced(b, "max", xs)


@to_nnef("onnx", "Min")
def minimum(b: Builder, *xs: Tensor) -> Tensor:
    """Min of any number of operands -> min, two at a time."""
    return _reduced(b, "min", xs)


@to_nnef("onnx", "Sum")
def add_all(b: Builder, *xs: Tensor) -> Tensor:
    """Sum of any number of operands -> add, two at a time."""
    return _reduced(b, "add", xs)


@to_nnef("onnx", "Mean")
def mean(b: Builder, *xs: Tensor) -> Tensor:
    """Mean of any number of operands."""
    total = _reduced(b, "add", xs)
    return total if len(xs) == 1 else b.div(total, float(len(xs)))


@to_nnef("onnx", "Pow")
def power_legacy(b: Builder, x: Tensor, y: Tensor, *, broadcast: int = 0, axis: int | None = None) -> Tensor:
    """Pow-1 with explicit broadcasting."""
    return power(b, *_legacy_operands(b, x, y, broadcast, axis))


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
) -> Tensor:
    """Clip-1, Clip-6: bounds are attributes."""
    limit = np.inf if x.dtype is np.float64 else np.finfo(np.float32).max
    lower = None if min is None or min <= -limit else b.constant(min, x.dtype)
    upper = None if max is None or max >= limit else b.constant(max, x.dtype)
    return clip(b, x, lower, upper)


@to_nnef("onnx", "Round", since=11)
def round_to_even(b: Builder, x: Tensor) -> Tensor:
    """Round to the nearest, ties to even."""
    return round_half_even(b, x)


@to_nnef("onnx", "Cast")
def cast_named(b: Builder, x: Tensor, *, to: str) -> Tensor:
    """Cast-1: the type is given by name."""
    names = {"FLOAT": "float32", "DOUBLE": "float64"}
    dtype = next((d for d in DTYPES.values() if d.__name__.rstrip("_") == names.get(to, to.lower())), None)
    if dtype is None:
        raise Unsupported(f"cannot cast to {to}")
    return convert_dtype(b, x, dtype)


@to_nnef("onnx", "Cast", since=6)
def cast(b: Builder, x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """Cast -> cast; real to integer truncates. round_mode is for float8e8m0 alone, which NNEF does not carry."""
    return convert_dtype(b, x, dtype_of(to), bool(saturate))


@to_nnef("onnx", "CastLike", since=15)
def cast_like(b: Builder, x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """CastLike -> cast to the type of the second operand."""
    return cast(b, x, to=dtype_code(like.dtype), saturate=saturate)


to_nnef("onnx", "Pow", since=7)(power)
to_nnef("onnx", "Mod", since=10)(modulo)
to_nnef("onnx", "Clip", since=11)(clip)
to_nnef("onnx", "IsNaN", since=9)(is_nan)
to_nnef("onnx", "IsInf", since=10)(is_inf)

# bits; NNEF's integers have no width, so that results which would leave the width of the type are brought back to it

for _onnx in ("And", "Or", "Xor"):
    to_nnef("onnx", f"Bitwise{_onnx}", since=18)(_binary(f"bitwise_{_onnx.lower()}"))


to_nnef("onnx", "BitwiseNot", since=18)(bitwise_not)
to_nnef("onnx", "BitShift", since=11)(bit_shift)


@to_nnef("onnx", "BitCast", since=26)
def bit_cast(b: Builder, x: Tensor, *, to: int) -> Tensor:
    """BitCast of constants, and between integers."""
    return reinterpret(b, x, dtype_of(to))
