"""Up- and down-sampling by integer factors (section 5.6)."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops.window import Window
from .common import SPATIAL_LIMIT, Ints, Operator, Tensor, border_index
from .pool import box

_MODES = ("linear", "bilinear", "trilinear")


def _check_divisible(x: Tensor, factor: Ints) -> None:
    if len(factor) != x.dim() - 2 or any(extent % f for extent, f in zip(x.shape[2:], factor, strict=True)):
        raise ShapeError(f"'factor' {list(factor)} does not divide the extents of shape {list(x.shape)}")


def nearest_downsample(input: Tensor, *, factor: Ints) -> Tensor:
    """The first element of each cell."""
    _check_divisible(input, factor)
    steps = [slice(None), slice(None), *(slice(None, None, f) for f in factor)]
    return input[tuple(steps)]


def area_downsample(input: Tensor, *, factor: Ints) -> Tensor:
    """The mean of each cell."""
    _check_divisible(input, factor)
    return box(input, window=Window.cells([1, 1, *factor]), normalize=True)


def nearest_upsample(input: Tensor, *, factor: Ints) -> Tensor:
    """Each element repeated over its cell."""
    for dim, f in enumerate(factor, start=2):
        input = input.repeat_interleave(f, dim)
    return input


def multilinear_upsample(
    input: Tensor, *, factor: Ints, method: str = "symmetric", border: str = "replicate"
) -> Tensor:
    """Linear interpolation in each spatial dimension; method is 'symmetric', 'asymmetric' or 'aligned'."""
    if border == "replicate" and method in ("symmetric", "aligned") and 1 <= len(factor) <= SPATIAL_LIMIT:
        size = [extent * f for extent, f in zip(input.shape[2:], factor, strict=True)]
        return F.interpolate(input, size=size, mode=_MODES[len(factor) - 1], align_corners=method == "aligned")
    for dim, f in enumerate(factor, start=2):
        input = interpolate(input, dim, source_coordinates(input.shape[dim], f, method).to(input.device), border)
    return input


def source_coordinates(extent: int, factor: int, method: str) -> Tensor:
    """Where each of the extent * factor results lies among the source elements. float64."""
    place = torch.arange(extent * factor, dtype=torch.float64)
    if method == "symmetric":
        return (place + 0.5) / factor - 0.5
    if method == "asymmetric":
        return place / factor
    if method == "aligned":
        return place * (extent - 1) / max(extent * factor - 1, 1)
    raise ShapeError(f"unknown interpolation method '{method}'")


def interpolate(x: Tensor, dim: int, coordinates: Tensor, border: str) -> Tensor:
    """Linear interpolation of x along one dimension at fractional coordinates."""
    below = torch.floor(coordinates)
    weight = coordinates - below
    low = below.long()
    high = torch.where(weight > 0, low + 1, low)
    shape = (-1, *[1] * (x.dim() - dim - 1))

    def values(index: Tensor) -> Tensor:
        if border != "constant":
            return x.index_select(dim, border_index(index, x.shape[dim], border))
        inside = (index >= 0) & (index < x.shape[dim])
        found = x.index_select(dim, index.clamp(0, x.shape[dim] - 1))
        return torch.where(inside.reshape(shape), found, torch.zeros_like(found))

    weight = weight.to(x.dtype).reshape(shape)
    return (1 - weight) * values(low) + weight * values(high)


OPERATORS: dict[str, Operator] = {
    "nearest_downsample": nearest_downsample,
    "area_downsample": area_downsample,
    "nearest_upsample": nearest_upsample,
    "multilinear_upsample": multilinear_upsample,
}
