"""Elementwise functions, scales and sums."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import positive, shape, unsqueeze
from ...compose.arithmetic import power as powers
from ...engine.rules import to_nnef
from ...maths.generated import filled


@to_nnef("caffe", "AbsVal")
def abs_val(b: Builder, x: Tensor) -> Tensor:
    """AbsVal -> abs."""
    return b.abs(x)


def _affine(b: Builder, x: Tensor, scale: float, shift: float) -> Tensor:
    """scale x + shift."""
    y = x if scale == 1 else b.mul(x, scale)
    return y if shift == 0 else b.add(y, shift)


@to_nnef("caffe", "Power")
def power(b: Builder, x: Tensor, *, power: float = 1.0, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Power: (shift + scale x) ^ power; a constant if the power or the scale is 0."""
    if power == 0 or scale == 0:
        return b.constant(filled(shape(x), np.float32(1 if power == 0 else shift**power), np.float32))
    y = _affine(b, x, scale, shift)
    return y if power == 1 else powers(b, y, b.constant(power, np.float32))


@to_nnef("caffe", "Exp")
def exp(b: Builder, x: Tensor, *, base: float = -1.0, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Exp: base ^ (shift + scale x), with e for base -1."""
    if base != -1 and base <= 0:
        raise InvalidOperator(f"base {base} is not positive")
    factor = 1.0 if base == -1 else math.log(base)
    y = b.exp(_affine(b, x, factor * scale, 0.0))
    return y if shift == 0 else b.mul(y, math.exp(factor * shift))


@to_nnef("caffe", "Log")
def log(b: Builder, x: Tensor, *, base: float = -1.0, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Log: the logarithm of shift + scale x, with e for base -1."""
    if base != -1 and (base <= 0 or base == 1):
        raise InvalidOperator(f"base {base} has no logarithm")
    y = b.log(_affine(b, x, scale, shift))
    return y if base == -1 else b.mul(y, 1 / math.log(base))


@to_nnef("caffe", "Threshold")
def threshold(b: Builder, x: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Threshold: 1 above it, else 0."""
    return b.select(b.gt(x, threshold), 1.0, 0.0)


@to_nnef("caffe", "Eltwise")
def eltwise(b: Builder, *xs: Tensor, operation: str = "SUM", coeff: list[float] | None = None) -> Tensor:
    """Eltwise: a sum with coefficients, a product or a maximum of tensors of one shape."""
    if len(xs) < 2:
        raise InvalidOperator("needs two bottoms or more")
    if any(shape(x) != shape(xs[0]) for x in xs):
        raise InvalidOperator(f"bottoms of shapes {[shape(x) for x in xs]} differ")
    if coeff and len(coeff) != len(xs):
        raise InvalidOperator(f"{len(coeff)} coefficients for {len(xs)} bottoms")
    if operation == "SUM":
        return reduce(b.add, [x if c == 1 else b.mul(x, c) for x, c in zip(xs, coeff or [1] * len(xs), strict=True)])
    if operation not in ("PROD", "MAX"):
        raise Unsupported(f"operation {operation} is not known")
    if operation == "PROD" and coeff:
        raise InvalidOperator("coefficients of a product")
    return reduce(b.mul if operation == "PROD" else b.max, xs)


@to_nnef("caffe", "Axpy")
def axpy(b: Builder, a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Axpy: a x + y, with a factor for each item of the batch and each channel."""
    if shape(a)[:2] != shape(x)[:2] or any(n != 1 for n in shape(a)[2:]) or shape(x) != shape(y):
        raise InvalidOperator(f"bottoms of shapes {shape(a)}, {shape(x)} and {shape(y)} do not fit")
    return b.add(b.mul(x, a), y)


def _placed(b: Builder, x: Tensor, y: Tensor, axis: int, num_axes: int | None) -> Tensor:
    """y, whose first dimension is that of x at the axis, with leading axes. num_axes: those of y; None for any."""
    rank = len(shape(x))
    first = positive(axis, rank) if rank else 0
    count = len(shape(y)) if num_axes is None else rank - first if num_axes == -1 else num_axes
    own = shape(y)
    if count == 0 and own == [1]:
        return y
    if len(own) != count or own != shape(x)[first : first + count]:
        raise InvalidOperator(f"a parameter of shape {own} does not fit axes from {first} on of {shape(x)}")
    return y if not own else unsqueeze(b, y, range(first))


@to_nnef("caffe", "Scale")
def scale(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = 1,
    num_axes: int = 1,
    bias_term: bool = False,
) -> Tensor:
    """Scale: a product with weights or a second bottom along some axes, and a sum with weights."""
    if bias_term != (bias is not None):
        raise InvalidOperator(
            f"bias_term is {bias_term}, but there are weights for {1 if bias is None else 2} parameters"
        )
    axes = num_axes if scale.data is not None else None
    y = b.mul(x, _placed(b, x, scale, axis, axes))
    return y if bias is None else b.add(y, _placed(b, x, bias, axis, None))


@to_nnef("caffe", "Bias")
def bias(b: Builder, x: Tensor, bias: Tensor, *, axis: int = 1, num_axes: int = 1) -> Tensor:
    """Bias: a sum with weights or a second bottom along some axes."""
    return b.add(x, _placed(b, x, bias, axis, num_axes if bias.data is not None else None))
