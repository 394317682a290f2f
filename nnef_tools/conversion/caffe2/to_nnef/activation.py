"""Activation functions."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, positive, reshape, right_aligned, shape
from ...compose.arithmetic import gelu as gelu_of
from ...compose.arithmetic import softsign, unary
from ...engine.rules import to_nnef
from ...onnx.to_nnef import activation as onnx
from ..common import is_channels_last

for _type, _nnef in (
    ("Relu", "relu"),
    ("Int8Relu", "relu"),
    ("Sigmoid", "sigmoid"),
    ("Int8Sigmoid", "sigmoid"),
    ("Softplus", "softplus"),
    ("Tanh", "tanh"),
    ("Swish", "silu"),
):
    to_nnef("caffe2", _type)(unary(_nnef))
to_nnef("caffe2", "Softsign")(softsign)
to_nnef("caffe2", "Mish")(onnx.mish)
to_nnef("caffe2", "HardSigmoid")(onnx.hard_sigmoid)
to_nnef("caffe2", "ThresholdedRelu")(onnx.thresholded_relu)
to_nnef("caffe2", "LeakyRelu", "Int8LeakyRelu")(onnx.leaky_relu)
to_nnef("caffe2", "Elu")(onnx.elu)


@to_nnef("caffe2", "Selu")
def selu(
    b: Builder, x: Tensor, *, alpha: float = 1.6732632423543772848170429916717, scale: float = 1.0507009873554804934193
) -> Tensor:
    """Selu -> selu."""
    return onnx.selu(b, x, alpha=alpha, gamma=scale)


@to_nnef("caffe2", "Gelu")
def gelu(b: Builder, x: Tensor, *, fast_gelu: int = 0) -> Tensor:
    """Gelu, exact with erf or the tanh form."""
    return gelu_of(b, x, approximate="tanh" if fast_gelu else "none")


@to_nnef("caffe2", "ReluN")
def relu_n(b: Builder, x: Tensor, *, n: float) -> Tensor:
    """ReluN: clamp to [0, n]."""
    return b.clamp(x, 0.0, float(n))


@to_nnef("caffe2", "Clip")
def clip(
    b: Builder, x: Tensor, *, min: float = float(np.finfo(np.float32).min), max: float = float(np.finfo(np.float32).max)
) -> Tensor:
    """Clip -> clamp, or max or min."""
    limits = np.finfo(np.float32)
    lower = None if min <= limits.min else b.constant(min, x.dtype)
    upper = None if max >= limits.max else b.constant(max, x.dtype)
    if lower is not None and upper is not None:
        return b.clamp(x, lower, upper)
    return b.max(x, lower) if lower is not None else x if upper is None else b.min(x, upper)


@to_nnef("caffe2", "Logit")
def logit(b: Builder, x: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Logit: log(x / (1 - x)), of x in [eps, 1 - eps]."""
    inside = b.clamp(x, eps, 1.0 - eps)
    return b.log(b.div(inside, b.sub(1.0, inside)))


@to_nnef("caffe2", "PRelu")
def prelu(b: Builder, x: Tensor, slope: Tensor, *, order: str = "NCHW") -> Tensor:
    """PRelu -> prelu; the slope is one number, or one for each channel."""
    rank = len(shape(x))
    if slope.volume == 1:
        return b.prelu(x, reshape(b, slope, [1] * rank))
    return b.prelu(x, right_aligned(b, slope, rank) if is_channels_last(order) else channels(b, slope))


@to_nnef("caffe2", "Glu")
def glu(b: Builder, x: Tensor, *, dim: int = -1) -> Tensor:
    """Glu: the first half times the sigmoid of the second."""
    k = positive(dim, len(shape(x)))
    if shape(x)[k] % 2:
        raise Unsupported(f"axis {k} of extent {shape(x)[k]} has no halves")
    first, second = b.split(x, axis=k, ratios=[1, 1])
    return b.mul(first, b.sigmoid(second))


@to_nnef("caffe2", "Softmax", "Int8Softmax")
def softmax(b: Builder, x: Tensor, *, axis: int = 1) -> Tensor:
    """Softmax -> softmax over all axes from the given one on."""
    rank = len(shape(x))
    return b.softmax(x, axes=list(range(positive(axis, rank), rank)))
