"""NNEF to any dialect: regions of interest, which operators of the dialects divide in another way.

Rows of `rois` are the low, then the high corners of the regions: `[regions, 2 * spatial dimensions]`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ...budget import ask_operations
from ...model import Tensor
from ..building.shapes import shape
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef
from ..maths.generated import positions

Taps = Sequence[tuple[Tensor, Tensor]]
"""Positions (int64) along an axis, and the weights of the elements there."""


@from_nnef(EVERY, "avg_roi_pool")
def avg_roi_pool(
    b: TargetBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int]
) -> Tensor:
    """avg_roi_pool: means over masked positions."""
    return _roi_pool(b, input, rois, batch_index, output_size, average=True)


@from_nnef(EVERY, "max_roi_pool")
def max_roi_pool(
    b: TargetBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int]
) -> Tensor:
    """max_roi_pool: maxima over masked positions."""
    return _roi_pool(b, input, rois, batch_index, output_size, average=False)


@from_nnef(EVERY, "roi_resample")
def roi_resample(
    b: TargetBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int], method: str
) -> Tensor:
    """roi_resample: weighted sums of the elements at the corners around each sample."""
    rank, count = len(output_size), shape(rois)[0]
    axes = []
    for axis, size in enumerate(output_size):
        own = [count, *(size if k == axis else 1 for k in range(rank))]
        position = b.nnef.reshape(_samples(b, rois, axis, rank, size, method), shape=own)
        position = b.nnef.clamp(position, 0.0, float(shape(input)[2 + axis] - 1))
        first, second = b.nnef.floor(position), b.nnef.ceil(position)
        weight = b.nnef.sub(position, first)
        pairs = ((first, b.nnef.sub(1.0, weight)), (second, weight))
        axes.append([(b.cast(index, np.int64), w) for index, w in pairs])
    return interpolated(b, input, b.nnef.reshape(batch_index, shape=[count] + [1] * rank), axes)


def interpolated(b: TargetBuilder, x: Tensor, images: Tensor, axes: Sequence[Taps]) -> Tensor:
    """Weighted sums of elements of x `[batch, channels, spatial...]`: for all combinations of taps along its axes.

    images: positions in the batch, int64. All positions and weights have the rank of the result without channels, and
    broadcast to its shape; the result has channels second.
    """
    batch, channels, *extents = shape(x)
    last = b.nnef.transpose(x, axes=[0, *range(2, len(extents) + 2), 1])
    rows = b.nnef.reshape(last, shape=[batch * math.prod(extents), channels])
    total: Tensor | None = None
    ask_operations(math.prod(map(len, axes)) * (4 * len(axes) + 4), "its combinations of elements")
    for combination in itertools.product(*axes):
        index = images
        for extent, (position, _) in zip(extents, combination, strict=True):
            index = b.nnef.add(b.nnef.mul(index, b.constant(extent, np.int64)), position)
        values = b.nnef.gather(rows, index)
        for _, weight in combination:
            values = b.nnef.mul(values, b.nnef.unsqueeze(weight, axes=[len(shape(weight))]))
        total = values if total is None else b.nnef.add(total, values)
    assert total is not None
    rank = len(shape(total))
    return b.nnef.transpose(total, axes=[0, rank - 1, *range(1, rank - 1)])


def _column(b: TargetBuilder, rois: Tensor, k: int) -> Tensor:
    """One coordinate of each region: `[regions, 1]`."""
    return b.nnef.slice(rois, axes=[1], begin=[k], end=[k + 1])


def _samples(b: TargetBuilder, rois: Tensor, axis: int, rank: int, size: int, method: str) -> Tensor:
    """The source coordinates of the samples of each region: `[regions, size]`."""
    low, high = _column(b, rois, axis), _column(b, rois, rank + axis)
    length = b.nnef.sub(high, low)
    i = positions(size)[np.newaxis]
    if method == "aligned":
        length = b.nnef.sub(length, 1.0)
        steps = i / max(size - 1, 1)
    else:
        steps = (i + (0.5 if method == "symmetric" else 0.0)) / size
    position = b.nnef.add(b.nnef.mul(length, b.constant(steps, b.real)), low)
    return b.nnef.sub(position, 0.5) if method == "symmetric" else position


def _cells(b: TargetBuilder, corners: Tensor, axis: int, rank: int, count: int, extent: int) -> Tensor:
    """Which positions belong to which cell of which region: logical `[regions, count, extent]`."""
    low, high = _column(b, corners, axis), _column(b, corners, rank + axis)
    quotient = b.nnef.div(b.nnef.sub(high, low), float(count))
    steps = b.constant(positions(count)[np.newaxis], b.real)
    start = b.nnef.add(b.nnef.mul(b.nnef.floor(quotient), steps), low)
    stop = b.nnef.add(start, b.nnef.ceil(quotient))
    place = b.constant(positions(extent).reshape(1, 1, -1), b.real)
    inside = b.nnef.ge(place, b.nnef.unsqueeze(start, axes=[2]))
    return b.nnef.and_(inside, b.nnef.lt(place, b.nnef.unsqueeze(stop, axes=[2])))


def _roi_pool(
    b: TargetBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, output_size: list[int], *, average: bool
) -> Tensor:
    """Each region reduced to its cells, one dimension after the other; an empty cell gives 0."""
    x = b.nnef.gather(input, b.nnef.reshape(batch_index, shape=[shape(rois)[0]]))
    corners = b.nnef.round(rois)
    rank = len(output_size)
    for k, count in enumerate(output_size, 2):
        own = shape(x)
        mask = _cells(b, corners, k - 2, rank, count, own[k])
        # [regions, channels, .., count, extent, ..]
        mask = b.nnef.unsqueeze(mask, axes=[j for j in range(len(own) + 1) if j not in (0, k, k + 1)])
        shown = b.nnef.select(mask, b.nnef.unsqueeze(x, axes=[k]), 0.0 if average else -np.inf)
        number = b.nnef.sum_reduce(b.cast(mask, b.real), axes=[k + 1])
        if average:
            cells = b.nnef.div(b.nnef.sum_reduce(shown, axes=[k + 1]), b.nnef.max(number, 1.0))
        else:
            cells = b.nnef.select(b.nnef.gt(number, 0.0), b.nnef.max_reduce(shown, axes=[k + 1]), 0.0)
        x = b.nnef.squeeze(cells, axes=[k + 1])
    return x
