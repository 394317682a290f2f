"""Elementwise arithmetic, comparison, logic, casts, copies; operands are aligned on the right, as in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_integer
from ...building.nnef import Builder
from ...building.shapes import aligned, reshape, shape
from ...compose.arithmetic import bit_shift, bitwise_not, clip, is_inf, is_nan, modulo, power, unary
from ...compose.number_types import convert_dtype, reinterpret, round_half_even
from ...engine.rules import to_nnef
from ...maths import names


def _binary(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, y: Tensor) -> Tensor:
        return b.single(nnef, *aligned(b, x, y))

    return convert


def _equality(nnef: str) -> Callable[..., Tensor]:
    """Equal and NotEqual. Refuses shapes that do not broadcast, also where incompatible_shape_error allows for them."""

    def convert(b: Builder, x: Tensor, y: Tensor, *, incompatible_shape_error: bool = True) -> Tensor:
        return b.single(nnef, *aligned(b, x, y))

    return convert


for _row in names.UNARY:
    to_nnef("tf", _row.tf)(unary(_row.nnef))
for _row in names.BINARY:
    to_nnef("tf", _row.tf)((_equality if _row.nnef in ("eq", "ne") else _binary)(_row.nnef))
for _nnef, *_others in (
    ("rcp", "Inv"),
    ("rsqrt", "Rsqrt"),
    ("sqr", "Square"),
):
    to_nnef("tf", *_others)(unary(_nnef))
for _nnef, *_others in (
    ("add", "Add"),
    ("max", "Maximum"),
    ("min", "Minimum"),
    ("bitwise_and", "BitwiseAnd"),
    ("bitwise_or", "BitwiseOr"),
    ("bitwise_xor", "BitwiseXor"),
):
    to_nnef("tf", *_others)(_binary(_nnef))
to_nnef("tf", "Pow")(power)
to_nnef("tf", "Invert")(bitwise_not)
to_nnef("tf", "IsNan")(is_nan)


@to_nnef("tf", "Identity", "StopGradient", "PreventGradient", "Snapshot", "GuaranteeConst", "ReadVariableOp")
def identity(b: Builder, x: Tensor, *, message: str = "", dtype: Any = None) -> Tensor:
    """Identity and its kin: the tensor itself."""
    return x


@to_nnef("tf", "IdentityN")
def identity_n(b: Builder, *xs: Tensor) -> list[Tensor]:
    """IdentityN: the tensors themselves."""
    return list(xs)


@to_nnef("tf", "IsInf")
def is_infinite(b: Builder, x: Tensor) -> Tensor:
    """IsInf, of either sign."""
    return is_inf(b, x)


@to_nnef("tf", "IsFinite")
def is_finite(b: Builder, x: Tensor) -> Tensor:
    """IsFinite: x - x is zero."""
    return b.eq(b.sub(x, x), 0.0)


@to_nnef("tf", "AddN", "AccumulateNV2")
def add_n(b: Builder, *xs: Tensor, shape: Any = None) -> Tensor:
    """AddN -> add_n; add for two operands."""
    if len(xs) <= 2:
        return xs[0] if len(xs) == 1 else b.add(*xs)
    return b.add_n(list(xs))


@to_nnef("tf", "Round", "Rint")
def round_to_even(b: Builder, x: Tensor) -> Tensor:
    """Round to the nearest, ties to even."""
    return x if is_integer(x.dtype) else round_half_even(b, x)


@to_nnef("tf", "SquaredDifference")
def squared_difference(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """SquaredDifference: (x - y)^2."""
    return b.sqr(b.sub(*aligned(b, x, y)))


# division


def _integers(b: Builder, x: Tensor, y: Tensor, function: Callable[[Any, Any], Any]) -> Tensor | None:
    """The exact result for constant integers; None for others."""
    known = b.value(x), b.value(y)
    if known[0] is None or known[1] is None or not is_integer(x.dtype):
        return None
    if not np.all(known[1]):
        raise Unsupported("division of a constant by zero")
    return b.constant(np.asarray(function(*known)).astype(x.dtype))


def _truncated(x: Any, y: Any) -> Any:
    """The quotient rounded towards zero, of integers."""
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


@to_nnef("tf", "Div", "TruncateDiv")
def divide(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Div and TruncateDiv: of integers the quotient rounded towards zero."""
    exact = _integers(b, x, y, _truncated)
    return exact if exact is not None else b.div(*aligned(b, x, y))


