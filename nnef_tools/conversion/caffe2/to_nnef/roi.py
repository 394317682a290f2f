"""Regions of interest."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...engine.rules import to_nnef
from ...onnx.to_nnef.roi import roi_align as roi_align_of
from ..common import from_channels_first, to_channels_first


@to_nnef("caffe2", "RoIAlign")
def roi_align(
    b: Builder,
    x: Tensor,
    regions: Tensor,
    *,
    pooled_h: int = 1,
    pooled_w: int = 1,
    sampling_ratio: int = -1,
    spatial_scale: float = 1.0,
    aligned: int = 0,
    order: str = "NCHW",
) -> Tensor:
    """RoIAlign of regions `[image, x1, y1, x2, y2]`, or without image where there is one."""
    count, width = shape(regions)
    if width not in (4, 5) or (width == 4 and shape(x)[0] != 1):
        raise Unsupported(f"regions of shape {shape(regions)}")
    corners = regions
    image = b.constant([0] * count, "int64")
    if width == 5:
        image = reshape(b, b.slice(regions, axes=[1], begin=[0], end=[1]), [count])
        corners = b.slice(regions, axes=[1], begin=[1], end=[5])
    y = roi_align_of(
        b,
        to_channels_first(b, x, order),
        corners,
        image,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        output_height=pooled_h,
        output_width=pooled_w,
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
    )
    return from_channels_first(b, y, order)
