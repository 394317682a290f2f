"""Resize operators: standard resampling where it computes the same, else gathers and constant weights.

Each axis is a constant linear map (`AxisMap`), which is computed here as TensorFlow's CPU kernels compute it:
coordinates and factors in float32, cubic weights from a table of 1024 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_float
from ....ops.resize import AxisMap
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.resampling import resampled, standard_resampling
from ...engine.rules import Ints, to_nnef
from ..common import from_channels_first, to_channels_first

F = np.float32


def _factor(extent: int, size: int, align_corners: bool) -> Any:
    if align_corners and size > 1:
        return F(extent - 1) / F(size - 1)
    return F(extent) / F(size)


def _positions(extent: int, size: int, align_corners: bool, half_pixel_centers: bool) -> Any:
    """Positions of the results in the input, float32."""
    x = np.arange(size).astype(F)
    factor = _factor(extent, size, align_corners)
    return (x + F(0.5)) * factor - F(0.5) if half_pixel_centers else x * factor


def nearest_map(extent: int, size: int, align_corners: bool, half_pixel_centers: bool) -> AxisMap:
    """The elements that ResizeNearestNeighbor picks."""
    x = np.arange(size).astype(F)
    factor = _factor(extent, size, align_corners)
    position = (x + F(0.5)) * factor if half_pixel_centers else x * factor
    chosen = np.floor(position.astype(np.float64) + 0.5) if align_corners else np.floor(position)
    return AxisMap(extent, np.clip(chosen.astype(np.int64), 0, extent - 1)[:, None])


def linear_map(extent: int, size: int, align_corners: bool, half_pixel_centers: bool) -> AxisMap:
    """Weights of ResizeBilinear: the two neighbors, the edge standing for what lies outside."""
    position = _positions(extent, size, align_corners, half_pixel_centers)
    low = np.floor(position)
    part = (position - low).astype(np.float64)
    first = np.clip(low.astype(np.int64), 0, extent - 1)
    second = np.clip(np.ceil(position).astype(np.int64), 0, extent - 1)
    return AxisMap(extent, np.stack([first, second], axis=1), np.stack([1 - part, part], axis=1))


TABLE = 1024
"""Steps between two elements for which the kernels know cubic weights."""


def _cubic_weights(steps: Any, a: float) -> Any:
    """`[size, 4]` weights of R. Keys' kernel for the elements -1, 0, 1, 2, at a distance of steps / 1024 from 0."""
    near = np.arange(TABLE + 1) / TABLE
    far = near + 1
    inner = ((a + 2) * near - (a + 3)) * near * near + 1
    outer = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a
    return np.stack([outer[steps], inner[steps], inner[TABLE - steps], outer[TABLE - steps]], axis=1)


def cubic_map(extent: int, size: int, align_corners: bool, half_pixel_centers: bool) -> AxisMap:
    """Weights of ResizeBicubic.

    With half_pixel_centers the coefficient is -0.5 and elements outside count nothing, the others being rescaled to
    sum 1; otherwise it is -0.75 and the edge stands for what lies outside.
    """
    position = _positions(extent, size, align_corners, half_pixel_centers)
    origin = np.floor(position)
    steps = np.rint((position - origin) * F(TABLE)).astype(np.int64)
    weights = _cubic_weights(steps, -0.5 if half_pixel_centers else -0.75)
    taps = origin.astype(np.int64)[:, None] + np.arange(-1, 3)
    inside = np.clip(taps, 0, extent - 1)
    if half_pixel_centers:
        weights = np.where(taps == inside, weights, 0.0)
        weights = weights / weights.sum(axis=1, keepdims=True)
    return AxisMap(extent, inside, weights)


def area_map(extent: int, size: int, align_corners: bool, half_pixel_centers: bool = False) -> AxisMap:
    """Weights of ResizeArea: how much of each element a result covers, over the size of the covered range."""
    factor = _factor(extent, size, align_corners)
    begin = (np.arange(size).astype(F) * factor)[:, None]
    end = (np.arange(1, size + 1).astype(F) * factor)[:, None]
    first, last = np.floor(begin).astype(np.int64), np.ceil(end).astype(np.int64)
    places = first + np.arange((last - first).max())
    covered = np.minimum((places + 1).astype(F), end) - np.maximum(places.astype(F), begin)
    weights = np.where(places < last, covered, 0.0).astype(np.float64) / float(factor)
    return AxisMap(extent, np.minimum(places, extent - 1), weights)


def _resize(
    b: Builder, x: Tensor, size: list[int], function: Callable[..., AxisMap], align_corners: bool, half: bool
) -> Tensor:
    if align_corners and half:
        raise Unsupported("align_corners and half_pixel_centers exclude each other")
    return resized(b, x, size, function, align_corners, half)


def resized(
    b: Builder, x: Tensor, size: list[int], function: Callable[..., AxisMap], align_corners: bool, half: bool
) -> Tensor:
    """Images of another size. function: gives the elements of each result along an axis, and their weights."""
    if len(size) != 2 or min(size) < 1:
        raise Unsupported(f"size {size}")
    source = to_channels_first(b, x, "NHWC")
    extents = dict(zip((2, 3), shape(source)[2:], strict=True))
    maps = {k: function(extents[k], count, align_corners, half) for k, count in zip(extents, size, strict=True)}
    maps = {k: m for k, m in maps.items() if not m.is_identity()}
    if not maps:
        return x
    y = standard_resampling(b, source, maps) or resampled(b, source, maps)
    return from_channels_first(b, y, "NHWC")


@to_nnef("tf", "ResizeNearestNeighbor")
def resize_nearest(
    b: Builder, x: Tensor, size: Ints, *, align_corners: bool = False, half_pixel_centers: bool = False
) -> Tensor:
    """ResizeNearestNeighbor keeps the type."""
    return _resize(b, x, size, nearest_map, align_corners, half_pixel_centers)


def _real(b: Builder, x: Tensor) -> Tensor:
    """x as float32, which all methods but the nearest element compute in."""
    return x if is_float(x.dtype) else b.cast(x, np.float32)


@to_nnef("tf", "ResizeBilinear")
def resize_bilinear(
    b: Builder, x: Tensor, size: Ints, *, align_corners: bool = False, half_pixel_centers: bool = False
) -> Tensor:
    """ResizeBilinear."""
    return _resize(b, _real(b, x), size, linear_map, align_corners, half_pixel_centers)


@to_nnef("tf", "ResizeBicubic")
def resize_bicubic(
    b: Builder, x: Tensor, size: Ints, *, align_corners: bool = False, half_pixel_centers: bool = False
) -> Tensor:
    """ResizeBicubic."""
    return _resize(b, _real(b, x), size, cubic_map, align_corners, half_pixel_centers)


@to_nnef("tf", "ResizeArea")
def resize_area(b: Builder, x: Tensor, size: Ints, *, align_corners: bool = False) -> Tensor:
    """ResizeArea."""
    return _resize(b, _real(b, x), size, area_map, align_corners, False)
