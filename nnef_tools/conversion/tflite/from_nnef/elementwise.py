"""NNEF to TensorFlow Lite: elementwise operations that it has no operator for, by identities that keep the accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfliteBuilder


@from_nnef("tflite", "copy")
def copy(b: TfliteBuilder, x: Tensor) -> Tensor:
    """copy: the tensor itself."""
    return x


@from_nnef("tflite", "copy_n")
def copy_n(b: TfliteBuilder, x: Tensor, *, times: int) -> list[Tensor]:
    """copy_n: the tensor itself, several times."""
    return [x] * times


@from_nnef("tflite", "add_n")
def add_n(b: TfliteBuilder, x: Sequence[Tensor]) -> Tensor:
    """add_n -> ADD_N, ADD for two; zero for no tensors."""
    if not x:
        return b.scalar(0.0)
    if len(x) <= 2:
        return x[0] if len(x) == 1 else b.nnef.add(*x)
    return known(b.AddN(*x), shape(x[0]))


@from_nnef("tflite", "rcp")
def rcp(b: TfliteBuilder, x: Tensor) -> Tensor:
    """rcp: 1 / x."""
    return b.nnef.div(1.0, x)


@from_nnef("tflite", "tan")
def tan(b: TfliteBuilder, x: Tensor) -> Tensor:
    """tan: sin(x) / cos(x)."""
    return b.nnef.div(b.nnef.sin(x), b.nnef.cos(x))


@from_nnef("tflite", "atan")
def atan(b: TfliteBuilder, x: Tensor) -> Tensor:
    """atan: the angle of the point (1, x)."""
    return b.elementwise(b.Atan2, x, b.constant(np.ones(shape(x)), b.real))


def _leg(b: TfliteBuilder, x: Tensor) -> Tensor:
    """sqrt(1 - x * x), exact near 1."""
    return b.nnef.sqrt(b.nnef.mul(b.nnef.sub(1.0, x), b.nnef.add(x, 1.0)))


@from_nnef("tflite", "asin")
def asin(b: TfliteBuilder, x: Tensor) -> Tensor:
    """asin: the angle of the point (sqrt(1 - x * x), x)."""
    return b.elementwise(b.Atan2, x, _leg(b, x))


@from_nnef("tflite", "acos")
def acos(b: TfliteBuilder, x: Tensor) -> Tensor:
    """acos: the angle of the point (x, sqrt(1 - x * x))."""
    return b.elementwise(b.Atan2, _leg(b, x), x)


def log1p(b: TfliteBuilder, x: Tensor) -> Tensor:
    """log(1 + x), accurate for small x: what 1 + x rounds off, x * log(u) / (u - 1) makes up for."""
    u = b.nnef.add(x, 1.0)
    rest = b.nnef.sub(u, 1.0)
    is_zero = b.nnef.eq(rest, 0.0)
    divisor = b.nnef.select(is_zero, b.scalar(1.0), rest)
    # an infinite u divides by infinity
    is_finite = b.nnef.lt(u, float(np.finfo(np.float32).max))
    scaled = b.nnef.mul(b.nnef.log(u), b.nnef.div(x, divisor))
    return b.nnef.select(is_zero, x, b.nnef.select(is_finite, scaled, b.nnef.log(u)))


@from_nnef("tflite", "asinh")
def asinh(b: TfliteBuilder, x: Tensor) -> Tensor:
    """asinh: sign(x) * log1p(|x| + x² / (1 + sqrt(x² + 1))), and log(2 * |x|) where squares overflow."""
    size = b.nnef.abs(x)
    root = b.nnef.sqrt(b.nnef.add(b.nnef.sqr(x), 1.0))
    fraction = b.nnef.mul(size, b.nnef.div(size, b.nnef.add(root, 1.0)))
    large = b.nnef.add(b.nnef.log(size), math.log(2))
    result = b.nnef.select(b.nnef.lt(size, 1e9), log1p(b, b.nnef.add(size, fraction)), large)
    return b.nnef.mul(b.nnef.sign(x), result)


@from_nnef("tflite", "acosh")
def acosh(b: TfliteBuilder, x: Tensor) -> Tensor:
    """acosh: log1p(t + sqrt(t) * sqrt(t + 2)) of t = x - 1."""
    t = b.nnef.sub(x, 1.0)
    root = b.nnef.mul(b.nnef.sqrt(t), b.nnef.sqrt(b.nnef.add(t, 2.0)))
    return log1p(b, b.nnef.add(t, root))


@from_nnef("tflite", "atanh")
def atanh(b: TfliteBuilder, x: Tensor) -> Tensor:
    """atanh: log1p(2 * x / (1 - x)) / 2."""
    return b.nnef.mul(log1p(b, b.nnef.div(b.nnef.mul(x, 2.0), b.nnef.sub(1.0, x))), 0.5)


@from_nnef("tflite", "sinh")
def sinh(b: TfliteBuilder, x: Tensor) -> Tensor:
    """sinh: half the difference of exponentials, 2 * u / (1 - u * u) of u = tanh(x / 2) where they are close."""
    u = b.nnef.tanh(b.nnef.mul(x, 0.5))
    small = b.nnef.div(b.nnef.mul(u, 2.0), b.nnef.mul(b.nnef.sub(1.0, u), b.nnef.add(u, 1.0)))
    large = b.nnef.sub(*_half_exponentials(b, x))
    return b.nnef.select(b.nnef.lt(b.nnef.abs(x), 1.0), small, large)


@from_nnef("tflite", "cosh")
def cosh(b: TfliteBuilder, x: Tensor) -> Tensor:
    """cosh: half the sum of exponentials."""
    return b.nnef.add(*_half_exponentials(b, x))


def _half_exponentials(b: TfliteBuilder, x: Tensor) -> tuple[Tensor, Tensor]:
    """exp(x) / 2 and exp(-x) / 2, which overflow later than exp(x) does."""
    half = float(np.log(2))
    return b.nnef.exp(b.nnef.sub(x, half)), b.nnef.exp(b.nnef.sub(b.nnef.neg(x), half))


_ERF_TERMS = [2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(8)]


@from_nnef("tflite", "erf")
def erf(b: TfliteBuilder, x: Tensor) -> Tensor:
    """erf: from GELU, z * (1 + erf(z / sqrt(2))) / 2; by its series, which converges at once, for small x."""
    z = b.nnef.mul(x, math.sqrt(2))
    gelu = known(b.builtin("GELU", z, approximate=False), shape(z))
    is_small = b.nnef.lt(b.nnef.abs(x), 0.5)
    divisor = b.nnef.select(is_small, b.scalar(1.0), z)
    large = b.nnef.sub(b.nnef.mul(b.nnef.div(gelu, divisor), 2.0), 1.0)
    square, series = b.nnef.sqr(x), b.scalar(_ERF_TERMS[-1])
    for term in reversed(_ERF_TERMS[:-1]):
        series = b.nnef.add(b.nnef.mul(square, series), term)
    return b.nnef.select(is_small, b.nnef.mul(x, series), large)


@from_nnef("tflite", "fmod")
def fmod(b: TfliteBuilder, x: Tensor, y: Tensor) -> Tensor:
    """fmod: FLOOR_MOD of magnitudes, with the sign of x."""
    rest = b.elementwise(b.FloorMod, _magnitude(b, x), _magnitude(b, y))
    zero = b.constant(0, x.dtype)
    negative = b.elementwise(b.Less, x, zero, dtype=np.bool_)
    return b.nnef.select(negative, b.elementwise(b.Neg, rest), rest)


def _magnitude(b: TfliteBuilder, x: Tensor) -> Tensor:
    return b.nnef.abs(x) if x.dtype is b.real else b.elementwise(b.Maximum, x, b.elementwise(b.Neg, x))
