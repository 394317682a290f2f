"""CropAndResize: boxes of images, resampled to one size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER, is_float
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, unsqueeze
from ...engine.rules import Ints, to_nnef
from ...maths.generated import positions


@dataclass(frozen=True)
class _Samples:
    """Samples along one axis of each box: positions `[boxes, samples]`, and which of them are inside of the image."""

    position: Tensor
    inside: Tensor

    @classmethod
    def of(cls, b: Builder, boxes: Tensor, column: int, extent: int, count: int) -> _Samples:
        begin, end = (b.slice(boxes, axes=[1], begin=[k], end=[k + 1]) for k in (column, column + 2))
        if count > 1:
            step = b.div(b.mul(b.sub(end, begin), float(extent - 1)), float(count - 1))
            steps = b.constant(positions(count, np.float32)[None])
            position = b.add(b.mul(begin, float(extent - 1)), b.mul(steps, step))
        else:
            position = b.mul(b.mul(b.add(begin, end), 0.5), float(extent - 1))
        inside = b.and_(b.ge(position, 0.0), b.le(position, float(extent - 1)))
        return cls(b.clamp(position, 0.0, float(extent - 1)), inside)

    def part(self, b: Builder) -> Tensor:
        """Distance of the sample from the element below."""
        return b.sub(self.position, b.floor(self.position))

    def nearest(self, b: Builder) -> Tensor:
        """The nearest element, the upper one at ties; adding 0.5 to the position would round."""
        return b.add(b.floor(self.position), b.select(b.ge(self.part(b), 0.5), 1.0, 0.0))


@to_nnef("tf", "CropAndResize")
def crop_and_resize(
    b: Builder,
    x: Tensor,
    boxes: Tensor,
    box_ind: Tensor,
    size: Ints,
    *,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
) -> Tensor:
    """CropAndResize: gathers of the nearest element, or of four neighbors that are interpolated.

    What is sampled outside of the image is extrapolation_value. The results are float32.
    """
    if method not in ("bilinear", "nearest"):
        raise Unsupported(f"method = '{method}' is not known")
    if len(size) != 2 or min(size) < 1:
        raise Unsupported(f"size {size}")
    batch, height, width, depth = shape(x)
    if math.prod([batch, height, width]) > MAX_EXACT_INTEGER:
        raise Unsupported(f"images of shape {shape(x)} are too large to count positions in float32")
    rows, columns = (_Samples.of(b, boxes, k, (height, width)[k], size[k]) for k in (0, 1))
    flat = reshape(b, x if is_float(x.dtype) else b.cast(x, np.float32), [batch * height * width, depth])
    start = b.mul(reshape(b, b.cast(box_ind, np.float32), [shape(boxes)[0], 1, 1]), float(height * width))

    def picked(row: Tensor, column: Tensor) -> Tensor:
        index = b.add(b.add(start, b.mul(_down(b, row), float(width))), _across(b, column))
        return b.gather(flat, b.cast(index, np.int64), axis=0)

    if method == "nearest":
        y = picked(rows.nearest(b), columns.nearest(b))
    else:
        low, left = b.floor(rows.position), b.floor(columns.position)
        high, right = b.ceil(rows.position), b.ceil(columns.position)
        across = unsqueeze(b, _across(b, columns.part(b)), [3])
        top = _between(b, picked(low, left), picked(low, right), across)
        bottom = _between(b, picked(high, left), picked(high, right), across)
        y = _between(b, top, bottom, unsqueeze(b, _down(b, rows.part(b)), [3]))
    inside = unsqueeze(b, b.and_(_down(b, rows.inside), _across(b, columns.inside)), [3])
    return b.select(inside, y, extrapolation_value)


def _down(b: Builder, rows: Tensor) -> Tensor:
    return unsqueeze(b, rows, [2])


def _across(b: Builder, columns: Tensor) -> Tensor:
    return unsqueeze(b, columns, [1])


def _between(b: Builder, first: Tensor, second: Tensor, part: Tensor) -> Tensor:
    return b.add(first, b.mul(b.sub(second, first), part))
