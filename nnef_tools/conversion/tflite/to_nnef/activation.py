"""Activations that are not an operator of TensorFlow, or have other options there."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import right_aligned, shape
from ...compose.arithmetic import gelu as gelu_of
from ...engine.rules import to_nnef
from ...onnx.to_nnef.activation import hard_swish as hard_swish_of
from ..common import activated


@to_nnef("tflite", "PRELU")
def prelu(b: Builder, x: Tensor, slope: Tensor) -> Tensor:
    """PRELU -> prelu; the slope broadcasts on the right."""
    return b.prelu(x, right_aligned(b, slope, len(shape(x))))


@to_nnef("tflite", "RELU_N1_TO_1")
def relu_n1_to_1(b: Builder, x: Tensor) -> Tensor:
    """RELU_N1_TO_1: clamp to [-1, 1]."""
    return activated(b, x, "RELU_N1_TO_1")


@to_nnef("tflite", "RELU_0_TO_1")
def relu_0_to_1(b: Builder, x: Tensor) -> Tensor:
    """RELU_0_TO_1: clamp to [0, 1]."""
    return b.clamp(x, 0.0, 1.0)


@to_nnef("tflite", "HARD_SWISH")
def hard_swish(b: Builder, x: Tensor) -> Tensor:
    """HARD_SWISH: x * clamp(x / 6 + 0.5, 0, 1)."""
    return hard_swish_of(b, x)


@to_nnef("tflite", "GELU")
def gelu(b: Builder, x: Tensor, *, approximate: bool = False) -> Tensor:
    """GELU, exact with erf or the tanh form."""
    return gelu_of(b, x, approximate="tanh" if approximate else "none")


@to_nnef("tflite", "SOFTMAX")
def softmax(b: Builder, x: Tensor, *, beta: float = 0.0) -> Tensor:
    """SOFTMAX -> softmax of beta * x over the last axis."""
    scaled = x if beta == 1.0 else b.mul(x, beta)
    return b.softmax(scaled, axes=[len(shape(x)) - 1])
