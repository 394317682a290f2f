"""Upsampling and downsampling by integer factors (section 5.6), and resampling to any extents and positions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops import registry
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
    coordinate_mode: str = "half_pixel",
    **attribs: object,
) -> Tensor:
    """Resizes by a matrix for each dimension, the result of the numpy kernel for unit vectors: resizing is linear."""
    count = len(output_size)
    first = input.dim() - count
    if coordinate_mode == "tf_crop_and_resize":  # not linear: the outside can be a constant
        result: Tensor = numpy_operator("resize")(
            input,
            output_size=output_size,
            scales=scales,
            extrapolation_value=extrapolation_value,
            roi=roi,
            coordinate_mode=coordinate_mode,
            **attribs,
        )
        return result
    factors = dict(zip(range(input.dim() - len(scales), input.dim()), scales, strict=True))
    for dim, size in enumerate(output_size, first):
        extent = input.shape[dim]
        scale = factors.get(dim)
        real = np.float64 if input.dtype == torch.float64 else np.float32
        weights = _resize_matrix(extent, size, scale, coordinate_mode, real, tuple(sorted(attribs.items())))
        if size == extent and np.array_equal(weights, np.eye(extent)):
            continue
        if attribs.get("mode", "nearest") == "nearest":
            index = torch.from_numpy(np.argmax(weights, axis=1)).to(input.device)
            input = input.index_select(dim, index)
        else:
            matrix = torch.from_numpy(weights).to(input)
            input = torch.matmul(input.movedim(dim, -1), matrix.T).movedim(-1, dim)
    return input


@lru_cache(maxsize=64)
def _resize_matrix(
    extent: int,
    size: int,
    scale: float | None,
    coordinate_mode: str,
    real: type,
    attribs: tuple[tuple[str, object], ...],
) -> np.ndarray[Any, Any]:
    """The matrix [size, extent] of the weights of each element in each result."""
    definition = registry.find("resize")
    assert definition is not None
    units: np.ndarray[Any, Any] = np.eye(extent, dtype=real)
    columns = definition.run(
        units,
        output_size=[size],
        scales=[] if scale is None else [scale],
        coordinate_mode=coordinate_mode,
        **dict(attribs),
    )
    return np.ascontiguousarray(columns.T, real)


OPERATORS: dict[str, Operator] = {
    "nearest_downsample": nearest_downsample,
    "area_downsample": area_downsample,
    "nearest_upsample": nearest_upsample,
    "multilinear_upsample": multilinear_upsample,
    "grid_sample": grid_sample,
    "resize": resize,
}
