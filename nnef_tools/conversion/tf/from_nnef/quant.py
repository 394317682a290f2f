"""NNEF to TensorFlow: operations that quantize."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...engine.rules import from_nnef
from ..building import TfBuilder

FAKE_QUANT_BITS = range(2, 17)


@from_nnef("tf", "min_max_linear_quantize")
def min_max_linear_quantize(
    b: TfBuilder, x: Tensor, min: Tensor, max: Tensor, *, bits: int, signed: bool, symmetric: bool
) -> Tensor:
    """min_max_linear_quantize -> FakeQuantWithMinMaxArgs for a range with zero among its steps, else arithmetic."""
    narrow = signed and symmetric
    steps = 2**bits - 1 - narrow
    least, most = _number(b, x, min), _number(b, x, max)
    if least is not None and most is not None and _has_zero(least, most, steps) and _fake_quant_fits(b, bits):
        return b.elementwise(b.FakeQuantWithMinMaxArgs, x, min=least, max=most, num_bits=bits, narrow_range=narrow)
    width = b.elementwise(b.Sub, max, min)
    inside = b.elementwise(b.Maximum, b.elementwise(b.Minimum, x, max), min)
    part = b.elementwise(b.RealDiv, b.elementwise(b.Sub, inside, min), width)
    codes = b.nnef.round(b.elementwise(b.Mul, part, b.scalar(steps)))
    values = b.elementwise(b.Mul, b.elementwise(b.RealDiv, codes, b.scalar(steps)), width)
    return b.elementwise(b.AddV2, values, min)


@from_nnef("tf", "zero_point_linear_quantize")
def zero_point_linear_quantize(
    b: TfBuilder, x: Tensor, zero_point: Tensor, scale: Tensor, *, bits: int, signed: bool, symmetric: bool
) -> Tensor:
    """zero_point_linear_quantize -> FakeQuantWithMinMaxArgs where zero is among the values, else arithmetic."""
    narrow = signed and symmetric
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low = high - (2**bits - 1 - narrow)
    zero, unit = _number(b, x, zero_point), _number(b, x, scale)
    if zero is not None and unit is not None and low <= zero <= high and unit > 0 and _fake_quant_fits(b, bits):
        limits = {"min": (low - zero) * unit, "max": (high - zero) * unit}
        return b.elementwise(b.FakeQuantWithMinMaxArgs, x, **limits, num_bits=bits, narrow_range=narrow)
    offset = b.cast(zero_point, b.real)
    codes = b.elementwise(b.AddV2, b.nnef.round(b.elementwise(b.RealDiv, x, scale)), offset)
    codes = b.elementwise(b.ClipByValue, codes, b.scalar(low), b.scalar(high))
    return b.elementwise(b.Mul, b.elementwise(b.Sub, codes, offset), scale)


def _fake_quant_fits(b: TfBuilder, bits: int) -> bool:
    return bits in FAKE_QUANT_BITS and b.real is np.float32


def _number(b: TfBuilder, x: Tensor, parameter: Tensor) -> float | None:
    """A parameter that is constant and the same for all of x; None for any other."""
    value = b.value(parameter)
    return value.item() if value is not None and value.size == 1 and value.ndim <= len(shape(x)) else None


def _has_zero(least: float, most: float, steps: int) -> bool:
    """Is zero among the steps of a range? FakeQuant shifts one that does not have it."""
    if not least <= 0 <= most or least == most:
        return False
    zero = -least / (most - least) * steps
    return abs(zero - round(zero)) < 1e-4
