"""NNEF to ONNX: normalizations."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ....ops.window import Window
from ....optimization.nnef import idioms
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape
from .pool import box


@from_nnef("onnx", "batch_normalization")
def batch_normalization(
    b: OnnxBuilder, input: Tensor, mean: Tensor, variance: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float
) -> Tensor:
    """batch_normalization -> BatchNormalization with parameters per channel; with others by its formula."""
    own = shape(input)
    exact = b.real is np.float32 or float(np.float32(epsilon)) == epsilon  # the attribute is of float32
    if len(own) >= 2 and exact and all(idioms.is_per_channel(x, own[1]) for x in (mean, variance, offset, scale)):
        vectors = _vectors(b, own[1], scale, offset, mean, variance)
        return known(b.BatchNormalization(input, *vectors, epsilon=epsilon), own)
    deviation = b.elementwise(b.Sqrt, b.elementwise(b.Add, variance, b.scalar(epsilon)))
    centered = b.elementwise(b.Sub, input, mean)
    return b.elementwise(b.Add, b.elementwise(b.Mul, centered, b.elementwise(b.Div, scale, deviation)), offset)


def _vectors(b: OnnxBuilder, channels: int, *parameters: Tensor) -> list[Tensor]:
    return [vector for x in parameters if (vector := b.per_channel(x, channels)) is not None]


@from_nnef("onnx", idioms.INSTANCE_NORMALIZATION)
def instance_normalization(b: OnnxBuilder, x: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float) -> Tensor:
    """batch_normalization by the moments of each channel -> InstanceNormalization."""
    vectors = _vectors(b, shape(x)[1], scale, offset)
    return known(b.InstanceNormalization(x, *vectors, epsilon=epsilon), shape(x))


@from_nnef("onnx", idioms.LAYER_NORMALIZATION)
def layer_normalization(
    b: OnnxBuilder, x: Tensor, scale: Tensor, bias: Tensor | None = None, *, count: int, epsilon: float
) -> Tensor:
    """Normalization by moments and a scale -> LayerNormalization, which runtimes do not make of all its forms."""
    own = shape(x)
    vectors = [b.reshape(item, own[-count:]) for item in (scale, bias) if item is not None]
    return known(b.LayerNormalization(x, *vectors, axis=-count, epsilon=epsilon), own)


@from_nnef("onnx", "local_response_normalization")
def local_response_normalization(
    b: OnnxBuilder, input: Tensor, *, size: list[int], alpha: float, beta: float, bias: float
) -> Tensor:
    """local_response_normalization -> LRN across channels; over other windows by its definition."""
    own = shape(input)
    across = all(n == 1 for k, n in enumerate(size) if k != 1)
    if len(own) == 4 and size[1] % 2 and across and b.real is np.float32:  # runtimes want images and odd sizes
        return known(b.LRN(input, size=size[1], alpha=alpha, beta=beta, bias=bias), own)
    means = box(b, b.elementwise(b.Mul, input, input), window=Window(size), normalize=True)
    sigma = b.elementwise(b.Add, b.elementwise(b.Mul, means, b.scalar(alpha)), b.scalar(bias))
    return b.elementwise(b.Div, input, b.elementwise(b.Pow, sigma, b.scalar(beta)))
