"""Resampling."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import Ints, to_nnef
from ...tf.to_nnef import resize


@to_nnef("tflite", "RESIZE_BILINEAR")
def resize_bilinear(
    b: Builder, x: Tensor, size: Ints, *, align_corners: bool = False, half_pixel_centers: bool = False
) -> Tensor:
    """RESIZE_BILINEAR."""
    return resize.resize_bilinear(b, x, size, align_corners=align_corners, half_pixel_centers=half_pixel_centers)


@to_nnef("tflite", "RESIZE_NEAREST_NEIGHBOR")
def resize_nearest(
    b: Builder, x: Tensor, size: Ints, *, align_corners: bool = False, half_pixel_centers: bool = False
) -> Tensor:
    """RESIZE_NEAREST_NEIGHBOR, where both options go together."""
    return resize.resized(b, x, size, resize.nearest_map, align_corners, half_pixel_centers)
