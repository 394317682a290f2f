"""NNEF to TensorFlow: normalization and quantization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ....ops.window import Window
from ...engine.rules import from_nnef
from ..building import (
    TfBuilder,
    cast,
    data_format,
    elementwise,
    floor_half_up,
    from_format,
    known,
    per_channel,
    scalar,
    shape,
    to_format,
)
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
        vectors = [per_channel(b, x, own[1]) for x in (scale, offset, mean, variance)]
        if all(x is not None for x in vectors):
            x = to_format(b, input)
            y = b.FusedBatchNormV3(
                x, *vectors, epsilon=float(epsilon), data_format=data_format(b, 2), is_training=False
            )
            return from_format(b, known(y, shape(x)))
    centered = elementwise(b, "Sub", input, mean)
    factor = elementwise(b, "Rsqrt", elementwise(b, "AddV2", variance, scalar(b, epsilon)))
    factor = elementwise(b, "Mul", scale, factor)
    return elementwise(b, "AddV2", elementwise(b, "Mul", centered, factor), offset)


@from_nnef("tf", "local_response_normalization")
def local_response_normalization(
    b: TfBuilder, input: Tensor, *, size: Sequence[int], alpha: float = 1.0, beta: float = 0.5, bias: float = 1.0
) -> Tensor:
    """local_response_normalization -> LRN, which sums, for odd windows over channels of images; else arithmetic."""
    own, count = shape(input), max(size, default=1)
    if len(own) == 4 and list(size) == [1, count, 1, 1] and count % 2 and b.channels_last and b.real is np.float32:
        x = to_format(b, input)
        y = b.LRN(x, depth_radius=count // 2, bias=float(bias), alpha=float(alpha) / count, beta=float(beta))
        return from_format(b, known(y, shape(x)))
    mean = box(b, elementwise(b, "Square", input), window=Window(size), normalize=True)
    sigma = elementwise(b, "AddV2", scalar(b, bias), elementwise(b, "Mul", scalar(b, alpha), mean))
    return elementwise(b, "RealDiv", input, elementwise(b, "Pow", sigma, scalar(b, beta)))


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
        return elementwise(b, "FakeQuantWithMinMaxArgs", x, min=least, max=most, num_bits=bits, narrow_range=narrow)
    width = elementwise(b, "Sub", max, min)
    inside = elementwise(b, "Maximum", elementwise(b, "Minimum", x, max), min)
    part = elementwise(b, "RealDiv", elementwise(b, "Sub", inside, min), width)
    codes = floor_half_up(b, elementwise(b, "Mul", part, scalar(b, steps)))
    values = elementwise(b, "Mul", elementwise(b, "RealDiv", codes, scalar(b, steps)), width)
    return elementwise(b, "AddV2", values, min)


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
        return elementwise(b, "FakeQuantWithMinMaxArgs", x, **limits, num_bits=bits, narrow_range=narrow)
    offset = cast(b, zero_point, b.real)
    codes = elementwise(b, "AddV2", floor_half_up(b, elementwise(b, "RealDiv", x, scale)), offset)
    codes = elementwise(b, "ClipByValue", codes, scalar(b, low), scalar(b, high))
    return elementwise(b, "Mul", elementwise(b, "Sub", codes, offset), scale)


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
