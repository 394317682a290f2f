"""Upsampling and downsampling by integer factors (section 5.6), and resampling to any extents and positions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops.resize import AxisMap, ResizedAxis, resized_axes
from ....ops.window import Window
from .common import SPATIAL_LIMIT, Ints, Operator, Tensor, border_index, numpy_operator
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
    """The position of each of the extent * factor results among the source elements, as float64."""
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


def grid_sample(
    input: Tensor,
    grid: Tensor,
    *,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """Interpolates the input at the positions of the grid."""
    modes = {4: {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}}
    modes[5] = {"linear": "bilinear", "nearest": "nearest"}
    known = modes.get(input.dim(), {}).get(mode)
    # torch rounds positions after reflecting them, ONNX before
    if known is None or (mode == "nearest" and padding_mode == "reflection"):
        result: Tensor = numpy_operator("grid_sample")(
            input, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners
        )
        return result
    return F.grid_sample(input, grid, known, padding_mode, align_corners)


def resize(
    input: Tensor,
    *,
    output_size: Ints,
    scales: Sequence[float] = (),
    extrapolation_value: float = 0.0,
    roi: Sequence[float] = (),
    **attribs: Any,
) -> Tensor:
    """Resizes the last dimensions, one after the other."""
    options = tuple(sorted(attribs.items()))
    axes = _resized_axes(tuple(input.shape), tuple(output_size), tuple(scales), tuple(roi), options)
    for item in axes:
        input = _mapped(input, item.axis, item.map)
    for item in axes:
        if item.outside.any():
            mask = torch.from_numpy(item.outside).to(input.device)
            input = input.masked_fill(mask.reshape([-1, *[1] * (input.dim() - 1 - item.axis)]), extrapolation_value)
    return input


@lru_cache(maxsize=64)
def _resized_axes(
    shape: tuple[int, ...],
    output_size: tuple[int, ...],
    scales: tuple[float, ...],
    roi: tuple[float, ...],
    options: tuple[tuple[str, Any], ...],
) -> list[ResizedAxis]:
    """The axes that a resize changes, which do not depend on its input."""
    return resized_axes(shape, output_size=output_size, scales=scales, roi=roi, **dict(options))


def _mapped(x: Tensor, dim: int, axis_map: AxisMap) -> Tensor:
    """The elements along a dimension, or their weighted sum for each row of positions.

    The embedding of PyTorch gathers and adds rows at once, which takes a third of a product with a matrix or less.
    """
    positions = torch.from_numpy(axis_map.positions).to(x.device)
    if axis_map.weights is None:
        return x.index_select(dim, positions[:, 0])
    if not x.numel():
        return x.new_zeros([axis_map.size if k == dim else n for k, n in enumerate(x.shape)])
    moved = x.movedim(dim, 0)
    weights = torch.from_numpy(axis_map.weights).to(x)
    total = F.embedding_bag(positions, moved.reshape(len(moved), -1), per_sample_weights=weights, mode="sum")
    return total.reshape(axis_map.size, *moved.shape[1:]).movedim(0, dim)


OPERATORS: dict[str, Operator] = {
    "nearest_downsample": nearest_downsample,
    "area_downsample": area_downsample,
    "nearest_upsample": nearest_upsample,
    "multilinear_upsample": multilinear_upsample,
    "grid_sample": grid_sample,
    "resize": resize,
}
