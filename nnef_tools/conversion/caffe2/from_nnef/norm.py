"""NNEF to Caffe2: normalizations."""

from __future__ import annotations

from math import prod
from typing import Any

from ....model import Tensor
from ....ops.window import Window
from ....optimization.nnef import idioms
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import Caffe2Builder


@from_nnef("caffe2", "batch_normalization")
def batch_normalization(
    b: Caffe2Builder, input: Tensor, mean: Tensor, variance: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float
) -> Tensor:
    """batch_normalization -> SpatialBN with parameters per channel; with others by its formula."""
    own = shape(input)
    vectors = [b.per_channel(x, own[1]) for x in (scale, offset, mean, variance)] if len(own) >= 2 else []
    if vectors and all(vector is not None for vector in vectors):
        return known(b.op("SpatialBN", input, *vectors, epsilon=float(epsilon), is_test=1, order="NCHW"), own)
    deviation = b.nnef.sqrt(b.nnef.add(variance, float(epsilon)))
    centered = b.nnef.sub(input, mean)
    return b.nnef.add(b.nnef.mul(centered, b.nnef.div(scale, deviation)), offset)


@from_nnef("caffe2", idioms.INSTANCE_NORMALIZATION)
def instance_normalization(b: Caffe2Builder, x: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float) -> Tensor:
    """batch_normalization by the moments of each channel -> InstanceNorm of images."""
    own = shape(x)
    vectors = [b.per_channel(item, own[1]) for item in (scale, offset)]
    image = x if len(own) == 4 else b.reshape(x, [own[0], own[1], 1, prod(own[2:])])
    y = known(b.op("InstanceNorm", image, *vectors, epsilon=float(epsilon), order="NCHW"), shape(image))
    return b.reshape(y, own)


@from_nnef("caffe2", "local_response_normalization")
def local_response_normalization(
    b: Caffe2Builder, input: Tensor, *, size: list[int], alpha: float, beta: float, bias: float
) -> Tensor:
    """local_response_normalization -> LRN across the channels of images; over other windows by its definition."""
    own = shape(input)
    across = all(n == 1 for k, n in enumerate(size) if k != 1)
    if len(own) == 4 and size[1] % 2 and across:
        options: dict[str, Any] = {"alpha": float(alpha), "beta": float(beta), "bias": float(bias)}
        return known(b.op("LRN", input, size=size[1], **options, order="NCHW"), own)
    means = b.nnef.box(b.nnef.sqr(input), **Window(size).attributes(), normalize=True)
    sigma = b.nnef.add(b.nnef.mul(means, float(alpha)), float(bias))
    return b.nnef.div(input, b.nnef.pow(sigma, float(beta)))
