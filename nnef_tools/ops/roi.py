"""Regions of interest (section 5.11): rows of `rois` are the low, then the high corner in feature-map coordinates.

Decisions where the standard is silent or contradicts itself:
* a cell starts at the low corner + i * stride (the text adds the extent of the cell, which would skip the first);
* cells are half-open and cropped to the feature map; an empty cell gives 0;
* resampling reads the feature map with replicated borders, and the high corner is exclusive, as for pooling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..budget import ask_extent, ask_items
from ..errors import ExecutionError
from .broadcast import Array, along
from .checks import check, check_choice
from .definition import op
from .elementwise import round_half_up
from .pool import avg_pool, max_pool
from .resize import METHODS
from .window import Window


def roi_shape(
    input: Sequence[int],
    rois: Sequence[int],
    batch_index: Sequence[int],
    *,
    output_size: Sequence[int],
    method: str = "symmetric",
) -> list[int]:
    """Shape rule of the roi pools: [rois, channels, *output_size]."""
    check(len(input) >= 3, f"'input' must have batch, channel and spatial dimensions, got shape {list(input)}")
    check_choice("method", method, METHODS)
    _check_sizes("output_size", output_size, len(input) - 2)
    count = 2 * (len(input) - 2)
    check(
        len(rois) == 2 and rois[1] == count,
        f"'rois' must have shape [N, {count}] for input shape {list(input)}, got {list(rois)}",
    )
    check(
        list(batch_index) in ([rois[0]], [rois[0], 1]),
        f"'batch_index' must have shape [{rois[0]}, 1] or [{rois[0]}], got {list(batch_index)}",
    )
    return [rois[0], input[1], *output_size]


def roi_resample_shape(
    input: Sequence[int],
    rois: Sequence[int],
    batch_index: Sequence[int],
    *,
    output_size: Sequence[int],
    method: str = "symmetric",
) -> list[int]:
    """Shape rule of roi_resample: that of the roi pools."""
    ask_extent(2 ** max(len(input) - 2, 0), "a cell of its samples")
    return roi_shape(input, rois, batch_index, output_size=output_size, method=method)


def roi_align_shape(
    input: Sequence[int],
    rois: Sequence[int],
    batch_index: Sequence[int],
    *,
    output_size: Sequence[int],
    sampling_rate: Sequence[int],
    resize_method: str = "symmetric",
) -> list[int]:
    """Shape rule of the roi aligns."""
    check_choice("resize_method", resize_method, METHODS)
    shape = roi_resample_shape(input, rois, batch_index, output_size=output_size)
    _check_sizes("sampling_rate", sampling_rate, len(input) - 2)
    ask_items(prod(shape) * prod(sampling_rate), "its table of samples")
    return shape


def _check_sizes(name: str, sizes: Sequence[int], rank: int) -> None:
    check(len(sizes) == rank, f"'{name}' must have an item per spatial dimension ({rank}), got {list(sizes)}")
    check(all(size >= 1 for size in sizes), f"'{name}' must be positive, got {list(sizes)}")
    ask_extent(prod(sizes), f"'{name}'")


@op("avg_roi_pool", shape=roi_shape)
def avg_roi_pool(input: Array, rois: Array, batch_index: Array, *, output_size: Sequence[int]) -> Array:
    """The mean of each cell of each region."""
    return _roi_pool(input, rois, batch_index, output_size, np.mean)


@op("max_roi_pool", shape=roi_shape)
def max_roi_pool(input: Array, rois: Array, batch_index: Array, *, output_size: Sequence[int]) -> Array:
    """The maximum of each cell of each region."""
    return _roi_pool(input, rois, batch_index, output_size, np.max)


def _roi_pool(
    input: Array, rois: Array, batch_index: Array, output_size: Sequence[int], reduce: Callable[..., Any]
) -> Array:
    """Reduces each region to its cells, one dimension after the other: means and maxima of boxes are separable."""
    rank = len(output_size)
    images = _batch_indices(batch_index, input.shape[0])
    corners = round_half_up(np.asarray(rois, np.float64)).astype(np.int64)
    result = np.zeros((len(corners), input.shape[1], *output_size), input.dtype)
    for roi, corner in enumerate(corners):
        part = input[images[roi]]
        for axis, cells in enumerate(output_size):
            slices = _cells(corner[axis], corner[rank + axis], cells, input.shape[2 + axis])
            part = np.stack([_reduce_cell(part, 1 + axis, cell, reduce) for cell in slices], 1 + axis)
        result[roi] = part
    return result


def _cells(low: int, high: int, count: int, extent: int) -> list[slice]:
    """The cells of [low, high), cropped to the extent of the feature map."""
    size, stride = -(-(high - low) // count), (high - low) // count
    starts = [low + k * stride for k in range(count)]
    return [slice(max(start, 0), max(min(start + size, extent), 0)) for start in starts]


def _reduce_cell(part: Array, axis: int, cell: slice, reduce: Callable[..., Any]) -> Array:
    items = part[along(axis, cell)]
    if items.shape[axis] == 0:
        return np.zeros(items.shape[:axis] + items.shape[axis + 1 :], items.dtype)
    return np.asarray(reduce(items, axis=axis))


def _batch_indices(batch_index: Array, batch: int) -> Array:
    indices = np.asarray(batch_index).reshape(-1)
    if indices.size and not (indices.min() >= 0 and indices.max() < batch):
        raise ExecutionError(f"'batch_index' must lie in [0, {batch}), got {indices.min()} to {indices.max()}")
    return indices


@op("roi_resample", shape=roi_resample_shape)
def roi_resample(
    input: Array, rois: Array, batch_index: Array, *, output_size: Sequence[int], method: str = "symmetric"
) -> Array:
    """Each region, linearly interpolated to output_size."""
    rank, count = len(output_size), len(rois)
    images = _batch_indices(batch_index, input.shape[0]).reshape((count,) + (1,) * rank)
    neighbors = []
    for axis, size in enumerate(output_size):
        low = np.asarray(rois[:, axis, None], np.float64)
        high = np.asarray(rois[:, rank + axis, None], np.float64)
        position = np.clip(_positions(low, high - low, size, method), 0, input.shape[2 + axis] - 1)
        first = np.floor(position).astype(np.int64)
        second = np.ceil(position).astype(np.int64)
        weight = (position - first).astype(input.dtype)
        shape = (count, *(size if other == axis else 1 for other in range(rank)))
        first, second, weight = (item.reshape(shape) for item in (first, second, weight))
        neighbors.append(((first, 1 - weight), (second, weight)))
    channels_last = np.moveaxis(input, 1, -1)
    result: Any = 0
    for corner in product(*neighbors):
        source: tuple[Array, ...] = (images, *(index for index, _ in corner))
        values = channels_last[source]
        result = result + values * prod(weight for _, weight in corner)[..., None]
    return np.moveaxis(result, -1, 1)


def _positions(low: Array, length: Array, size: int, method: str) -> Array:
    """The source coordinates of `size` samples of [low, low + length): [rois, size]."""
    i = np.arange(size)
    if method == "symmetric":
        return low + (i + 0.5) * length / size - 0.5
    if method == "asymmetric":
        return low + i * length / size
    return np.asarray(low + i * (length - 1) / max(size - 1, 1))


@op("avg_roi_align", shape=roi_align_shape)
def avg_roi_align(input: Array, rois: Array, batch_index: Array, **attribs: Any) -> Array:
    """Each region resampled to a multiple of output_size, then averaged."""
    return _roi_align(avg_pool, input, rois, batch_index, **attribs)


@op("max_roi_align", shape=roi_align_shape)
def max_roi_align(input: Array, rois: Array, batch_index: Array, **attribs: Any) -> Array:
    """Each region resampled to a multiple of output_size, then maximized."""
    return _roi_align(max_pool, input, rois, batch_index, **attribs)


def _roi_align(
    pool: Callable[..., Array],
    input: Array,
    rois: Array,
    batch_index: Array,
    *,
    output_size: Sequence[int],
    sampling_rate: Sequence[int],
    resize_method: str = "symmetric",
) -> Array:
    fine = [size * rate for size, rate in zip(output_size, sampling_rate, strict=True)]
    resampled = roi_resample(input, rois, batch_index, output_size=fine, method=resize_method)
    return pool(resampled, window=Window.cells([1, 1, *sampling_rate]))
