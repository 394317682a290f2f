"""Fake quantization: reals rounded to the levels that integers of a width would have."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..build import positive, shape
from ..builder import Builder
from ..narrow import round_half_even
from ..rules import Array, Float, Int, to_nnef


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


def symmetric_scale(low: Any, high: Any, num_bits: int, signed: bool, narrow_range: bool) -> tuple[Any, Any, Any, Any]:
    """Lower end, upper end, scale and step of the levels of a range: zero is one of them, and the codes fit the bits.

    low, high: arrays. One end stays, which is the one that needs the smaller scale; the other end moves.
    """
    first = (1 if narrow_range else 0) - 2 ** (num_bits - 1) if signed else 0
    last = 2 ** (num_bits - 1) - 1 if signed else 2**num_bits - 1
    real = low.dtype.type
    lowest, highest, most = real(first), real(last), np.finfo(real).max
    with np.errstate(all="ignore"):
        by_low = np.where(lowest * low > 0, lowest / low, most)
        by_high = np.where(highest * high > 0, highest / high, most)
        keeps_low = by_low < by_high
        step = np.where(keeps_low, low / lowest, high / highest).astype(real)
        ends = np.where(keeps_low, low, lowest * step), np.where(keeps_low, highest * step, high)
    return *ends, np.where(keeps_low, by_low, by_high), step


def _quantized_and_back(
    b: Builder,
    x: Tensor,
    low: Any,
    high: Any,
    num_bits: int,
    signed_input: bool,
    round_mode: str,
    narrow_range: bool,
    axis: int,
) -> Tensor:
    rank = len(shape(x))
    if axis != -1:
        k = positive(axis, rank)
        low, high = (array.reshape([-1 if d == k else 1 for d in range(rank)]) for array in (low, high))
    if np.any(low > high) or not 0 < num_bits < 63:
        raise Unsupported(f"{num_bits} bits for ranges from {low} to {high}")
    low, high, scale, step = symmetric_scale(low, high, num_bits, signed_input, narrow_range)
    codes = b.mul(b.clamp(x, low, high), scale)
    if round_mode not in ("HALF_TO_EVEN", "HALF_UP"):
        raise Unsupported(f"round_mode = '{round_mode}' is not known")
    rounded = b.floor(b.add(codes, 0.5)) if round_mode == "HALF_UP" else round_half_even(b, codes)
    return b.mul(rounded, step)


def _require_range(range_given: bool) -> None:
    if not range_given:
        raise Unsupported("range_given = False: the range follows from the input")


@to_nnef("tf", "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4")
def quantize_and_dequantize(
    b: Builder,
    x: Tensor,
    low: Array,
    high: Array,
    *,
    signed_input: bool = True,
    num_bits: int = 8,
    range_given: bool = False,
    round_mode: str = "HALF_TO_EVEN",
    narrow_range: bool = False,
    axis: int = -1,
) -> Tensor:
    """QuantizeAndDequantizeV2 and V4 with a constant range."""
    _require_range(range_given)
    return _quantized_and_back(b, x, low, high, num_bits, signed_input, round_mode, narrow_range, axis)


@to_nnef("tf", "QuantizeAndDequantizeV3")
def quantize_and_dequantize_bits(
    b: Builder,
    x: Tensor,
    low: Array,
    high: Array,
    num_bits: Int,
    *,
    signed_input: bool = True,
    range_given: bool = True,
    narrow_range: bool = False,
    axis: int = -1,
) -> Tensor:
    """QuantizeAndDequantizeV3: the number of bits is an input."""
    _require_range(range_given)
    return _quantized_and_back(b, x, low, high, num_bits, signed_input, "HALF_TO_EVEN", narrow_range, axis)
