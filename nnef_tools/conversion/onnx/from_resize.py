"""NNEF to ONNX: resampling and regions of interest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model import Tensor
from .. import regions
from ..plain_builder import PlainBuilder
from ..rules import from_nnef
from .common import shape
from .emit import (
    ints,
    known,
    need_version,
    pad,
    slice_ranges,
)


@from_nnef("onnx", "nearest_downsample")
def nearest_downsample(b: PlainBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_downsample -> Slice with steps."""
    return slice_ranges(b, input, {k: range(0, shape(input)[k], f) for k, f in enumerate(factor, 2) if f != 1})


def _upsample(b: PlainBuilder, x: Tensor, factor: Sequence[int], **attribs: str) -> Tensor:
    scales = b.constant([1.0, 1.0, *map(float, factor)], np.float32)
    own = shape(x)
    return known(
        b.Resize(x, None, scales, **attribs), [*own[:2], *(n * f for n, f in zip(own[2:], factor, strict=True))]
    )


@from_nnef("onnx", "nearest_upsample")
def nearest_upsample(b: PlainBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_upsample -> Resize."""
    return _upsample(
        b, input, factor, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


COORDINATES = {"symmetric": "half_pixel", "asymmetric": "asymmetric", "aligned": "align_corners"}


@from_nnef("onnx", "multilinear_upsample")
def multilinear_upsample(b: PlainBuilder, input: Tensor, *, factor: list[int], method: str, border: str) -> Tensor:
    """multilinear_upsample -> Resize, which replicates the border; others by Pad before and Slice after."""
    own = shape(input)
    before, after = {"symmetric": (1, 1), "asymmetric": (0, 1), "aligned": (0, 0)}[method]
    if border == "replicate" or method == "aligned":
        before = after = 0
    pairs = [(0, 0), (0, 0), *((before, after) if f != 1 else (0, 0) for f in factor)]
    x = pad(b, input, pairs, border)
    y = _upsample(b, x, factor, mode="linear", coordinate_transformation_mode=COORDINATES[method])
    inner = {k: range(pairs[k][0] * f, (pairs[k][0] + own[k]) * f) for k, f in enumerate(factor, 2)}
    return slice_ranges(b, y, inner)


from_nnef("onnx", "avg_roi_pool")(regions.avg_roi_pool)
from_nnef("onnx", "max_roi_pool")(regions.max_roi_pool)
from_nnef("onnx", "roi_resample")(regions.roi_resample)


# our custom operations


@from_nnef("onnx", "resize")
def resize(
    b: PlainBuilder,
    input: Tensor,
    *,
    output_size: list[int],
    scales: list[float],
    mode: str,
    coordinate_mode: str,
    nearest_mode: str,
    cubic_coeff_a: float,
    exclude_outside: bool,
    extrapolation_value: float,
    antialias: bool,
    roi: list[float],
) -> Tensor:
    """resize -> Resize."""
    own = shape(input)
    outer = len(own) - len(output_size)
    sizes = [*own[:outer], *output_size]
    if coordinate_mode == "half_pixel_symmetric":
        need_version(b, 19, "coordinate_mode = 'half_pixel_symmetric'")
    if antialias:
        need_version(b, 18, "antialias")
    region = None
    if roi:
        region = b.constant([0.0] * outer + roi[: len(output_size)] + [1.0] * outer + roi[len(output_size) :], b.real)
    factors = b.constant([1.0] * outer + scales, np.float32) if scales else None
    result = b.Resize(
        input,
        region,
        factors,
        None if scales else ints(b, sizes),
        mode=mode,
        coordinate_transformation_mode=coordinate_mode,
        nearest_mode=nearest_mode,
        cubic_coeff_a=cubic_coeff_a,
        exclude_outside=int(exclude_outside),
        extrapolation_value=extrapolation_value,
        antialias=1 if antialias else None,
    )
    return known(result, sizes)


@from_nnef("onnx", "grid_sample")
def grid_sample(
    b: PlainBuilder, input: Tensor, grid: Tensor, *, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """grid_sample -> GridSample; the modes have other names up to version 19."""
    need_version(b, 16 if len(shape(input)) == 4 else 20, "GridSample")
    if b.version < 20:
        mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    result = b.GridSample(input, grid, mode=mode, padding_mode=padding_mode, align_corners=int(align_corners))
    return known(result, [*shape(input)[:2], *shape(grid)[1:-1]])
