"""NNEF to ONNX: resampling and regions of interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.resize import resized_axes
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape
from .substitutes import resized


@from_nnef("onnx", "nearest_downsample")
def nearest_downsample(b: OnnxBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_downsample -> Slice with steps."""
    return b.slice(input, {k: range(0, shape(input)[k], f) for k, f in enumerate(factor, 2) if f != 1})


def _upsample(b: OnnxBuilder, x: Tensor, factor: Sequence[int], **attribs: Any) -> Tensor:
    sizes = [n * f for n, f in zip(shape(x)[2:], factor, strict=True)]
    return b.nnef.resize(x, output_size=sizes, scales=[float(f) for f in factor], **attribs)


@from_nnef("onnx", "nearest_upsample")
def nearest_upsample(b: OnnxBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_upsample -> Resize."""
    return _upsample(b, input, factor, mode="nearest", coordinate_mode="asymmetric", nearest_mode="floor")


COORDINATES = {"symmetric": "half_pixel", "asymmetric": "asymmetric", "aligned": "align_corners"}


@from_nnef("onnx", "multilinear_upsample")
def multilinear_upsample(b: OnnxBuilder, input: Tensor, *, factor: list[int], method: str, border: str) -> Tensor:
    """multilinear_upsample -> Resize, which replicates the border; others by Pad before and Slice after."""
    own = shape(input)
    before, after = {"symmetric": (1, 1), "asymmetric": (0, 1), "aligned": (0, 0)}[method]
    if border == "replicate" or method == "aligned":
        before = after = 0
    pairs = [(0, 0), (0, 0), *((before, after) if f != 1 else (0, 0) for f in factor)]
    x = b.pad(input, pairs, border)
    y = _upsample(b, x, factor, mode="linear", coordinate_mode=COORDINATES[method])
    inner = {k: range(pairs[k][0] * f, (pairs[k][0] + own[k]) * f) for k, f in enumerate(factor, 2)}
    return b.slice(y, inner)


# custom operations


@from_nnef("onnx", "resize")
def resize(
    b: OnnxBuilder,
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
    """resize -> Resize, or other operators where onnxruntime has no kernel, or one that takes wrong elements."""
    own = shape(input)
    outer = len(own) - len(output_size)
    sizes = [*own[:outer], *output_size]
    attribs: dict[str, Any] = {
        "mode": mode,
        "nearest_mode": nearest_mode,
        "cubic_coeff_a": cubic_coeff_a,
        "antialias": antialias,
    }
    factors = (
        [1.0] * (len(own) - len(scales)) + list(scales) if scales else [n / m for n, m in zip(sizes, own, strict=True)]
    )
    differs = _differs(mode, coordinate_mode, nearest_mode, factors[outer:], bool(scales))
    if differs or not _runs(b, mode, factors) or (scales and not _gives(own, factors, sizes)):
        axes = resized_axes(
            own,
            **attribs,
            output_size=output_size,
            scales=scales,
            coordinate_mode=coordinate_mode,
            exclude_outside=exclude_outside,
            roi=roi,
        )
        return resized(b, input, axes, extrapolation_value)
    if coordinate_mode == "half_pixel_symmetric":
        b.need_version(19, "coordinate_mode = 'half_pixel_symmetric'")
    if antialias:
        b.need_version(18, "antialias")
    region = None
    if roi:
        region = b.constant([0.0] * outer + roi[: len(output_size)] + [1.0] * outer + roi[len(output_size) :], b.real)
    result = b.Resize(
        input,
        region,
        b.constant(factors, np.float32) if scales else None,
        None if scales else b.ints(sizes),
        **{**attribs, "antialias": 1 if antialias else None},
        coordinate_transformation_mode=coordinate_mode,
        exclude_outside=int(exclude_outside),
        extrapolation_value=extrapolation_value,
    )
    return known(result, sizes)


def _runs(b: OnnxBuilder, mode: str, factors: Sequence[float]) -> bool:
    """Does onnxruntime have a kernel for Resize with that item type and these factors for all axes?"""
    rank, changed = len(factors), {k for k, factor in enumerate(factors) if factor != 1.0}
    if b.real is not np.float32:
        return False
    if mode == "nearest" or rank == 2:
        return True
    if rank == 4:
        return changed <= {2, 3} or changed <= {1, 2}
    return mode == "linear" and (rank == 3 or (rank == 5 and changed <= {2, 3, 4}))


def _gives(own: Sequence[int], factors: Sequence[float], sizes: Sequence[int]) -> bool:
    """Does ONNX compute these extents from the factors, which are float32, in any type of computation?"""
    rows = zip(own, np.asarray(factors, np.float32), sizes, strict=True)
    return all(int(n * f) == int(n * float(f)) == size for n, f, size in rows)


def _differs(mode: str, coordinate_mode: str, nearest_mode: str, factors: Sequence[float], scaled: bool) -> bool:
    """Does onnxruntime take other elements than intended?

    It takes the whole axis if its size stays, whatever the region. It computes positions in float32, so that exact ones
    may come out before or after an element.
    """
    if coordinate_mode == "tf_crop_and_resize":
        return 1.0 in factors
    return mode == "nearest" and nearest_mode in ("floor", "ceil") and not scaled and "half_pixel" in coordinate_mode


@from_nnef("onnx", "grid_sample")
def grid_sample(
    b: OnnxBuilder, input: Tensor, grid: Tensor, *, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """grid_sample -> GridSample; the modes have other names up to version 19.

    Runtimes support images only: a line is an image with height 1, whose middle is at position 0.
    """
    result_shape = [*shape(input)[:2], *shape(grid)[1:-1]]
    if len(shape(input)) == 3:
        middle = b.constant(np.zeros(shape(grid)), b.real)
        grid = b.unsqueeze(known(b.Concat(grid, middle, axis=-1), [*shape(grid)[:-1], 2]), [1])
        line = grid_sample(
            b, b.unsqueeze(input, [2]), grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners
        )
        return b.reshape(line, result_shape)
    b.need_version(16 if len(shape(input)) == 4 else 20, "GridSample")
    if b.version < 20:
        mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    result = b.GridSample(input, grid, mode=mode, padding_mode=padding_mode, align_corners=int(align_corners))
    return known(result, result_shape)
