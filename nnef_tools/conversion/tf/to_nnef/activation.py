"""Activation functions."""

from __future__ import annotations

import math

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import aligned, shape
from ...compose.arithmetic import log_softmax, softsign
from ...engine.rules import to_nnef
from ..common import SELU


@to_nnef("tf", "Relu6")
def relu6(b: Builder, x: Tensor) -> Tensor:
    """Relu6: clamp between 0 and 6."""
    return b.clamp(x, 0.0, 6.0)


@to_nnef("tf", "LeakyRelu")
def leaky_relu(b: Builder, x: Tensor, *, alpha: float = 0.2) -> Tensor:
    """LeakyRelu -> leaky_relu."""
    return b.leaky_relu(x, alpha=alpha)


@to_nnef("tf", "Elu")
def elu(b: Builder, x: Tensor) -> Tensor:
    """Elu -> elu."""
    return b.elu(x, alpha=1.0)


@to_nnef("tf", "Selu")
def selu(b: Builder, x: Tensor) -> Tensor:
    """Selu -> selu with the constants of its inventors, which are NNEF's defaults up to the accuracy of float32."""
    if x.dtype is np.float64:
        return b.selu(x, **dict(zip(("alpha", "lambda"), SELU, strict=True)))
    return b.selu(x)


to_nnef("tf", "Softsign")(softsign)


def _last_axis(x: Tensor) -> list[int]:
    if not shape(x):
        raise Unsupported("input of rank 0")
    return [len(shape(x)) - 1]


@to_nnef("tf", "Softmax")
def softmax(b: Builder, x: Tensor) -> Tensor:
    """Softmax -> softmax over the last axis."""
    return b.softmax(x, axes=_last_axis(x))


@to_nnef("tf", "LogSoftmax")
def log_softmax_of(b: Builder, x: Tensor) -> Tensor:
    """LogSoftmax over the last axis."""
    return log_softmax(b, x, _last_axis(x))


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
