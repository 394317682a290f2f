"""Convolution family (section 5.4).

Filters are [c, C / groups, ...] for conv and deconv alike, where C counts the channels of the up-scaled side and c
those of the down-scaled one. A bias is [1, channels] or has one item; [channels] is accepted too, since exporters
write it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..budget import ask_extent
from ..errors import ShapeError
from .borders import CONV_BORDERS, check_overhang, extend
from .broadcast import Array, last_axes
from .checks import check, check_choice
from .definition import op
from .window import PlacedWindow, Window

# Columns of an unfolded input that are multiplied at a time: large enough for BLAS, small enough for memory.
_CHUNK_ITEMS = 1 << 22
# number of items of a result that are summed at a time
_CACHED_ITEMS = 1 << 16


def _check_filter(input: Sequence[int], filter: Sequence[int], name: str = "filter") -> None:
    if len(input) < 3:
        raise ShapeError(f"'input' must have batch, channel and spatial dimensions, got shape {list(input)}")
    if len(filter) != len(input):
        raise ShapeError(f"'{name}' must have the rank of 'input', got shapes {list(filter)} and {list(input)}")
    if min(filter) <= 0:
        raise ShapeError(f"'{name}' must not be empty, got shape {list(filter)}")


def _check_bias(bias: Sequence[int], channels: int) -> None:
    per_channel = prod(bias) == channels and (list(bias[:2]) == [1, channels] or list(bias) == [channels])
    if prod(bias) != 1 and not per_channel:
        raise ShapeError(f"'bias' must have shape [1, {channels}] or a single item, got shape {list(bias)}")


def _check_groups(groups: int) -> None:
    check(groups >= 0, f"'groups' must not be negative, got {groups}")


def conv_shape(
    input: Sequence[int],
    filter: Sequence[int],
    bias: Sequence[int] = (),
    *,
    window: Window,
    groups: int = 1,
) -> list[int]:
    """Shape rule of conv."""
    _check_filter(input, filter)
    _check_groups(groups)
    check_choice("border", window.border, CONV_BORDERS)
    channels = input[1]
    groups = groups or channels
    if filter[1] * groups != channels:
        raise ShapeError(
            f"'filter' {list(filter)} with {groups} groups needs {filter[1] * groups} channels, "
            f"but 'input' {list(input)} has {channels}"
        )
    check(filter[0] % groups == 0, f"'groups' {groups} does not divide the {filter[0]} channels of the result")
    _check_bias(bias, filter[0])
    placed = window.sized(filter[2:]).forward(input[2:])
    check_overhang(window.border, placed.upscaled, placed.padding)
    return [input[0], filter[0], *placed.downscaled]


def deconv_shape(
    input: Sequence[int],
    filter: Sequence[int],
    bias: Sequence[int] = (),
    *,
    window: Window,
    output_shape: Sequence[int] = (),
    groups: int = 1,
) -> list[int]:
    """Shape rule of deconv."""
    _check_filter(input, filter)
    _check_groups(groups)
    check_choice("border", window.border, CONV_BORDERS)
    check(
        len(output_shape) in (0, len(input)),
        f"'output_shape' must be empty or have {len(input)} items, got {list(output_shape)}",
    )
    check(
        filter[0] == input[1],
        f"'filter' {list(filter)} needs {filter[0]} channels, but 'input' {list(input)} has {input[1]}",
    )
    groups = _deconv_groups(input, output_shape, groups)
    check(
        groups > 0 and input[1] % groups == 0, f"'groups' {groups} does not divide the {input[1]} channels of 'input'"
    )
    channels = filter[1] * groups
    _check_bias(bias, channels)
    placed = window.sized(filter[2:]).reverse(input[2:], output_shape[2:])
    check_overhang(window.border, placed.downscaled, placed.continued()[0])
    result = [input[0], channels, *placed.upscaled]
    check(
        not output_shape or list(output_shape) == result,
        f"'output_shape' {list(output_shape)} must have batch {result[0]} and {result[1]} channels",
    )
    return result


def _deconv_groups(input: Sequence[int], output_shape: Sequence[int], groups: int) -> int:
    """The number of groups; for 0 that of the channels of output_shape if it is given, otherwise of the input."""
    return groups or (output_shape[1] if output_shape else input[1])


def separable_conv_shape(
    input: Sequence[int],
    plane_filter: Sequence[int],
    point_filter: Sequence[int],
    bias: Sequence[int] = (),
    *,
    window: Window,
    groups: int = 1,
) -> list[int]:
    """Shape rule of separable_conv: a depth-wise convolution, then a point-wise one."""
    _check_point_filter(input, plane_filter, point_filter)
    planes = conv_shape(input, plane_filter, window=window, groups=0)
    return conv_shape(planes, point_filter, bias, window=Window(), groups=groups)


def separable_deconv_shape(
    input: Sequence[int],
    plane_filter: Sequence[int],
    point_filter: Sequence[int],
    bias: Sequence[int] = (),
    *,
    window: Window,
    output_shape: Sequence[int] = (),
    groups: int = 1,
) -> list[int]:
    """Shape rule of separable_deconv: a point-wise deconvolution, then a depth-wise one."""
    _check_point_filter(input, plane_filter, point_filter)
    points = deconv_shape(input, point_filter, window=Window(), groups=groups)
    return deconv_shape(points, plane_filter, bias, window=window, output_shape=output_shape, groups=0)


def _check_point_filter(input: Sequence[int], plane_filter: Sequence[int], point_filter: Sequence[int]) -> None:
    _check_filter(input, plane_filter, "plane_filter")
    _check_filter(input, point_filter, "point_filter")
    check(
        plane_filter[1] == 1,
        f"'plane_filter' must have extent 1 in dimension 1, got shape {list(plane_filter)}",
    )
    check(
        all(extent == 1 for extent in point_filter[2:]),
        f"'point_filter' must have spatial extents 1, got shape {list(point_filter)}",
    )


def _conv_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(outputs[0]) * prod(inputs[1][1:]))


def _deconv_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(inputs[0]) * prod(inputs[1][1:]))


def _separable_conv_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    _input, plane, point = inputs[:3]
    output = outputs[0]
    planes = output[0] * plane[0] * prod(output[2:])
    return int(planes * prod(plane[1:]) + prod(output) * prod(point[1:]))


def _separable_deconv_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    input, plane, point = inputs[:3]
    points = input[0] * plane[0] * prod(input[2:])
    return int(prod(input) * prod(point[1:]) + points * prod(plane[1:]))


@op("conv", shape=conv_shape, macs=_conv_macs)
def conv(input: Array, filter: Array, bias: Any = 0.0, *, window: Window, groups: int = 1) -> Array:
    """Correlation (the filter is not flipped) by unfolding and matrix multiplication, a group at a time."""
    placed = window.sized(filter.shape[2:]).forward(input.shape[2:])
    padded = extend(input, placed.padding, window.border)
    correlate = _correlate_planes if filter.shape[1] == 1 and input.shape[1] > 1 else _correlate
    result = correlate(padded, filter, placed, groups or input.shape[1])
    return _add_bias(result, bias)


def _correlate(input: Array, filter: Array, window: PlacedWindow, groups: int) -> Array:
    batch, count, dims = input.shape[0], filter.shape[0], len(window.size)
    weights = filter.reshape(groups, count // groups, -1)
    views = sliding_window_view(input, window.spans, tuple(range(2, 2 + dims)))
    steps = [slice(None, (x - 1) * s + 1, s) for x, s in zip(window.downscaled, window.stride, strict=True)]
    views = views[last_axes([*steps, *(slice(None, None, d) for d in window.dilation)])]
    # [batch, channels, window elements..., positions...]: the copies below then run along the last spatial axis.
    views = np.moveaxis(views, range(2, 2 + dims), range(-dims, 0))
    result = np.empty((batch, groups, count // groups, *window.downscaled), np.result_type(input, filter))
    rows = window.downscaled[0]
    chunk = max(1, _CHUNK_ITEMS * rows // max(1, prod(views.shape[1:])))
    for item in range(batch):
        for start in range(0, rows, chunk):
            part = views[item][(slice(None),) * (1 + dims) + (slice(start, start + chunk),)]
            columns = part.reshape(groups, weights.shape[2], -1)
            target = result[item, :, :, start : start + chunk]
            target[...] = (weights @ columns).reshape(target.shape)
    return result.reshape(batch, count, *window.downscaled)


def _correlate_planes(input: Array, filter: Array, window: PlacedWindow, groups: int) -> Array:
    """Correlation with one channel in each group: sums over the window only, on as many planes as stay in the cache."""
    batch, multiplier = input.shape[0], filter.shape[0] // groups
    weights = filter.reshape(groups, multiplier, *window.size, *(1,) * len(window.size))
    result = np.zeros((batch, groups, multiplier, *window.downscaled), np.result_type(input, filter))
    chunk = max(1, _CACHED_ITEMS // (multiplier * prod(window.downscaled)))
    ask_extent(prod(window.size), "its window")
    elements = [(j, last_axes([window.read(*item) for item in enumerate(j)])) for j in np.ndindex(*window.size)]
    for item, start in product(range(batch), range(0, groups, chunk)):
        planes = input[item, start : start + chunk, None]
        total = result[item, start : start + chunk]
        factors = weights[start : start + chunk]
        for element, positions in elements:
            total += planes[positions] * factors[(slice(None), slice(None)) + element]
    return result.reshape(batch, filter.shape[0], *window.downscaled)


@op("deconv", shape=deconv_shape, macs=_deconv_macs)
def deconv(
    input: Array,
    filter: Array,
    bias: Any = 0.0,
    *,
    window: Window,
    output_shape: Sequence[int] = (),
    groups: int = 1,
) -> Array:
    """The transpose of conv: every input item adds its multiple of the filter to the result."""
    placed = window.sized(filter.shape[2:]).reverse(input.shape[2:], output_shape[2:])
    input, placed = extend_downscaled(input, placed)
    groups = _deconv_groups(input.shape, output_shape, groups)
    batch, count = input.shape[:2]
    inner, outer = count // groups, filter.shape[1]
    source = input.reshape(batch, groups, inner, *placed.downscaled)
    weights = np.moveaxis(filter.reshape(groups, inner, outer, *placed.size), 2, 1)
    result = np.zeros((batch, groups, outer, *placed.upscaled), np.result_type(input, filter))
    ask_extent(prod(placed.size), "its window")
    for element in np.ndindex(*placed.size):
        pairs = [placed.write(*item) for item in enumerate(element)]
        part = source[last_axes([windows for _, windows in pairs])]
        if part.size:
            columns = part.reshape(batch, groups, inner, -1)
            matrix = weights[last_axes(element)]
            term = matrix * columns if inner == 1 else matrix @ columns
            result[last_axes([positions for positions, _ in pairs])] += term.reshape(*term.shape[:3], *part.shape[3:])
    return _add_bias(result.reshape(batch, groups * outer, *placed.upscaled), bias)


def extend_downscaled(input: Array, window: PlacedWindow) -> tuple[Array, PlacedWindow]:
    """Extends the input of a reverse operation as far as the window reaches beyond it."""
    overhang, window = window.continued()
    return extend(input, overhang, window.border), window


def _add_bias(result: Array, bias: Any) -> Array:
    bias = np.asarray(bias, result.dtype)
    if bias.ndim == 0 and bias == 0:
        return result
    result += bias.reshape(-1, *(1,) * (result.ndim - 2))
    return result


@op("separable_conv", shape=separable_conv_shape, macs=_separable_conv_macs)
def separable_conv(
    input: Array, plane_filter: Array, point_filter: Array, bias: Any = 0.0, *, window: Window, groups: int = 1
) -> Array:
    """A depth-wise convolution, then a point-wise one; the window belongs to the former."""
    planes = conv(input, plane_filter, window=window, groups=0)
    return conv(planes, point_filter, bias, window=Window(), groups=groups)


@op("separable_deconv", shape=separable_deconv_shape, macs=_separable_deconv_macs)
def separable_deconv(
    input: Array,
    plane_filter: Array,
    point_filter: Array,
    bias: Any = 0.0,
    *,
    window: Window,
    output_shape: Sequence[int] = (),
    groups: int = 1,
) -> Array:
    """A point-wise deconvolution, then a depth-wise one; the window belongs to the latter."""
    points = deconv(input, point_filter, window=Window(), groups=groups)
    return deconv(points, plane_filter, bias, window=window, output_shape=output_shape, groups=0)
