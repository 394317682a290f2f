"""Fake quantization: reals rounded to the levels that integers of a width would have."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..build import shape
from ..builder import Builder
from ..rules import Array, Float, to_nnef


def nudged_range(low: Any, high: Any, num_bits: int, narrow_range: bool) -> tuple[Any, Any, Any]:
    """Lower end, upper end and step of the levels, in float32, moved such that zero is a level (TensorFlow's nudging).

    low, high: float32 arrays. Unsupported if a range is empty.
    """
    first, last = np.float32(1 if narrow_range else 0), np.float32(2**num_bits - 1)
    if np.any(low >= high):
        raise Unsupported(f"ranges from {low} to {high} are empty")
    step = (high - low) / (last - first)
    zero = first - low / step
    zero = np.where(zero < first, first, np.where(zero > last, last, np.floor(zero + np.float32(0.5))))
    return ((first - zero) * step).astype(np.float32), ((last - zero) * step).astype(np.float32), step


def _quantized(b: Builder, x: Tensor, low: Any, high: Any, num_bits: int, narrow_range: bool) -> Tensor:
    low, high, step = nudged_range(low, high, num_bits, narrow_range)
    level = b.floor(b.add(b.mul(b.sub(b.clamp(x, low, high), low), np.float32(1) / step), 0.5))
    return b.add(b.mul(level, step), low)


@to_nnef("tf", "FakeQuantWithMinMaxArgs")
def fake_quant_args(
    b: Builder, x: Tensor, *, min: float = -6.0, max: float = 6.0, num_bits: int = 8, narrow_range: bool = False
) -> Tensor:
    """FakeQuantWithMinMaxArgs."""
    return _quantized(b, x, np.float32(min), np.float32(max), num_bits, narrow_range)


@to_nnef("tf", "FakeQuantWithMinMaxVars")
def fake_quant_vars(
    b: Builder, x: Tensor, min: Float, max: Float, *, num_bits: int = 8, narrow_range: bool = False
) -> Tensor:
    """FakeQuantWithMinMaxVars with a constant range."""
    return _quantized(b, x, np.float32(min), np.float32(max), num_bits, narrow_range)


@to_nnef("tf", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quant_per_channel(
    b: Builder, x: Tensor, min: Array, max: Array, *, num_bits: int = 8, narrow_range: bool = False
) -> Tensor:
    """FakeQuantWithMinMaxVarsPerChannel: a range per position of the last axis."""
    aligned = [1] * (len(shape(x)) - 1) + [-1]
    return _quantized(b, x, min.reshape(aligned), max.reshape(aligned), num_bits, narrow_range)
