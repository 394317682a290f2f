"""Regions of interest and boxes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER
from ...building.nnef import Builder
from ...compose.regions import maxima_of_regions
from ...engine.rules import to_nnef
from ...maths.generated import positions
from ..common import reshape, shape, transpose, unsqueeze


class _Samples:
    """Sample positions along one axis of each region: neighbors and weights, `[regions, samples]` each.

    Positions beyond the outermost elements belong to these; those more than 1 away from the map count as zero.
    """

    def __init__(self, b: Builder, position: Tensor, factor: Tensor | None, extent: int) -> None:
        inside = b.and_(b.ge(position, -1.0), b.le(position, float(extent)))
        clamped = b.clamp(position, 0.0, float(extent - 1))
        self.low = b.floor(clamped)
        self.high = b.min(b.add(self.low, 1.0), float(extent - 1))
        part = b.sub(clamped, self.low)
        one = b.constant(1, position.dtype) if factor is None else factor
        weight = b.select(inside, one, b.constant(0, position.dtype))
        self.high_weight = b.mul(part, weight)
        self.low_weight = b.sub(weight, self.high_weight)

    def neighbors(self) -> list[tuple[Tensor, Tensor]]:
        """Pairs of position and weight."""
        return [(self.low, self.low_weight), (self.high, self.high_weight)]


@to_nnef("onnx", "RoiAlign", since=10)
def roi_align_unshifted(
    b: Builder,
    x: Tensor,
    rois: Tensor,
    batch_indices: Tensor,
    *,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:
    """RoiAlign-10: positions are not shifted by half a pixel."""
    return roi_align(
        b,
        x,
        rois,
        batch_indices,
        coordinate_transformation_mode="output_half_pixel",
        mode=mode,
        output_height=output_height,
        output_width=output_width,
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
    )


@to_nnef("onnx", "RoiAlign", since=16)
def roi_align(
    b: Builder,
    x: Tensor,
    rois: Tensor,
    batch_indices: Tensor,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:
    """RoiAlign: four gathers of neighbors for all samples, then sums or maxima over the samples of a cell.

    As ONNX defines it, the maximum is that of the weighted neighbors.
    """
    if mode not in ("avg", "max") or coordinate_transformation_mode not in ("half_pixel", "output_half_pixel"):
        raise Unsupported(f"mode = '{mode}', coordinate mode = '{coordinate_transformation_mode}' are not known")
    batch, depth, *extents = shape(x)
    if math.prod([batch, *extents]) > MAX_EXACT_INTEGER:
        raise Unsupported(f"feature maps of shape {shape(x)} are too large to count positions in float32")
    half_pixel = coordinate_transformation_mode == "half_pixel"
    cells = [output_height, output_width]
    axes, sampling = [], []
    for k, (extent, count) in enumerate(zip(extents, cells, strict=True)):
        position, factor, rate = _positions(b, rois, 1 - k, count, sampling_ratio, spatial_scale, half_pixel)
        axes.append(_Samples(b, position, None if mode == "max" else factor, extent))
        sampling.append(rate)
    count = shape(rois)[0]
    images = reshape(b, b.mul(b.cast(batch_indices, np.float32), float(math.prod(extents))), [count, 1, 1])
    flat = reshape(b, transpose(b, x, [1, 0, 2, 3]), [depth, math.prod([batch, *extents])])
    total: Any = None
    for row, row_weight in axes[0].neighbors():
        for column, column_weight in axes[1].neighbors():
            index = b.add(b.add(images, unsqueeze(b, b.mul(row, float(extents[1])), [2])), unsqueeze(b, column, [1]))
            weight = b.mul(unsqueeze(b, row_weight, [2]), unsqueeze(b, column_weight, [1]))
            term = b.mul(b.gather(flat, b.cast(index, np.int64), axis=1), unsqueeze(b, weight, [0]))
            total = term if total is None else b.max(total, term) if mode == "max" else b.add(total, term)
    window: dict[str, Any] = {"size": [1, 1, *sampling], "stride": [1, 1, *sampling], "padding": [(0, 0)] * 4}
    pooled = b.max_pool(total, **window) if mode == "max" else b.box(total, **window)
    return transpose(b, pooled, [1, 0, 2, 3])


def _positions(
    b: Builder, rois: Tensor, column: int, cells: int, rate: int, scale: float, half_pixel: bool
) -> tuple[Tensor, Tensor | None, int]:
    """All samples along an axis: positions, factors of a mean `[regions or 1, cells * rate]`, and the rate."""
    if rate <= 0:
        return _adaptive_positions(b, rois, column, cells, scale, half_pixel)
    begin, end = (b.mul(b.slice(rois, axes=[1], begin=[k], end=[k + 1]), scale) for k in (column, column + 2))
    if half_pixel:
        begin, end = b.sub(begin, 0.5), b.sub(end, 0.5)
    length = b.sub(end, begin)
    if not half_pixel:
        length = b.max(length, 1.0)
    where = (positions(cells * rate) + 0.5) / (cells * rate)
    position = b.add(begin, b.mul(length, b.constant(where[None], rois.dtype)))
    return position, b.constant(np.full((1, cells * rate), 1 / rate), rois.dtype), rate


def _adaptive_positions(
    b: Builder, rois: Tensor, column: int, cells: int, scale: float, half_pixel: bool
) -> tuple[Tensor, Tensor, int]:
    """The number of samples follows from the region. Regions with fewer than others repeat one with factor 0."""
    value = b.value(rois)
    if value is None:
        raise Unsupported("sampling_ratio = 0: the number of samples depends on the regions, which must be constant")
    real = np.float32
    begin, end = (value[:, k].astype(real) * real(scale) - real(0.5 if half_pixel else 0) for k in (column, column + 2))
    length = end - begin if half_pixel else np.maximum(end - begin, real(1))
    cell = length / real(cells)
    counts = np.maximum(np.ceil(cell), 1).astype(np.int64)
    rate = int(counts.max())
    ask_constant(len(value) * cells * rate, "its table of samples")
    k = np.arange(rate)
    inner = (np.minimum(k, counts[:, None] - 1) + 0.5) / counts[:, None]
    position = begin[:, None, None] + (np.arange(cells)[None, :, None] + inner[:, None, :]) * cell[:, None, None]
    factor = np.broadcast_to((np.where(k < counts[:, None], 1 / counts[:, None], 0))[:, None, :], position.shape)
    flat = [len(value), cells * rate]
    return b.constant(position.reshape(flat), rois.dtype), b.constant(factor.reshape(flat), rois.dtype), rate


@to_nnef("onnx", "MaxRoiPool")
def max_roi_pool(b: Builder, x: Tensor, rois: Tensor, *, pooled_shape: list[int], spatial_scale: float = 1.0) -> Tensor:
    """MaxRoiPool: maxima over rows, then over columns, of what lies in each cell; empty cells give 0.

    NNEF's max_roi_pool divides regions in another way.
    """
    return maxima_of_regions(b, x, rois, pooled_shape, spatial_scale)
