"""NNEF to TensorFlow: normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.window import Window
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder
from .pool import box


@from_nnef("tf", "batch_normalization")
def batch_normalization(
    b: TfBuilder,
    input: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor,
    scale: Tensor,
    *,
    epsilon: float,
) -> Tensor:
    """batch_normalization -> FusedBatchNormV3 for images with parameters per channel, else arithmetic."""
    own = shape(input)
    if len(own) == 4 and b.real is np.float32:
        parameters = [b.per_channel(x, own[1]) for x in (scale, offset, mean, variance)]
        vectors = [x for x in parameters if x is not None]
        if len(vectors) == len(parameters):
            x = b.to_format(input)
            attribs: dict[str, Any] = {"epsilon": float(epsilon), "data_format": b.data_format(2)}
            (y,) = b.FusedBatchNormV3(x, *vectors, **attribs, is_training=False, outputs=1)
            return b.from_format(known(y, shape(x)))
    centered = b.elementwise(b.Sub, input, mean)
    factor = b.elementwise(b.Rsqrt, b.elementwise(b.AddV2, variance, b.scalar(epsilon)))
    factor = b.elementwise(b.Mul, scale, factor)
    return b.elementwise(b.AddV2, b.elementwise(b.Mul, centered, factor), offset)


@from_nnef("tf", "local_response_normalization")
def local_response_normalization(
    b: TfBuilder, input: Tensor, *, size: Sequence[int], alpha: float = 1.0, beta: float = 0.5, bias: float = 1.0
) -> Tensor:
    """local_response_normalization -> LRN, which sums, for odd windows over channels of images; else arithmetic."""
    own, count = shape(input), max(size, default=1)
    if len(own) == 4 and list(size) == [1, count, 1, 1] and count % 2 and b.channels_last and b.real is np.float32:
        x = b.to_format(input)
        y = b.LRN(x, depth_radius=count // 2, bias=float(bias), alpha=float(alpha) / count, beta=float(beta))
        return b.from_format(known(y, shape(x)))
    mean = box(b, b.elementwise(b.Square, input), window=Window(size), normalize=True)
    sigma = b.elementwise(b.AddV2, b.scalar(bias), b.elementwise(b.Mul, b.scalar(alpha), mean))
    return b.elementwise(b.RealDiv, input, b.elementwise(b.Pow, sigma, b.scalar(beta)))
