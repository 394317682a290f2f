"""Fake quantization: reals rounded to the levels that integers of a width would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....dialects.tf.types import CODES
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import positive, shape
from ...compose.number_types import round_half_even
from ...compose.slicing import reshape_inferred
from ...engine.rules import Array, Float, Int, to_nnef


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


@dataclass(frozen=True)
class _Levels:
    """How reals become codes and back: zero is a level, and the codes fit the bits.

    The end of the range that needs the smaller scale stays, the other one moves. first, last: codes.
    """

    low: Tensor
    high: Tensor
    scale: Tensor
    step: Tensor

    @classmethod
    def of(cls, b: Builder, low: Tensor, high: Tensor, first: int, last: int) -> _Levels:
        most = b.constant(np.finfo(low.dtype).max, low.dtype)
        by_high = b.select(b.gt(high, 0.0), b.div(float(last), high), most)
        if first == 0:  # nothing below zero has a code
            step = b.div(high, float(last))
            return cls(b.mul(step, 0.0), high, by_high, step)
        by_low = b.select(b.lt(low, 0.0), b.div(float(first), low), most)
        keeps_low = b.lt(by_low, by_high)
        step = b.select(keeps_low, b.div(low, float(first)), b.div(high, float(last)))
        ends = b.select(keeps_low, low, b.mul(step, float(first))), b.select(keeps_low, b.mul(step, float(last)), high)
        return cls(*ends, b.select(keeps_low, by_low, by_high), step)


@to_nnef("tf", "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4")
def quantize_and_dequantize(
    b: Builder,
    x: Tensor,
    low: Tensor,
    high: Tensor,
    *,
    signed_input: bool = True,
    num_bits: int = 8,
    range_given: bool = False,
    round_mode: str = "HALF_TO_EVEN",
    narrow_range: bool = False,
    axis: int = -1,
) -> Tensor:
    """QuantizeAndDequantizeV2 and V4: as integers of that width would have it. Without a range, by that of x."""
    if round_mode not in ("HALF_TO_EVEN", "HALF_UP"):
        raise Unsupported(f"round_mode = '{round_mode}' is not known")
    if not 1 < num_bits < 63:
        raise Unsupported(f"num_bits = {num_bits}")
    rank = len(shape(x))
    kept = [] if axis == -1 else [positive(axis, rank)]
    if range_given:
        own = [-1 if k in kept else 1 for k in range(rank)] if kept else []
        low, high = (reshape_inferred(b, item, own) for item in (low, high))
    else:
        others = [k for k in range(rank) if k not in kept]
        low, high = (reduce(x, axes=others) for reduce in (b.min_reduce, b.max_reduce)) if others else (x, x)
    first = (1 if narrow_range else 0) - 2 ** (num_bits - 1) if signed_input else 0
    levels = _Levels.of(b, low, high, first, 2 ** (num_bits - 1 if signed_input else num_bits) - 1)
    codes = b.mul(b.clamp(x, levels.low, levels.high) if range_given else x, levels.scale)
    rounded = b.floor(b.add(codes, 0.5)) if round_mode == "HALF_UP" else round_half_even(b, codes)
    return b.mul(rounded, levels.step)


@to_nnef("tf", "QuantizeAndDequantizeV3")
def quantize_and_dequantize_bits(
    b: Builder,
    x: Tensor,
    low: Tensor,
    high: Tensor,
    num_bits: Int,
    *,
    signed_input: bool = True,
    range_given: bool = True,
    narrow_range: bool = False,
    axis: int = -1,
) -> Tensor:
    """QuantizeAndDequantizeV3: the number of bits is an input."""
    return quantize_and_dequantize(
        b, x, low, high, signed_input=signed_input, num_bits=num_bits, range_given=range_given,
        narrow_range=narrow_range, axis=axis,
    )  # fmt: skip


@to_nnef("tf", "Dequantize")
def dequantize(
    b: Builder,
    codes: Array,
    low: Array,
    high: Array,
    *,
    mode: str = "MIN_COMBINED",
    narrow_range: bool = False,
    axis: int = -1,
    T: Any = None,
    dtype: Any = np.float32,
) -> Tensor:
    """Dequantize of a constant, as TensorFlow's CPU kernel computes it, in float32."""
    if T not in CODES:
        raise Unsupported(f"codes of type {T}")
    info = np.iinfo(CODES[T])
    first, last = float(info.min), float(info.max)
    real = codes.astype(np.float32)
    if axis != -1:
        along = [-1 if k == positive(axis, real.ndim) else 1 for k in range(real.ndim)]
        low, high = low.reshape(along), high.reshape(along)
    if mode == "MIN_COMBINED":
        half = np.float32(0 if first == 0 else (last - first + 1) / 2)
        values = (real + half) * ((high - low) / np.float32(last - first)) + low
    elif mode == "MIN_FIRST":
        step = (high.astype(np.float64) - low) / (last - first)
        base = (np.rint(low / step) * step if np.any(step) else low).astype(np.float32)
        values = base + (real - np.float32(first)) * step.astype(np.float32)
    elif mode == "SCALED":
        step = high / np.float32(last)
        values = real * (np.maximum(low / np.float32(first + narrow_range), step) if first else step)
    else:
        raise Unsupported(f"mode = '{mode}' is not known")
    return b.constant(values.astype(dtype))
