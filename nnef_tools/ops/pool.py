"""Box filters and pooling (section 5.5). Attributes have an entry per dimension, batch and channel included.

Decisions where the standard is silent:
* NaN propagates through maxima. `constant` borders compete with their zeros, `ignore` borders do not take part.
* A window without any valid position (border `ignore`) gives 0, with index 0.
* With border `ignore`, normalize divides by the number of positions that take part, for box and debox alike; with
  other borders by the volume of the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..budget import ask_extent, ask_items
from ..errors import ExecutionError
from .borders import CONV_BORDERS, POOL_BORDERS, ZERO_BORDERS, Padding, check_overhang, extend, source_index
from .broadcast import Array, along
from .checks import check, check_choice
from .conv import extend_downscaled
from .definition import op
from .window import PlacedWindow, Window, divisors


def pool_shape(input: Sequence[int], *, window: Window, normalize: bool = False) -> list[int]:
    """Shape rule of box and the pools."""
    check(len(input) > 0, "'input' must have rank 1 or more, got a scalar")
    check_choice("border", window.border, POOL_BORDERS)
    placed = window.forward(input)
    check_overhang(window.border, placed.upscaled, placed.padding)
    _ask_padded(placed, placed.upscaled, placed.downscaled, placed.padding)
    return list(placed.downscaled)


def _ask_padded(placed: PlacedWindow, extents: Sequence[int], windows: Sequence[int], padding: Padding) -> None:
    """Asks for windows over extents that are padded by more than themselves, which costs a model nothing. LimitError.

    windows: their number in each dimension.
    """
    if any(max(pair) > extent for pair, extent in zip(padding, extents, strict=True)):
        size = placed.trimmed()[0].size if placed.border in ZERO_BORDERS else placed.size
        ask_items(prod(windows) * max(size), "all of its windows together")


def index_shape(input: Sequence[int], *, window: Window) -> list[int]:
    """Shape rule of argmax_pool."""
    _check_indices(window)
    return pool_shape(input, window=window)


def _check_indices(window: Window) -> None:
    check(prod(window.size) < 2**63, f"a window of size {list(window.size)} has more items than an index can count")


def debox_shape(
    input: Sequence[int], *, window: Window, output_shape: Sequence[int] = (), normalize: bool = False
) -> list[int]:
    """Shape rule of debox."""
    check(len(input) > 0, "'input' must have rank 1 or more, got a scalar")
    check_choice("border", window.border, POOL_BORDERS)
    check(
        len(output_shape) in (0, len(input)),
        f"'output_shape' must be empty or have {len(input)} items, got {list(output_shape)}",
    )
    placed = window.reverse(input, output_shape)
    overhang, continued = placed.continued()
    check_overhang(window.border, placed.downscaled, overhang)
    _ask_padded(placed, placed.downscaled, continued.downscaled, overhang)
    return list(placed.upscaled)


def pool_with_index_shape(input: Sequence[int], *, window: Window) -> tuple[list[int], list[int]]:
    """Shape rule of max_pool_with_index."""
    shape = index_shape(input, window=window)
    return shape, list(shape)


def sample_shape(input: Sequence[int], index: Sequence[int], *, window: Window) -> list[int]:
    """Shape rule of sample: the index has the shape of the result."""
    check_choice("border", window.border, CONV_BORDERS)
    shape = index_shape(input, window=window)
    check(list(index) == shape, f"'index' must have the shape {shape} of the result, got {list(index)}")
    return shape


def desample_shape(
    input: Sequence[int], index: Sequence[int], *, window: Window, output_shape: Sequence[int] = ()
) -> list[int]:
    """Shape rule of desample: the index has the shape of the input."""
    check_choice("border", window.border, ("constant",))
    _check_indices(window)
    check(list(index) == list(input), f"'index' must have the shape {list(input)} of 'input', got {list(index)}")
    return debox_shape(input, window=window, output_shape=output_shape)


def _pool_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(outputs[0]) * prod(attribs["size"]))


def _debox_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(inputs[0]) * prod(attribs["size"]))


@op("box", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def box(input: Array, *, window: Window, normalize: bool = False) -> Array:
    """Sum over the window, or its mean; a dimension at a time, since the box is separable."""
    placed = window.forward(input.shape)
    seen = placed.trimmed()[0] if window.border in ZERO_BORDERS else placed
    result = _reduced(extend(input, seen.padding, window.border), seen, np.add)
    if not normalize:
        return result
    if window.border == "ignore":
        return result / divisors([placed.valid_counts(axis) for axis in range(input.ndim)], input.dtype)
    return result / prod(placed.size)


def _reduced(padded: Array, window: PlacedWindow, combine: np.ufunc) -> Array:
    """The items of each window combined, a dimension at a time."""
    result = padded
    for axis in window.active:
        source = result
        result = source[along(axis, window.read(axis, 0))].copy()
        for element in range(1, window.size[axis]):
            combine(result, source[along(axis, window.read(axis, element))], out=result)
    return result


@op("debox", shape=debox_shape, macs=_debox_macs, macs_group="pooling")
def debox(input: Array, *, window: Window, output_shape: Sequence[int] = (), normalize: bool = False) -> Array:
    """The transpose of box: every input item is added to all positions of its window."""
    result, placed = extend_downscaled(input, window.reverse(input.shape, output_shape))
    for axis in placed.active:
        result = _spread(result, placed, axis)
    if not normalize:
        return result
    if window.border == "ignore":
        return result / divisors([placed.contributions(axis) for axis in range(input.ndim)], input.dtype)
    return result / prod(placed.size)


def _spread(input: Array, window: PlacedWindow, axis: int) -> Array:
    """debox along one dimension."""
    shape = list(input.shape)
    shape[axis] = window.upscaled[axis]
    result = np.zeros(shape, input.dtype)
    for element in window.elements(axis):
        to, of = window.write(axis, element)
        result[along(axis, to)] += input[along(axis, of)]
    return result


@op("max_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def max_pool(input: Array, *, window: Window) -> Array:
    """The maximum of the window; a dimension at a time, since maxima are separable."""
    placed = window.forward(input.shape)
    seen, _ = distinct_elements(placed)
    result = _reduced(_extended(input, seen), seen, np.maximum)
    if window.border == "ignore":
        for axis in range(input.ndim):
            empty = placed.empty(axis)
            if empty is not None:
                result[along(axis, empty)] = 0
    return result


def distinct_elements(window: PlacedWindow) -> tuple[PlacedWindow, tuple[int, ...]]:
    """The window without elements of which others have the same value, and how many are left out at its begin."""
    if window.border in (*ZERO_BORDERS, "replicate"):
        return window.trimmed()
    return window, (0,) * len(window.size)


def _extended(input: Array, window: PlacedWindow) -> Array:
    """The input with its padding, which has the lowest value if the border is ignored."""
    return extend(input, window.padding, window.border, -np.inf if window.border == "ignore" else 0.0)


@op("avg_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def avg_pool(input: Array, *, window: Window) -> Array:
    """The mean of the window."""
    return box(input, window=window, normalize=True)


@op("rms_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def rms_pool(input: Array, *, window: Window) -> Array:
    """The root of the mean of the squares in the window."""
    return np.sqrt(avg_pool(np.square(input), window=window))


@op("argmax_pool", shape=index_shape, macs=_pool_macs, macs_group="pooling")
def argmax_pool(input: Array, *, window: Window) -> Array:
    """int64 row-major index, inside the window, of the first maximum; a NaN counts as the largest value."""
    placed = window.forward(input.shape)
    seen, lows = distinct_elements(placed)
    padded = _extended(input, seen)
    inside = np.ones(input.shape, np.bool_)
    valid = extend(inside, seen.padding, "constant") if window.border == "ignore" else None
    best = np.full(placed.downscaled, -np.inf, input.dtype)
    found = np.zeros(placed.downscaled, np.bool_)
    index = np.zeros(placed.downscaled, np.int64)
    ask_extent(prod(seen.size), "its window")
    for element in np.ndindex(*seen.size):
        where = tuple(seen.read(*item) for item in enumerate(element))
        part = padded[where]
        better = (part > best) | (np.isnan(part) & ~np.isnan(best)) | ~found
        if valid is not None:
            better &= valid[where]
        np.copyto(best, part, where=better)
        # the first element stands for all that are left out before it
        index[better] = _row_major([j and j + low for j, low in zip(element, lows, strict=True)], placed.size)
        found |= better
    return index


def _row_major(element: Sequence[int], size: Sequence[int]) -> int:
    """The index of an element in a window of that size."""
    index = 0
    for j, extent in zip(element, size, strict=True):
        index = index * extent + j
    return index


@op("max_pool_with_index", shape=pool_with_index_shape, macs=_pool_macs, macs_group="pooling")
def max_pool_with_index(input: Array, *, window: Window) -> tuple[Array, Array]:
    """The maximum of the window, and its row-major index inside the window."""
    index = argmax_pool(input, window=window)
    # No index points into an ignored border.
    border = "constant" if window.border == "ignore" else window.border
    return sample(input, index, window=replace(window, border=border)), index


@op("sample", shape=sample_shape)
def sample(input: Array, index: Array, *, window: Window) -> Array:
    """Takes the item that the index names out of every window."""
    positions = [
        source_index(position, extent, window.border)
        for position, extent in zip(_positions(index, window.forward(input.shape)), input.shape, strict=True)
    ]
    outside = np.logical_or.reduce(np.broadcast_arrays(*(position < 0 for position in positions)))
    # index -1 reads the last item, which the border then replaces
    return np.where(outside, np.zeros((), input.dtype), input[tuple(positions)])


@op("desample", shape=desample_shape)
def desample(input: Array, index: Array, *, window: Window, output_shape: Sequence[int] = ()) -> Array:
    """Adds every item to the position of its window that the index names; items outside are dropped."""
    placed = window.reverse(input.shape, output_shape)
    positions = np.broadcast_arrays(*_positions(index, placed))
    inside = np.logical_and.reduce(
        [(p >= 0) & (p < extent) for p, extent in zip(positions, placed.upscaled, strict=True)]
    )
    flat = np.ravel_multi_index([position[inside] for position in positions], placed.upscaled)
    result = np.bincount(flat, input[inside], prod(placed.upscaled))
    return result.reshape(placed.upscaled).astype(input.dtype)


def _positions(index: Array, window: PlacedWindow) -> list[Array]:
    """The up-scaled coordinates that the index names, one dimension after the other; they can lie outside."""
    if index.size and not (index.min() >= 0 and index.max() < prod(window.size)):
        raise ExecutionError(
            f"indices must lie in [0, {prod(window.size)}) for windows of size {list(window.size)}, "
            f"got {index.min()} to {index.max()}"
        )
    rank = len(window.size)
    return [
        window.starts(axis).reshape((-1,) + (1,) * (rank - 1 - axis)) + element * window.dilation[axis]
        for axis, element in enumerate(np.unravel_index(index, window.size))
    ]
