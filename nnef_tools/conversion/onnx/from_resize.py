"""NNEF to ONNX: resampling and regions of interest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ...model import Tensor
from ..plain_builder import PlainBuilder
from ..rules import from_nnef
from .common import shape
from .emit import (
    Array,
    cast,
    concat,
    elementwise,
    floor_half_up,
    ints,
    known,
    need_version,
    pad,
    reduce,
    reshape,
    scalar,
    slice_ranges,
    squeeze,
    transpose,
    unsqueeze,
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


# regions: rows of low, then high corners


def _images(b: PlainBuilder, input: Tensor, batch_index: Tensor) -> Tensor:
    """The batch item that each region lies in: [regions, channels, ...]"""
    count = shape(batch_index)[0]
    return known(b.Gather(input, reshape(b, batch_index, [count]), axis=0), [count, *shape(input)[1:]])


def _limits(b: PlainBuilder, rois: Tensor, axis: int, rank: int) -> tuple[Tensor, Tensor]:
    """Low and high coordinates of each region in a spatial dimension: [regions, 1] each."""
    low = slice_ranges(b, rois, {1: range(axis, axis + 1)})
    return low, slice_ranges(b, rois, {1: range(rank + axis, rank + axis + 1)})


def _cells(b: PlainBuilder, rois: Tensor, axis: int, rank: int, count: int, extent: int) -> Tensor:
    """Which positions belong to which cell of which region: logical [regions, count, extent]."""
    low, high = _limits(b, floor_half_up(b, rois), axis, rank)
    length = elementwise(b, "Sub", high, low)
    quotient = elementwise(b, "Div", length, scalar(b, count))
    steps = b.constant(np.arange(count, dtype=b.real)[np.newaxis])
    start = elementwise(b, "Add", elementwise(b, "Mul", elementwise(b, "Floor", quotient), steps), low)
    stop = elementwise(b, "Add", start, elementwise(b, "Ceil", quotient))
    positions = b.constant(np.arange(extent, dtype=b.real).reshape(1, 1, -1))
    inside = elementwise(b, "GreaterOrEqual", positions, unsqueeze(b, start, [2]), dtype=np.bool_)
    return elementwise(
        b, "And", inside, elementwise(b, "Less", positions, unsqueeze(b, stop, [2]), dtype=np.bool_), dtype=np.bool_
    )


def _roi_pool(
    b: PlainBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, output_size: list[int], average: bool
) -> Tensor:
    """Each region reduced to its cells, a dimension at a time; an empty cell gives 0."""
    x = _images(b, input, batch_index)
    rank = len(output_size)
    for axis, count in enumerate(output_size):
        own = shape(x)
        k = 2 + axis
        mask = _cells(b, rois, axis, rank, count, own[k])
        # [regions, channels, .., count, extent, ..]
        mask = unsqueeze(b, mask, [j for j in range(len(own) + 1) if j not in (0, k, k + 1)])
        wide = unsqueeze(b, x, [k])
        filler = scalar(b, 0.0 if average else -np.inf)
        shown = [*own[:k], count, *own[k:]]
        parts = known(b.Where(mask, wide, filler), shown)
        number = reduce(b, "ReduceSum", cast(b, mask, b.real), [k + 1])
        total = reduce(b, "ReduceSum" if average else "ReduceMax", parts, [k + 1])
        if average:
            total = elementwise(b, "Div", total, elementwise(b, "Max", number, scalar(b, 1.0)))
        else:
            empty = elementwise(b, "Equal", number, scalar(b, 0.0), dtype=np.bool_)
            total = known(b.Where(empty, scalar(b, 0.0), total), shape(total))
        x = squeeze(b, total, [k + 1])
    return x


@from_nnef("onnx", "avg_roi_pool")
def avg_roi_pool(
    b: PlainBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int]
) -> Tensor:
    """avg_roi_pool: means over masked positions; ONNX has no such operator."""
    return _roi_pool(b, input, rois, batch_index, output_size, True)


@from_nnef("onnx", "max_roi_pool")
def max_roi_pool(
    b: PlainBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int]
) -> Tensor:
    """max_roi_pool: maxima over masked positions; ONNX's MaxRoiPool divides regions in another way."""
    return _roi_pool(b, input, rois, batch_index, output_size, False)


@from_nnef("onnx", "roi_resample")
def roi_resample(
    b: PlainBuilder, input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: list[int], method: str
) -> Tensor:
    """roi_resample: weighted sums of GatherND at the corners around each sample."""
    rank, count = len(output_size), shape(rois)[0]
    neighbours = []
    for axis, size in enumerate(output_size):
        position = _positions(b, rois, axis, rank, size, method)
        highest = scalar(b, shape(input)[2 + axis] - 1)
        position = known(b.Clip(position, scalar(b, 0.0), highest), shape(position))
        first = elementwise(b, "Floor", position)
        weight = elementwise(b, "Sub", position, first)
        own = [count, *(size if k == axis else 1 for k in range(rank))]
        rest = elementwise(b, "Sub", scalar(b, 1.0), weight)
        pairs = ((first, rest), (elementwise(b, "Ceil", position), weight))
        neighbours.append([(reshape(b, cast(b, p, np.int64), own), reshape(b, w, own)) for p, w in pairs])
    last = transpose(b, input, [0, *range(2, rank + 2), 1])
    images = reshape(b, batch_index, [count] + [1] * rank)
    terms = [_corner(b, last, images, corner, [count, *output_size]) for corner in itertools.product(*neighbours)]
    total = terms[0]
    for term in terms[1:]:
        total = elementwise(b, "Add", total, term)
    return transpose(b, total, [0, rank + 1, *range(1, rank + 1)])


def _corner(
    b: PlainBuilder, x: Tensor, images: Tensor, corner: Sequence[tuple[Tensor, Tensor]], grid: list[int]
) -> Tensor:
    """The items of x [batch, ..., channels] at a corner of each sample, times their weight."""
    dims = ints(b, grid)
    indices = [known(b.Expand(item, dims), grid, np.int64) for item in (images, *(position for position, _ in corner))]
    rank = len(grid)
    tuples = concat(b, [unsqueeze(b, item, [rank]) for item in indices], rank)
    values = known(b.GatherND(x, tuples), [*grid, shape(x)[-1]])
    for _, weight in corner:
        values = elementwise(b, "Mul", values, unsqueeze(b, weight, [rank]))
    return values


def _positions(b: PlainBuilder, rois: Tensor, axis: int, rank: int, size: int, method: str) -> Tensor:
    """The source coordinates of the samples of each region: [regions, size]."""
    low, high = _limits(b, rois, axis, rank)
    length = elementwise(b, "Sub", high, low)
    i: Array = np.arange(size, dtype=b.real)[np.newaxis]
    if method == "aligned":
        length = elementwise(b, "Sub", length, scalar(b, 1.0))
        steps = i / max(size - 1, 1)
    else:
        steps = (i + (0.5 if method == "symmetric" else 0.0)) / size
    position = elementwise(b, "Add", elementwise(b, "Mul", length, b.constant(steps, b.real)), low)
    return elementwise(b, "Sub", position, scalar(b, 0.5)) if method == "symmetric" else position


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
