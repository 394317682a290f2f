"""Elementwise arithmetic, comparison, logic, casts and copies."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....dialects.caffe2.types import DATA_TYPE_NAMES, DATA_TYPES
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import aligned, reshape, shape, unsqueeze
from ...compose.arithmetic import is_nan, modulo, power, unary
from ...compose.number_types import convert_dtype
from ...engine.rules import to_nnef

_UNARY = {
    "Abs": "abs",
    "Acos": "acos",
    "Asin": "asin",
    "Atan": "atan",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Log": "log",
    "Negative": "neg",
    "Not": "not",
    "Rsqrt": "rsqrt",
    "Reciprocal": "rcp",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqr": "sqr",
    "Sqrt": "sqrt",
    "Tan": "tan",
}
_BINARY = {
    "Add": "add",
    "And": "and",
    "Div": "div",
    "EQ": "eq",
    "GE": "ge",
    "GT": "gt",
    "LE": "le",
    "LT": "lt",
    "Mul": "mul",
    "NE": "ne",
    "Or": "or",
    "Sub": "sub",
    "Xor": "ne",
}


def operands(
    b: Builder, x: Tensor, y: Tensor, broadcast: int, axis: int, axis_str: str, order: str
) -> tuple[Tensor, Tensor]:
    """The operands of an operator that broadcasts: the second from an axis of the first on, or else as in numpy."""
    if not broadcast:
        if axis != -1 or axis_str:
            raise Unsupported("an axis without broadcast")
        left, right = aligned(b, x, y)
        return left, right
    rank, own = len(shape(x)), len(shape(y))
    if y.volume == 1:
        return x, reshape(b, y, [1] * rank if y.data is None else [])
    start = axis
    if axis_str:
        if axis != -1 or axis_str not in order:
            raise Unsupported(f"axis_str = {axis_str!r} with axis = {axis} and order = {order!r}")
        start = order.index(axis_str)
    elif axis == -1:
        start = rank - own
    if not 0 <= start <= rank - own:
        raise Unsupported(f"shape {shape(y)} does not fit {shape(x)} from axis {start} on")
    if any(n not in (1, m) for n, m in zip(shape(y), shape(x)[start:], strict=False)):
        raise Unsupported(f"shape {shape(y)} does not fit {shape(x)} from axis {start} on")
    return x, unsqueeze(b, y, [*range(start), *range(start + own, rank)])


def _binary(nnef: str) -> Callable[..., Tensor]:
    def convert(
        b: Builder,
        x: Tensor,
        y: Tensor,
        *,
        broadcast: int = 0,
        axis: int = -1,
        axis_str: str = "",
        order: str = "NCHW",
    ) -> Tensor:
        return b.single(nnef, *operands(b, x, y, broadcast, axis, axis_str, order))

    return convert


for _type, _nnef in _UNARY.items():
    to_nnef("caffe2", _type)(unary(_nnef))
for _type, _nnef in _BINARY.items():
    to_nnef("caffe2", _type)(_binary(_nnef))
to_nnef("caffe2", "IsNaN")(is_nan)


@to_nnef("caffe2", "Cube")
def cube(b: Builder, x: Tensor) -> Tensor:
    """Cube: x * x * x."""
    return b.mul(b.sqr(x), x)


@to_nnef("caffe2", "Cbrt")
def cbrt(b: Builder, x: Tensor) -> Tensor:
    """Cbrt: the cube root, with the sign of x."""
    return b.mul(b.sign(x), b.pow(b.abs(x), 1.0 / 3.0))


@to_nnef("caffe2", "Log1p")
def log1p(b: Builder, x: Tensor) -> Tensor:
    """Log1p: log(1 + x); small x lose digits."""
    return b.log(b.add(x, 1.0))


@to_nnef("caffe2", "Pow")
def pow_of(
    b: Builder,
    x: Tensor,
    y: Tensor | None = None,
    *,
    exponent: float | None = None,
    broadcast: int = 0,
    axis: int = -1,
    axis_str: str = "",
    order: str = "NCHW",
) -> Tensor:
    """Pow -> pow; the exponent is an argument or a tensor."""
    if y is None:
        if exponent is None:
            raise Unsupported("there is no exponent")
        return power(b, x, b.constant(exponent, x.dtype))
    return power(b, *operands(b, x, y, broadcast, axis, axis_str, order))


def _checked(xs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if len({tuple(shape(x)) for x in xs}) > 1:
        raise Unsupported(f"shapes {', '.join(str(shape(x)) for x in xs)} differ")
    return xs


def _reduced(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, *xs: Tensor) -> Tensor:
        return functools.reduce(lambda total, y: b.single(nnef, total, y), _checked((x, *xs)))

    return convert


total = _reduced("add")
for _type, _nnef in (("Max", "max"), ("Min", "min"), ("Sum", "add"), ("Int8Sum", "add"), ("Int8Add", "add")):
    to_nnef("caffe2", _type)(_reduced(_nnef))


@to_nnef("caffe2", "SumRelu", "Int8SumRelu", "Int8AddRelu")
def sum_relu(b: Builder, x: Tensor, *xs: Tensor) -> Tensor:
    """SumRelu -> add, relu."""
    return b.relu(total(b, x, *xs))


@to_nnef("caffe2", "Mean")
def mean(b: Builder, x: Tensor, *xs: Tensor) -> Tensor:
    """Mean of any number of operands."""
    return b.div(total(b, x, *xs), float(len(xs) + 1)) if xs else x


@to_nnef("caffe2", "WeightedSum")
def weighted_sum(b: Builder, *xs: Tensor) -> Tensor:
    """WeightedSum of pairs of a tensor and a number."""
    if not xs or len(xs) % 2 or any(w.volume != 1 for w in xs[1::2]):
        raise Unsupported("inputs are not pairs of a tensor and a number")
    _checked(xs[::2])
    rank = len(shape(xs[0]))
    terms = [b.mul(x, reshape(b, w, [1] * rank)) for x, w in zip(xs[::2], xs[1::2], strict=True)]
    return total(b, *terms)


@to_nnef("caffe2", "Scale")
def scale_of(b: Builder, x: Tensor, *, scale: float = 1.0) -> Tensor:
    """Scale: x times a number."""
    return b.mul(x, float(scale))


@to_nnef("caffe2", "RowMul")
def row_mul(b: Builder, x: Tensor, w: Tensor) -> Tensor:
    """RowMul: a factor for each row."""
    return b.mul(x, reshape(b, w, [shape(x)[0]] + [1] * (len(shape(x)) - 1)))


@to_nnef("caffe2", "Mod")
def mod(b: Builder, x: Tensor, *, divisor: int, sign_follow_divisor: int = 0) -> Tensor:
    """Mod by a number, with the sign of the dividend or of the divisor."""
    if divisor < 1:
        raise Unsupported(f"divisor = {divisor}")
    return modulo(b, x, b.constant(divisor, x.dtype), fmod=0 if sign_follow_divisor else 1)


@to_nnef("caffe2", "Where")
def where(b: Builder, condition: Tensor, x: Tensor, y: Tensor, *, enable_broadcast: int = 0) -> Tensor:
    """Where -> select; with broadcasting, a condition for each item of the first axis."""
    if enable_broadcast:
        condition = reshape(b, condition, [math.prod(shape(condition))] + [1] * (len(shape(x)) - 1))
    return b.select(condition, x, y)


@to_nnef("caffe2", "Cast")
def cast(b: Builder, x: Tensor, *, to: Any) -> Tensor:
    """Cast -> cast; real to integer truncates."""
    code = DATA_TYPE_NAMES.get(to.upper()) if isinstance(to, str) else to
    dtype = DATA_TYPES.get(code) if isinstance(code, int) else None
    if dtype is None or dtype is np.str_:
        raise Unsupported(f"cannot cast to {to}")
    return convert_dtype(b, x, dtype)


@to_nnef("caffe2", "Copy", "Alias", "AliasWithName", "StopGradient", "EnsureCPUOutput", "EnsureDense", "CopyCPUToGPU",
         "CopyGPUToCPU", "CopyFromCPUInput", "NanCheck", "EnforceFinite")  # fmt: skip
def identity(b: Builder, x: Tensor, *, is_backward: int = 0, name: str = "") -> Tensor:
    """The tensor itself."""
    return x


@to_nnef("caffe2", "FloatToHalf", "HalfToFloat")
def half(b: Builder, x: Tensor) -> Tensor:
    """FloatToHalf, HalfToFloat: the tensor itself, since NNEF's scalar has no width."""
    b.warnings["half precision: NNEF's scalar has no width, so results are not rounded to it"] = None
    return x