@to_nnef("tf", "FloorDiv")
def floor_divide(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """FloorDiv: the floor of the quotient."""
    exact = _integers(b, x, y, np.floor_divide)
    if exact is not None:
        return exact
    dtype = x.dtype
    x, y = aligned(b, x, y)
    if not is_integer(dtype):
        return b.floor(b.div(x, y))
    b.rounded.add("div")
    return b.cast(b.floor(b.div(b.cast(x, np.float32), b.cast(y, np.float32))), dtype)


@to_nnef("tf", "FloorMod")
def floor_modulo(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """FloorMod: the remainder with the sign of the divisor."""
    exact = _integers(b, x, y, np.mod)
    return exact if exact is not None else modulo(b, x, y)


@to_nnef("tf", "Mod", "TruncateMod")
def truncate_modulo(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Mod and TruncateMod: the remainder with the sign of the dividend."""
    exact = _integers(b, x, y, np.fmod)
    return exact if exact is not None else modulo(b, x, y, fmod=1)


def _where_not_zero(b: Builder, factor: Tensor, result: Tensor) -> Tensor:
    """The result, but zero where the factor is."""
    return b.select(b.eq(factor, 0.0), b.constant(0, result.dtype), result)


@to_nnef("tf", "DivNoNan")
def divide_no_nan(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """DivNoNan: x / y, but zero where y is."""
    x, y = aligned(b, x, y)
    return _where_not_zero(b, y, b.div(x, y))


@to_nnef("tf", "MulNoNan")
def multiply_no_nan(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """MulNoNan: x * y, but zero where y is, whatever x is."""
    x, y = aligned(b, x, y)
    return _where_not_zero(b, y, b.mul(x, y))


@to_nnef("tf", "Xdivy")
def x_divided_by_y(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Xdivy: x / y, but zero where x is."""
    x, y = aligned(b, x, y)
    return _where_not_zero(b, x, b.div(x, y))


@to_nnef("tf", "Xlogy")
def x_log_y(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Xlogy: x * log(y), but zero where x is."""
    x, y = aligned(b, x, y)
    return _where_not_zero(b, x, b.mul(x, b.log(y)))


@to_nnef("tf", "Xlog1py")
def x_log_one_plus_y(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Xlog1py: x * log(1 + y), but zero where x is."""
    x, y = aligned(b, x, y)
    return _where_not_zero(b, x, b.mul(x, log1p(b, y)))


# selection and limits

to_nnef("tf", "ClipByValue")(clip)


@to_nnef("tf", "Erfc")
def erfc(b: Builder, x: Tensor) -> Tensor:
    """Erfc: 1 - erf(x)."""
    return b.sub(1.0, b.erf(x))


def _near_zero(b: Builder, x: Tensor, near: Tensor, else_: Tensor) -> Tensor:
    return b.select(b.lt(b.abs(x), 0.5), near, else_)


@to_nnef("tf", "Expm1")
def expm1(b: Builder, x: Tensor) -> Tensor:
    """Expm1: exp(x) - 1, near zero 2 t / (1 - t) with t = tanh(x / 2), which is the same without cancellation."""
    t = b.tanh(b.mul(x, 0.5))
    return _near_zero(b, x, b.div(b.mul(t, 2.0), b.sub(1.0, t)), b.sub(b.exp(x), 1.0))


@to_nnef("tf", "Log1p")
def log1p(b: Builder, x: Tensor) -> Tensor:
    """Log1p: log(1 + x), near zero 2 atanh(x / (2 + x)), which is the same without cancellation."""
    return _near_zero(b, x, b.mul(b.atanh(b.div(x, b.add(x, 2.0))), 2.0), b.log(b.add(x, 1.0)))


@to_nnef("tf", "Atan2")
def atan2(b: Builder, y: Tensor, x: Tensor) -> Tensor:
    """Atan2: the angle of (x, y): atan(y / x), moved by half a turn for x < 0; the axes are handled apart."""
    y, x = aligned(b, y, x)
    pi = math.pi
    vertical = b.mul(b.sign(y), b.constant(pi / 2, y.dtype))
    upper = b.ge(y, b.constant(0, y.dtype))
    angle = b.atan(b.div(y, b.select(b.eq(x, 0.0), 1.0, x)))
    turned = b.add(angle, b.select(upper, b.constant(pi, y.dtype), b.constant(-pi, y.dtype)))
    zero = b.constant(np.zeros((), y.dtype))
    return b.select(b.gt(x, zero), angle, b.select(b.lt(x, zero), turned, vertical))


@to_nnef("tf", "Select")
def select_like(b: Builder, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Select -> select; a condition of rank 1 chooses whole parts along the first axis."""
    if len(shape(condition)) == 1 and len(shape(x)) > 1:
        condition = reshape(b, condition, [*shape(condition), *[1] * (len(shape(x)) - 1)])
    return b.select(condition, x, y)


@to_nnef("tf", "SelectV2")
def select(b: Builder, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """SelectV2 -> select."""
    return b.select(*aligned(b, condition, x, y))


# types


@to_nnef("tf", "Cast")
def cast(b: Builder, x: Tensor, *, DstT: Any, Truncate: bool = False) -> Tensor:
    """Cast -> cast; real to integer truncates."""
    return convert_dtype(b, x, DstT, saturate=False)


@to_nnef("tf", "Bitcast")
def bitcast(b: Builder, x: Tensor, *, type: Any) -> Tensor:
    """Bitcast of constants, and between integers of one width."""
    return reinterpret(b, x, type)


def _shift(direction: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, y: Tensor) -> Tensor:
        return bit_shift(b, x, y, direction=direction)

    return convert


to_nnef("tf", "LeftShift")(_shift("LEFT"))
to_nnef("tf", "RightShift")(_shift("RIGHT"))
