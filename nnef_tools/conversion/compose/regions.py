"""Pooling of regions that are given in rounded coordinates, as ONNX's MaxRoiPool and Caffe's ROIPooling define it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...budget import ask_operations
from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import MAX_EXACT_INTEGER
from ..building.nnef import Builder
from ..building.shapes import reshape, shape, transpose, unsqueeze
from ..maths.generated import positions


def maxima_of_regions(b: Builder, x: Tensor, rois: Tensor, cells: Sequence[int], spatial_scale: float) -> Tensor:
    """Maxima of what lies in each cell; empty cells give 0.

    rois: [regions, 5], the number of the image and corners x1, y1, x2, y2, the last ones included.

    A table has the maxima of all windows whose sides are powers of 2; four of them, which may overlap, cover a cell.
    """
    images, _, *extents = shape(x)
    regions = shape(rois)[0]
    levels = [extent.bit_length() for extent in extents]
    if math.prod(levels) * images * math.prod(extents) > MAX_EXACT_INTEGER:
        raise Unsupported(f"a map of shape {shape(x)} is too large to count positions in float32")
    ask_operations(math.prod(levels) * 3, "its windows")
    table = b.concat([_window_maxima(b, x, k, m) for k in range(levels[0]) for m in range(levels[1])], axis=0)
    image = reshape(b, b.slice(rois, axes=[1], begin=[0], end=[1]), [regions, 1, 1])
    rows, columns = (
        _Span(b, *_cell_limits(b, rois, 2 - axis, count, extents[axis], spatial_scale), levels[axis], axis)
        for axis, count in enumerate(cells)
    )
    number = b.add(b.mul(rows.level, float(levels[1])), columns.level)  # of the window in the table
    base = b.add(b.mul(number, float(images)), image)
    result = None
    for row in rows.starts:
        for column in columns.starts:
            place = b.add(b.mul(b.add(b.mul(base, float(extents[0])), row), float(extents[1])), column)
            values = b.gather(table, b.cast(place, np.int64), axis=0)  # [regions, rows, columns, channels]
            result = values if result is None else b.max(result, values)
    assert result is not None
    filled = b.and_(rows.some, columns.some)
    return transpose(b, b.select(unsqueeze(b, filled, [3]), result, b.constant(0, x.dtype)), [0, 3, 1, 2])


def _window_maxima(b: Builder, x: Tensor, rows: int, columns: int) -> Tensor:
    """Maxima of windows of 2^rows by 2^columns items from each position on: [images * positions, channels]."""
    images, channels, *extents = shape(x)
    sides = [1 << rows, 1 << columns]
    if sides != [1, 1]:
        padding = [(0, 0), (0, 0), *((0, side - 1) for side in sides)]
        x = b.max_pool(x, size=[1, 1, *sides], stride=[1, 1, 1, 1], padding=padding, border="ignore")
    return reshape(b, transpose(b, x, [0, 2, 3, 1]), [images * math.prod(extents), channels])


class _Span:
    """The cells along an axis, broadcast to [regions, rows, columns].

    level: the exponent of the largest window that fits into a cell. starts: of the two windows that cover it. some: is
    there anything in the cell?
    """

    def __init__(self, b: Builder, low: Tensor, high: Tensor, levels: int, axis: int) -> None:
        low, high = (unsqueeze(b, t, [2 - axis]) for t in (low, high))
        length = b.sub(high, low)
        self.some = b.gt(length, 0.0)
        level: Tensor | None = None
        side = b.constant(1.0, np.float32)
        for k in range(1, levels):
            fits = b.select(b.ge(length, float(1 << k)), 1.0, 0.0)
            level = fits if level is None else b.add(level, fits)
            side = b.add(side, b.mul(fits, float(1 << (k - 1))))
        self.level = b.mul(length, 0.0) if level is None else level
        first = b.select(self.some, low, 0.0)
        self.starts = (first, b.select(self.some, b.sub(high, side), 0.0))


def _cell_limits(b: Builder, rois: Tensor, column: int, cells: int, extent: int, scale: float) -> tuple[Tensor, Tensor]:
    """Begin and end of the cells `[regions, cells]`, cropped to the map."""
    begin, end = (
        rounded(b, b.mul(b.slice(rois, axes=[1], begin=[k], end=[k + 1]), scale)) for k in (column, column + 2)
    )
    cell = b.div(b.max(b.add(b.sub(end, begin), 1.0), 1.0), float(cells))
    number = positions(cells, np.float32)[None]
    low = b.add(b.floor(b.mul(cell, b.constant(number))), begin)
    high = b.add(b.ceil(b.mul(cell, b.constant(number + 1))), begin)
    return b.clamp(low, 0.0, float(extent)), b.clamp(high, 0.0, float(extent))


def rounded(b: Builder, x: Tensor) -> Tensor:
    """To the nearest integer, ties away from zero."""
    return b.mul(b.sign(x), b.floor(b.add(b.abs(x), 0.5)))
