"""Activation functions."""

from __future__ import annotations

import math

import numpy as np

from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import gelu, log_softmax, softsign, unary
from ...engine.rules import to_nnef
from ...maths import names
from ...maths.generated import positions
from ..common import boundary, channels, positive, right_aligned, shape

for _row in names.ACTIVATIONS:
    to_nnef("onnx", _row.onnx)(unary(_row.nnef))


@to_nnef("onnx", "LeakyRelu")
def leaky_relu(b: Builder, x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """LeakyRelu -> leaky_relu."""
    return b.leaky_relu(x, alpha=alpha)


@to_nnef("onnx", "PRelu")
def prelu(b: Builder, x: Tensor, slope: Tensor) -> Tensor:
    """PRelu -> prelu. Up to version 6 a slope of shape [C] is per channel; later it broadcasts on the right."""
    rank = len(shape(x))
    if b.version < 7 and len(shape(slope)) == 1 and rank > 1:
        return b.prelu(x, channels(b, slope))
    return b.prelu(x, right_aligned(b, slope, rank))


@to_nnef("onnx", "Elu")
def elu(b: Builder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Elu -> elu."""
    return b.elu(x, alpha=alpha)


@to_nnef("onnx", "Selu")
def selu_legacy(b: Builder, x: Tensor, *, alpha: float = 1.6732, gamma: float = 1.0507) -> Tensor:
    """Selu-1, with shorter default constants."""
    return selu(b, x, alpha=alpha, gamma=gamma)


@to_nnef("onnx", "Selu", since=6)
def selu(
    b: Builder, x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Tensor:
    """Selu -> selu."""
    return b.selu(x, alpha=alpha, **{"lambda": gamma})


@to_nnef("onnx", "Celu", since=12)
def celu(b: Builder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Celu: max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0), which is alpha * elu(x / alpha)."""
    return b.mul(b.elu(b.div(x, alpha), alpha=1.0), alpha)


to_nnef("onnx", "Gelu", since=20)(gelu)
to_nnef("onnx", "Gelu", domain="com.microsoft")(gelu)


@to_nnef("onnx", "HardSigmoid")
def hard_sigmoid(b: Builder, x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """HardSigmoid: clamp(alpha * x + beta, 0, 1)."""
    return b.clamp(b.add(b.mul(x, alpha), beta), 0.0, 1.0)


@to_nnef("onnx", "HardSwish", since=14)
def hard_swish(b: Builder, x: Tensor) -> Tensor:
    """HardSwish: x * clamp(x / 6 + 0.5, 0, 1)."""
    return b.mul(x, b.clamp(b.add(b.mul(x, 1 / 6), 0.5), 0.0, 1.0))


@to_nnef("onnx", "Mish", since=18)
def mish(b: Builder, x: Tensor) -> Tensor:
    """Mish: x * tanh(softplus(x))."""
    return b.mul(x, b.tanh(b.softplus(x)))


@to_nnef("onnx", "Swish", since=24)
def swish(b: Builder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Swish: x * sigmoid(alpha * x); silu for alpha = 1."""
    return b.silu(x) if alpha == 1.0 else b.mul(x, b.sigmoid(b.mul(x, alpha)))


to_nnef("onnx", "Softsign")(softsign)


@to_nnef("onnx", "ThresholdedRelu")
def thresholded_relu(b: Builder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """ThresholdedRelu: x where x > alpha, else 0."""
    return b.select(b.gt(x, alpha), x, 0.0)


@to_nnef("onnx", "Shrink", since=9)
def shrink(b: Builder, x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """Shrink: x + bias below -lambd, x - bias above lambd, else 0."""
    low = b.select(b.lt(x, -lambd), b.add(x, bias), b.constant(0, x.dtype))
    return b.select(b.gt(x, lambd), b.sub(x, bias), low)


def _softmax_axes(b: Builder, x: Tensor, axis: int | None) -> list[int]:
    """From version 13 on one axis, the last by default; before, all axes from the given one, 1 by default."""
    rank = len(shape(x))
    if b.version >= 13:
        return [positive(-1 if axis is None else axis, rank)]
    return list(range(boundary(1 if axis is None else axis, rank), rank))


@to_nnef("onnx", "Softmax")
def softmax(b: Builder, x: Tensor, *, axis: int | None = None) -> Tensor:
    """Softmax -> softmax over one or several axes."""
    return b.softmax(x, axes=_softmax_axes(b, x, axis))


@to_nnef("onnx", "LogSoftmax")
def log_softmax_of(b: Builder, x: Tensor, *, axis: int | None = None) -> Tensor:
    """LogSoftmax over one or several axes."""
    return log_softmax(b, x, _softmax_axes(b, x, axis))


@to_nnef("onnx", "Hardmax")
def hardmax(b: Builder, x: Tensor, *, axis: int | None = None) -> Tensor:
    """Hardmax: 1 at the first maximum, else 0."""
    axes = _softmax_axes(b, x, axis)
    extents = [shape(x)[k] for k in axes]
    place = positions(math.prod(extents), np.float32)
    grid = [1] * len(shape(x))
    for k, extent in zip(axes, extents, strict=True):
        grid[k] = extent
    first = b.cast(b.argmax_reduce(x, axes=axes), np.float32)
    return b.select(b.eq(b.constant(place.reshape(grid)), first), 1.0, 0.0)
