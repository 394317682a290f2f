"""Pseudo-quantization (section 4.3): values stay real, but are rounded to representable ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from ....model.facts import Ties
from .common import Operator, Tensor, align
from .elementwise import round_half_up


def _round_half_away(x: Tensor) -> Tensor:
    return torch.copysign(round_half_up(x.abs()), x)


def min_max_linear_quantize(x: Tensor, min: Tensor, max: Tensor, *, bits: int, signed: bool, symmetric: bool) -> Tensor:
    """Steps of equal width between min and max."""
    x, min, max = align(x, min, max)
    r = float(2**bits - 1 - (1 if signed and symmetric else 0))
    p = float(2 ** (bits - 1) - (1 if symmetric else 0)) if signed else 0.0
    clamped = torch.maximum(torch.minimum(x, max), min)
    q = round_half_up((clamped - min) / (max - min) * r) - p
    return (q + p) / r * (max - min) + min


_ROUNDING: Mapping[Ties, Callable[[Tensor], Tensor]] = {
    Ties.UP: round_half_up,
    Ties.EVEN: torch.round,
    Ties.AWAY: _round_half_away,
}


def zero_point_linear_quantize(
    x: Tensor,
    zero_point: Tensor,
    scale: Tensor,
    *,
    bits: int,
    signed: bool,
    symmetric: bool,
    ties: Ties = Ties.UP,
) -> Tensor:
    """Multiples of scale, shifted so that the integer zero_point stands for 0. ties: see `facts.Ties`."""
    x, zero_point, scale = align(x, zero_point, scale)
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low = 0 if not signed else -high if symmetric else -high - 1
    # NaN has no code, and gets the lowest one, as in onnxruntime
    q = torch.nan_to_num(_ROUNDING[ties](x / scale) + zero_point, nan=low).clamp(low, high)
    return (q - zero_point) * scale


def linear_quantize(x: Tensor, min: Tensor, max: Tensor, *, bits: int) -> Tensor:
    """The unsigned form of `min_max_linear_quantize`."""
    return min_max_linear_quantize(x, min, max, bits=bits, signed=False, symmetric=False)


def logarithmic_quantize(x: Tensor, max: Tensor, *, bits: int) -> Tensor:
    """Signed powers of two, 2 ** bits of them, up to max rounded up to one; 0 stays 0."""
    x, max = align(x, max)
    m = torch.ceil(torch.log2(max))
    r = float(2**bits - 1)
    exponent = round_half_up(torch.maximum(torch.minimum(torch.log2(x.abs()), m), m - r))
    return torch.sign(x) * torch.exp2(exponent)


def dynamic_quantize(x: Tensor) -> Tensor:
    """256 evenly spaced values that span the range of x and 0."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    span = high - low
    scale = torch.where(span == 0, 1.0, span / 255).to(x.dtype)
    zero_point = torch.round(-low / scale)
    return ((torch.round(x / scale) + zero_point).clamp(0, 255) - zero_point) * scale


OPERATORS: dict[str, Operator] = {
    "min_max_linear_quantize": min_max_linear_quantize,
    "zero_point_linear_quantize": zero_point_linear_quantize,
    "linear_quantize": linear_quantize,
    "logarithmic_quantize": logarithmic_quantize,
    "dynamic_quantize": dynamic_quantize,
}
