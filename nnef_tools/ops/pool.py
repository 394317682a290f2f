"""Box filters and pooling (section 5.5). Attributes have an entry per dimension, batch and channel included.

Decisions where the standard is silent:
* NaN propagates through maxima. `constant` borders compete with their zeros, `ignore` borders do not take part.
* A window without any valid position (border `ignore`) gives 0, with index 0.
* With border `ignore`, normalize divides by the number of positions that take part, for box and debox alike; with
  other borders by the volume of the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import ExecutionError
from .borders import CONV_BORDERS, POOL_BORDERS, Padding, check_overhang, extend, source_index
from .broadcast import Array, along
from .checks import check, check_choice
from .conv import extend_downscaled
from .definition import op
from .window import Window, divisors, forward_window, reverse_window


def pool_shape(
    input: Sequence[int],
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    normalize: bool = False,
) -> list[int]:
    """Shape rule of box, argmax_pool and the pools."""
    check(len(input) > 0, "'input' must have rank 1 or more, got a scalar")
    check_choice("border", border, POOL_BORDERS)
    window = forward_window(input, size, padding, stride, dilation)
    check_overhang(border, window.upscaled, window.padding)
    return list(window.downscaled)


def debox_shape(
    input: Sequence[int],
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    output_shape: Sequence[int] = (),
    normalize: bool = False,
) -> list[int]:
    """Shape rule of debox."""
    check(len(input) > 0, "'input' must have rank 1 or more, got a scalar")
    check_choice("border", border, POOL_BORDERS)
    check(
        len(output_shape) in (0, len(input)),
        f"'output_shape' must be empty or have {len(input)} items, got {list(output_shape)}",
    )
    window = reverse_window(input, size, padding, stride, dilation, output_shape)
    check_overhang(border, window.downscaled, [window.overhang(axis) for axis in range(len(input))])
    return list(window.upscaled)


def pool_with_index_shape(input: Sequence[int], **attribs: Any) -> tuple[list[int], list[int]]:
    """Shape rule of max_pool_with_index."""
    shape = pool_shape(input, **attribs)
    return shape, list(shape)


def sample_shape(input: Sequence[int], index: Sequence[int], *, border: str = "constant", **attribs: Any) -> list[int]:
    """Shape rule of sample: the index has the shape of the result."""
    check_choice("border", border, CONV_BORDERS)
    shape = pool_shape(input, border=border, **attribs)
    check(list(index) == shape, f"'index' must have the shape {shape} of the result, got {list(index)}")
    return shape


def desample_shape(
    input: Sequence[int], index: Sequence[int], *, border: str = "constant", **attribs: Any
) -> list[int]:
    """Shape rule of desample: the index has the shape of the input."""
    check_choice("border", border, ("constant",))
    check(list(index) == list(input), f"'index' must have the shape {list(input)} of 'input', got {list(index)}")
    return debox_shape(input, border=border, **attribs)


def _pool_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(outputs[0]) * prod(attribs["size"]))


def _debox_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(inputs[0]) * prod(attribs["size"]))


@op("box", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def box(
    input: Array,
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    normalize: bool = False,
) -> Array:
    """Sum over the window, or its mean; a dimension at a time, since the box is separable."""
    window = forward_window(input.shape, size, padding, stride, dilation)
    result = _reduced(extend(input, window.padding, border), window, np.add)
    if not normalize:
        return result
    if border == "ignore":
        return result / divisors([window.valid_counts(axis) for axis in range(input.ndim)], input.dtype)
    return result / prod(window.size)


def _reduced(padded: Array, window: Window, combine: np.ufunc) -> Array:
    """The items of each window combined, a dimension at a time."""
    result = padded
    for axis in window.active:
        parts = [result[along(axis, window.read(axis, element))] for element in range(window.size[axis])]
        result = parts[0].copy()
        for part in parts[1:]:
            combine(result, part, out=result)
    return result


@op("debox", shape=debox_shape, macs=_debox_macs, macs_group="pooling")
def debox(
    input: Array,
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    output_shape: Sequence[int] = (),
    normalize: bool = False,
) -> Array:
    """The transpose of box: every input item is added to all positions of its window."""
    window = reverse_window(input.shape, size, padding, stride, dilation, output_shape)
    result, window = extend_downscaled(input, window, border)
    for axis in window.active:
        result = _spread(result, window, axis)
    if not normalize:
        return result
    if border == "ignore":
        return result / divisors([window.contributions(axis) for axis in range(input.ndim)], input.dtype)
    return result / prod(window.size)


def _spread(input: Array, window: Window, axis: int) -> Array:
    """debox along one dimension."""
    shape = list(input.shape)
    shape[axis] = window.upscaled[axis]
    result = np.zeros(shape, input.dtype)
    for element in range(window.size[axis]):
        to, of = window.write(axis, element)
        result[along(axis, to)] += input[along(axis, of)]
    return result


@op("max_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def max_pool(
    input: Array,
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
) -> Array:
    """The maximum of the window; a dimension at a time, since maxima are separable."""
    window = forward_window(input.shape, size, padding, stride, dilation)
    padded = extend(input, window.padding, border, -np.inf if border == "ignore" else 0.0)
    result = _reduced(padded, window, np.maximum)
    if border == "ignore":
        for axis in range(input.ndim):
            empty = window.valid_counts(axis) == 0
            if empty.any():
                result[along(axis, empty)] = 0
    return result


@op("avg_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def avg_pool(input: Array, **window: Any) -> Array:
    """The mean of the window."""
    return box(input, normalize=True, **window)


@op("rms_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def rms_pool(input: Array, **window: Any) -> Array:
    """The root of the mean of the squares in the window."""
    return np.sqrt(avg_pool(np.square(input), **window))


@op("argmax_pool", shape=pool_shape, macs=_pool_macs, macs_group="pooling")
def argmax_pool(
    input: Array,
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
) -> Array:
    """int64 row-major index, inside the window, of the first maximum; a NaN counts as the largest value."""
    window = forward_window(input.shape, size, padding, stride, dilation)
    padded = extend(input, window.padding, border, -np.inf if border == "ignore" else 0.0)
    valid = extend(np.ones(input.shape, np.bool_), window.padding, "constant") if border == "ignore" else None
    best = np.full(window.downscaled, -np.inf, input.dtype)
    found = np.zeros(window.downscaled, np.bool_)
    index = np.zeros(window.downscaled, np.int64)
    for position, element in enumerate(np.ndindex(*window.size)):
        where = tuple(window.read(*item) for item in enumerate(element))
        part = padded[where]
        better = (part > best) | (np.isnan(part) & ~np.isnan(best)) | ~found
        if valid is not None:
            better &= valid[where]
        np.copyto(best, part, where=better)
        index[better] = position
        found |= better
    return index


@op("max_pool_with_index", shape=pool_with_index_shape, macs=_pool_macs, macs_group="pooling")
def max_pool_with_index(input: Array, *, border: str = "constant", **window: Any) -> tuple[Array, Array]:
    """The maximum of the window, and its row-major index inside the window."""
    index = argmax_pool(input, border=border, **window)
    return sample(input, index, border="constant" if border == "ignore" else border, **window), index


@op("sample", shape=sample_shape)
def sample(
    input: Array,
    index: Array,
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
) -> Array:
    """Takes the item that the index names out of every window."""
    window = forward_window(input.shape, size, padding, stride, dilation)
    positions = [
        source_index(position, extent, border)
        for position, extent in zip(_positions(index, window), input.shape, strict=True)
    ]
    outside = np.logical_or.reduce(np.broadcast_arrays(*(position < 0 for position in positions)))
    # Index -1 reads the last item, which the border then replaces.
    return np.where(outside, np.zeros((), input.dtype), input[tuple(positions)])


@op("desample", shape=desample_shape)
def desample(
    input: Array,
    index: Array,
    *,
    size: Sequence[int],
    border: str = "constant",
    padding: Padding = (),
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    output_shape: Sequence[int] = (),
) -> Array:
    """Adds every item to the position of its window that the index names; what falls outside is lost."""
    window = reverse_window(input.shape, size, padding, stride, dilation, output_shape)
    positions = np.broadcast_arrays(*_positions(index, window))
    inside = np.logical_and.reduce(
        [(p >= 0) & (p < extent) for p, extent in zip(positions, window.upscaled, strict=True)]
    )
    flat = np.ravel_multi_index([position[inside] for position in positions], window.upscaled)
    result = np.bincount(flat, input[inside], prod(window.upscaled))
    return result.reshape(window.upscaled).astype(input.dtype)


def _positions(index: Array, window: Window) -> list[Array]:
    """The up-scaled coordinates, a dimension at a time, that the index names; they can lie outside."""
    if index.size and not (index.min() >= 0 and index.max() < prod(window.size)):
        raise ExecutionError(
            f"indices must lie in [0, {prod(window.size)}) for windows of size {list(window.size)}, "
            f"got {index.min()} to {index.max()}"
        )
    rank = len(window.size)
    result = []
    for axis, element in enumerate(np.unravel_index(index, window.size)):
        starts = np.arange(window.downscaled[axis]) * window.stride[axis] - window.padding[axis][0]
        result.append(starts.reshape((-1,) + (1,) * (rank - 1 - axis)) + element * window.dilation[axis])
    return result
