"""Resampling of images. The scale is multiplied by the extent, and the product rounded down."""

from __future__ import annotations

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ....ops.resize import AxisMap
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.resampling import corners_in_place, resampled, standard_resampling
from ...engine.rules import Floats, to_nnef
from ..common import from_channels_first, to_channels_first


def _size(extent: int, scale: float) -> int:
    if not 0 < scale < 1 << 20:
        raise Unsupported(f"a scale of {scale}")
    size = int(np.float32(extent) * np.float32(scale))
    if size < 1:
        raise Unsupported("the result would be empty; NNEF has no empty tensors")
    ask_constant(size)
    return size


def _nearest(extent: int, scale: float) -> AxisMap:
    """The item at position / scale, rounded down."""
    place = np.arange(_size(extent, scale), dtype=np.float32) / np.float32(scale)
    return AxisMap(extent, np.minimum(place.astype(np.int64), extent - 1)[:, None])


def _linear(extent: int, scale: float) -> AxisMap:
    """Interpolates between the two nearest items, the first and last of which stay in place."""
    return corners_in_place(extent, _size(extent, scale))


def _resized(b: Builder, x: Tensor, scales: list[float], order: str, *, linear: bool) -> Tensor:
    x = to_channels_first(b, x, order)
    extents = shape(x)[2:]
    if len(extents) != len(scales):
        raise Unsupported(f"{len(scales)} scales for an input of shape {shape(x)}")
    rows = enumerate(zip(extents, scales, strict=True), 2)
    maps = {axis: (_linear if linear else _nearest)(extent, scale) for axis, (extent, scale) in rows}
    maps = {axis: item for axis, item in maps.items() if not item.is_identity()}
    y = x if not maps else standard_resampling(b, x, maps) or resampled(b, x, maps)
    return from_channels_first(b, y, order)


def _scales(scales: Floats | None, height: float, width: float) -> list[float]:
    """Those of height and width; an input counts more than arguments."""
    if scales is None:
        return [height, width]
    if len(scales) != 2:
        raise Unsupported(f"scales {scales} are not those of height and width")
    return scales


@to_nnef("caffe2", "ResizeNearest")
def resize_nearest(
    b: Builder,
    x: Tensor,
    scales: Floats | None = None,
    *,
    height_scale: float = 1.0,
    width_scale: float = 1.0,
    order: str = "NCHW",
) -> Tensor:
    """ResizeNearest: the item at position / scale, rounded down."""
    return _resized(b, x, _scales(scales, height_scale, width_scale), order, linear=False)


@to_nnef("caffe2", "Int8ResizeNearest")
def int8_resize_nearest(
    b: Builder, x: Tensor, *, height_scale: float = 1.0, width_scale: float = 1.0, output_dims: list[int] | None = None
) -> Tensor:
    """Int8ResizeNearest, with channels last."""
    if output_dims:
        raise Unsupported("output_dims")
    return _resized(b, x, [height_scale, width_scale], "NHWC", linear=False)


@to_nnef("caffe2", "ResizeNearest3D")
def resize_nearest_3d(
    b: Builder,
    x: Tensor,
    *,
    temporal_scale: float = 1.0,
    height_scale: float = 1.0,
    width_scale: float = 1.0,
    order: str = "NCHW",
) -> Tensor:
    """ResizeNearest3D: the item at position / scale, rounded down."""
    return _resized(b, x, [temporal_scale, height_scale, width_scale], order, linear=False)


@to_nnef("caffe2", "UpsampleBilinear")
def upsample_bilinear(
    b: Builder,
    x: Tensor,
    scales: Floats | None = None,
    *,
    height_scale: float = 1.0,
    width_scale: float = 1.0,
    order: str = "NCHW",
) -> Tensor:
    """UpsampleBilinear: linear interpolation, with the corners in place."""
    return _resized(b, x, _scales(scales, height_scale, width_scale), order, linear=True)
