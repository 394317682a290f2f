"""NNEF to TensorFlow: regions of interest and sampling at positions that are computed when the model runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ...model import Tensor
from ..rules import from_nnef
from .emit import (
    TfBuilder,
    cast,
    elementwise,
    floor_half_up,
    integer,
    matmul,
    reduce,
    reshape,
    scalar,
    select,
    shape,
    slice_ranges,
    squeeze,
    take,
    transpose,
    unsqueeze,
)

Taps = Sequence[tuple[Tensor, Tensor]]
"""Positions (int64) along an axis, and the weights of the elements there."""


def _add(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return elementwise(b, "AddV2", x, y)


def _sub(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return elementwise(b, "Sub", x, y)


def _mul(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return elementwise(b, "Mul", x, y)


def _interpolated(b: TfBuilder, x: Tensor, images: Tensor, axes: Sequence[Taps]) -> Tensor:
    """Weighted sums of elements of x [batch, channels, spatial...]: for all combinations of taps along its axes.

    images: positions in the batch. All positions and weights have the rank of the result without channels, and
    broadcast to its shape; the result has channels second.
    """
    batch, channels, *extents = shape(x)
    last = transpose(b, x, [0, *range(2, len(extents) + 2), 1])
    rows = reshape(b, last, [batch * int(np.prod(extents)), channels])
    total: Tensor | None = None
    for combination in itertools.product(*axes):
        index = images
        for extent, (position, _) in zip(extents, combination, strict=True):
            index = _add(b, _mul(b, index, integer(b, extent)), position)
        values = take(b, rows, index, 0)
        for _, weight in combination:
            values = _mul(b, values, unsqueeze(b, weight, [len(shape(weight))]))
        total = values if total is None else _add(b, total, values)
    assert total is not None
    rank = len(shape(total))
    return transpose(b, total, [0, rank - 1, *range(1, rank - 1)])


# regions: rows of low, then high corners


def _limits(b: TfBuilder, rois: Tensor, axis: int, rank: int) -> tuple[Tensor, Tensor]:
    """Low and high coordinates of each region in a spatial dimension: [regions, 1] each."""
    low = slice_ranges(b, rois, {1: range(axis, axis + 1)})
    return low, slice_ranges(b, rois, {1: range(rank + axis, rank + axis + 1)})


def _cells(b: TfBuilder, rois: Tensor, axis: int, rank: int, count: int, extent: int) -> Tensor:
    """Which positions belong to which cell of which region: logical [regions, count, extent]."""
    low, high = _limits(b, floor_half_up(b, rois), axis, rank)
    quotient = elementwise(b, "RealDiv", _sub(b, high, low), scalar(b, count))
    steps = b.constant(np.arange(count)[np.newaxis], b.real)
    start = _add(b, _mul(b, elementwise(b, "Floor", quotient), steps), low)
    stop = _add(b, start, elementwise(b, "Ceil", quotient))
    positions = b.constant(np.arange(extent).reshape(1, 1, -1), b.real)
    after = elementwise(b, "GreaterEqual", positions, unsqueeze(b, start, [2]), dtype=np.bool_)
    before = elementwise(b, "Less", positions, unsqueeze(b, stop, [2]), dtype=np.bool_)
    return elementwise(b, "LogicalAnd", after, before)


def _roi_pool(
    b: TfBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, output_size: list[int], average: bool
) -> Tensor:
    """Each region reduced to its cells, a dimension at a time; an empty cell gives 0."""
    x = take(b, input, reshape(b, batch_index, [shape(rois)[0]]), 0)
    rank = len(output_size)
    for axis, count in enumerate(output_size):
        own = shape(x)
        order = [k for k in range(len(own)) if k != axis + 2]
        moved = transpose(b, x, [*order, axis + 2])
        extent = own[axis + 2]
        rows = reshape(b, moved, [own[0], int(np.prod([own[k] for k in order[1:]])), extent])
        mask = _cells(b, rois, axis, rank, count, extent)
        y = _means(b, rows, mask) if average else _maxima(b, rows, mask)
        x = transpose(b, reshape(b, y, [*(own[k] for k in order), count]), np.argsort([*order, axis + 2]).tolist())
    return x


def _means(b: TfBuilder, rows: Tensor, mask: Tensor) -> Tensor:
    """[regions, rows, extent] and [regions, cells, extent] -> [regions, rows, cells]."""
    ones = cast(b, mask, b.real)
    number = elementwise(b, "Maximum", reduce(b, "Sum", ones, [2]), scalar(b, 1.0))
    return matmul(b, rows, elementwise(b, "RealDiv", ones, number), transpose_y=True)


def _maxima(b: TfBuilder, rows: Tensor, mask: Tensor) -> Tensor:
    """[regions, rows, extent] and [regions, cells, extent] -> [regions, rows, cells]."""
    shown = select(b, unsqueeze(b, mask, [1]), unsqueeze(b, rows, [2]), scalar(b, -np.inf))
    best = squeeze(b, reduce(b, "Max", shown, [3]), [3])
    some = transpose(b, reduce(b, "Any", mask, [2]), [0, 2, 1])
    return select(b, some, best, scalar(b, 0.0))


@from_nnef("tf", "avg_roi_pool")
def avg_roi_pool(b: TfBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int]) -> Tensor:
    """avg_roi_pool: products with matrices that say which positions are in a cell."""
    return _roi_pool(b, input, rois, batch_index, output_size, True)


@from_nnef("tf", "max_roi_pool")
def max_roi_pool(b: TfBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int]) -> Tensor:
    """max_roi_pool: maxima over masked positions."""
    return _roi_pool(b, input, rois, batch_index, output_size, False)


@from_nnef("tf", "roi_resample")
def roi_resample(
    b: TfBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int], method: str
) -> Tensor:
    """roi_resample: weighted sums of GatherV2 at the corners around each sample."""
    rank, count = len(output_size), shape(rois)[0]
    axes = []
    for axis, size in enumerate(output_size):
        own = [count, *(size if k == axis else 1 for k in range(rank))]
        position = reshape(b, _positions(b, rois, axis, rank, size, method), own)
        highest = scalar(b, shape(input)[2 + axis] - 1)
        position = elementwise(b, "Minimum", elementwise(b, "Maximum", position, scalar(b, 0.0)), highest)
        first = elementwise(b, "Floor", position)
        weight = _sub(b, position, first)
        second = elementwise(b, "Ceil", position)
        pairs = ((first, _sub(b, scalar(b, 1.0), weight)), (second, weight))
        axes.append([(cast(b, index, np.int64), w) for index, w in pairs])
    return _interpolated(b, input, reshape(b, batch_index, [count] + [1] * rank), axes)


def _positions(b: TfBuilder, rois: Tensor, axis: int, rank: int, size: int, method: str) -> Tensor:
    """The source coordinates of the samples of each region: [regions, size]."""
    low, high = _limits(b, rois, axis, rank)
    length = _sub(b, high, low)
    i = np.arange(size)[np.newaxis]
    if method == "aligned":
        length = _sub(b, length, scalar(b, 1.0))
        steps = i / max(size - 1, 1)
    else:
        steps = (i + (0.5 if method == "symmetric" else 0.0)) / size
    position = _add(b, _mul(b, length, b.constant(steps, b.real)), low)
    return _sub(b, position, scalar(b, 0.5)) if method == "symmetric" else position


# sampling at a grid

CUBIC = -0.75
"""The coefficient of cubic interpolation."""


@from_nnef("tf", "grid_sample")
def grid_sample(
    b: TfBuilder, input: Tensor, grid: Tensor, *, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """grid_sample: weighted sums of GatherV2 at the elements around each position."""
    batch, _, *extents = shape(input)
    last = len(shape(grid)) - 1
    axes = []
    for axis, extent in enumerate(extents):
        k = len(extents) - 1 - axis
        unit = squeeze(b, slice_ranges(b, grid, {last: range(k, k + 1)}), [last])
        # (unit + 1) / 2 * (extent - 1), or ((unit + 1) * extent - 1) / 2
        scale = (extent - 1) / 2 if align_corners else extent / 2
        source = _add(b, _mul(b, unit, scalar(b, scale)), scalar(b, (extent - 1) / 2))
        if mode != "cubic":
            source = _bounded(b, source, extent, padding_mode, align_corners)
        axes.append([_tap(b, *tap, extent, padding_mode, align_corners) for tap in _grid_taps(b, source, mode)])
    images = b.constant(np.arange(batch).reshape([-1] + [1] * (last - 1)), np.int64)
    return _interpolated(b, input, images, axes)


def _bounded(b: TfBuilder, x: Tensor, extent: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Coordinates after the continuation of the input; those of 'zeros' stay outside."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, high = (0.0, extent - 1.0) if align_corners else (-0.5, extent - 0.5)
        period = scalar(b, 2 * (high - low))
        if high > low:
            offset = elementwise(b, "FloorMod", _sub(b, x, scalar(b, low)), period)
            x = _add(b, elementwise(b, "Minimum", offset, _sub(b, period, offset)), scalar(b, low))
    return _clipped(b, x, extent)


def _clipped(b: TfBuilder, x: Tensor, extent: int) -> Tensor:
    return elementwise(b, "ClipByValue", x, scalar(b, 0.0), scalar(b, extent - 1))


def _grid_taps(b: TfBuilder, x: Tensor, mode: str) -> list[tuple[Tensor, Tensor]]:
    """Positions, still real numbers, and weights for each coordinate of an axis."""
    if mode == "nearest":
        return [(elementwise(b, "Round", x), scalar(b, 1.0))]
    base = elementwise(b, "Floor", x)
    rest = _sub(b, x, base)
    if mode == "linear":
        return [(base, _sub(b, scalar(b, 1.0), rest)), (_add(b, base, scalar(b, 1.0)), rest)]
    # Keys' kernel at the distances 1 + t, t, 1 - t and 2 - t, as polynomials of t: lowest power first
    a = CUBIC
    kernels = ((0, a, -2 * a, a), (1, 0, -a - 3, a + 2), (0, -a, 2 * a + 3, -a - 2), (0, 0, a, -a))
    return [
        (_add(b, base, scalar(b, k)), _polynomial(b, rest, kernel))
        for k, kernel in zip((-1, 0, 1, 2), kernels, strict=True)
    ]


def _polynomial(b: TfBuilder, x: Tensor, coefficients: Sequence[float]) -> Tensor:
    result = scalar(b, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = _add(b, _mul(b, result, x), scalar(b, coefficient))
    return result


def _tap(
    b: TfBuilder, position: Tensor, weight: Tensor, extent: int, padding_mode: str, align_corners: bool
) -> tuple[Tensor, Tensor]:
    """An integer position inside the input, and the weight that it then has."""
    if padding_mode == "zeros":
        lowest = elementwise(b, "GreaterEqual", position, scalar(b, 0.0), dtype=np.bool_)
        highest = elementwise(b, "Less", position, scalar(b, extent), dtype=np.bool_)
        inside = elementwise(b, "LogicalAnd", lowest, highest)
        weight = select(b, inside, weight, scalar(b, 0.0))
    bounded = _clipped(b, _bounded(b, position, extent, padding_mode, align_corners), extent)
    index = cast(b, bounded, np.int64)
    return index, weight if shape(weight) else _mul(b, elementwise(b, "OnesLike", position), weight)
