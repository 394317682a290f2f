"""Pooling of regions that are given in rounded coordinates, as ONNX's MaxRoiPool and Caffe's ROIPooling define it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...model import Tensor
from ..building.nnef import Builder
from ..building.shapes import reshape, shape, squeeze, unsqueeze
from ..maths.generated import positions


def maxima_of_regions(b: Builder, x: Tensor, rois: Tensor, cells: Sequence[int], spatial_scale: float) -> Tensor:
    """Maxima over rows, then over columns, of what lies in each cell; empty cells give 0.

    rois: [regions, 5], the number of the image and corners x1, y1, x2, y2, the last ones included.
    """
    regions = shape(rois)[0]
    image = reshape(b, b.slice(rois, axes=[1], begin=[0], end=[1]), [regions])
    y = b.gather(x, b.cast(image, np.int64), axis=0)
    filled: Any = None
    for axis, count in enumerate(cells):
        extent = shape(x)[2 + axis]
        low, high = _cell_limits(b, rois, 2 - axis, count, extent, spatial_scale)
        position = b.constant(positions(extent, np.float32).reshape(1, 1, extent))
        mask = b.and_(b.ge(position, low), b.lt(position, high))
        # the reduced axis lies behind that of the cells: [regions, channels, cells, rows, columns] in the first round
        mask = reshape(b, mask, [regions, 1, *([1] * axis), count, extent, *([1] * (1 - axis))])
        spread = b.select(mask, unsqueeze(b, y, [2 + axis]), b.constant(np.finfo(np.float32).min, x.dtype))
        y = squeeze(b, b.max_reduce(spread, axes=[3 + axis]), [3 + axis])
        some = reshape(b, b.lt(low, high), [regions, 1, *(count if k == axis else 1 for k in range(2))])
        filled = some if filled is None else b.and_(filled, some)
    return b.select(filled, y, b.constant(0, x.dtype))


def _cell_limits(b: Builder, rois: Tensor, column: int, cells: int, extent: int, scale: float) -> tuple[Tensor, Tensor]:
    """Begin and end of the cells `[regions, cells, 1]`, cropped to the map."""
    begin, end = (
        _round(b, b.mul(b.slice(rois, axes=[1], begin=[k], end=[k + 1]), scale)) for k in (column, column + 2)
    )
    cell = b.div(b.max(b.add(b.sub(end, begin), 1.0), 1.0), float(cells))
    number = positions(cells, np.float32)[None]
    low = b.add(b.floor(b.mul(cell, b.constant(number))), begin)
    high = b.add(b.ceil(b.mul(cell, b.constant(number + 1))), begin)
    low, high = (unsqueeze(b, b.clamp(t, 0.0, float(extent)), [2]) for t in (low, high))
    return low, high


def _round(b: Builder, x: Tensor) -> Tensor:
    """To the nearest integer, ties away from zero."""
    return b.mul(b.sign(x), b.floor(b.add(b.abs(x), 0.5)))
