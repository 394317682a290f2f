"""NNEF to TensorFlow Lite: normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....model import Tensor
from ...engine.rules import from_nnef
from ..building import TfliteBuilder


@from_nnef("tflite", "batch_normalization")
def batch_normalization(
    b: TfliteBuilder,
    input: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor,
    scale: Tensor,
    *,
    epsilon: float,
) -> Tensor:
    """batch_normalization -> MUL and ADD, with constant parameters as a factor and an offset in their precision."""
    values = [b.value(x) for x in (mean, variance, offset, scale)]
    if any(value is None for value in values):
        factor = b.nnef.mul(scale, b.nnef.rsqrt(b.nnef.add(variance, epsilon)))
        return b.nnef.add(b.nnef.mul(b.nnef.sub(input, mean), factor), offset)
    m, v, o, s = (np.asarray(value, np.float64) for value in values)
    rank = max(x.ndim for x in (m, v, o, s))
    m, v, o, s = (x.reshape([*x.shape, *[1] * (rank - x.ndim)]) if x.ndim else x for x in (m, v, o, s))
    multiplier: Any = s / np.sqrt(v + epsilon)
    addend: Any = o - m * multiplier
    product = b.nnef.mul(input, b.constant(multiplier.astype(b.real), base=scale))
    return b.nnef.add(product, b.constant(addend.astype(b.real), base=offset))
