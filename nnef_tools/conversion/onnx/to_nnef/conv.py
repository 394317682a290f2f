"""Convolutions and transposed convolutions in 1 to 3 dimensions, deformed ones, and blocks put back into an image."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...compose.axis_maps import Array, take
from ...engine.rules import Ints, to_nnef
from ...maths import padding
from ..common import channels, reshape, shape, transpose


def spatial_window(
    extents: list[int],
    size: list[int],
    *,
    strides: list[int] | None,
    dilations: list[int] | None = None,
    auto_pad: str = "NOTSET",
    pads: list[int] | None,
) -> Window:
    """The window of a convolution or pooling operator over the spatial dimensions, with everything explicit."""
    count = len(extents)
    stride, dilation = _per_dimension("strides", strides, count), _per_dimension("dilations", dilations, count)
    window = Window(size, padding=[(0, 0)] * count, stride=stride, dilation=dilation)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return replace(window, padding=padding.same_padding(window, extents, lower=auto_pad == "SAME_LOWER"))
    if auto_pad == "VALID":
        return window
    if auto_pad not in ("NOTSET", ""):
        raise Unsupported(f"auto_pad = '{auto_pad}' is not known")
    if pads and len(pads) // 2 != count:
        raise Unsupported(f"pads {pads} do not fit {count} spatial dimensions")
    return replace(window, padding=padding.pairs_from_onnx(pads)) if pads else window


def _per_dimension(name: str, values: list[int] | None, count: int) -> list[int]:
    """Strides or dilations, one for each spatial dimension, 1 by default. Unsupported if the number is wrong."""
    if not values:
        return [1] * count
    if len(values) != count:
        raise Unsupported(f"{name} {values} does not fit {count} spatial dimensions")
    return values


def _check_filter(x: Tensor, w: Tensor, kernel_shape: list[int] | None) -> list[int]:
    size = shape(w)[2:]
    if len(shape(x)) < 3 or len(shape(w)) != len(shape(x)):
        raise Unsupported(f"input of shape {shape(x)} and filter of shape {shape(w)} do not fit")
    if kernel_shape and kernel_shape != size:
        raise Unsupported(f"kernel_shape {kernel_shape} differs from the filter's {size}")
    return size


@to_nnef("onnx", "Conv")
def conv(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Conv -> conv; the filter layout [out, in / group, ...] is the same."""
    size = _check_filter(x, w, kernel_shape)
    window = spatial_window(shape(x)[2:], size, strides=strides, dilations=dilations, auto_pad=auto_pad, pads=pads)
    return b.conv(x, w, 0.0 if bias is None else channels(b, bias), **window.sized(()).attributes(), groups=group)


@to_nnef("onnx", "ConvTranspose")
def conv_transpose(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ConvTranspose -> deconv; the filter layout [in, out / group, ...] is the same.

    output_padding, or an output_shape that asks for more, appends rows that only existing contributions reach: NNEF's
    output_shape says the same. Of an odd padding the larger part comes first, but for SAME_UPPER.
    """
    size = _check_filter(x, w, kernel_shape)
    extents, automatic = shape(x)[2:], auto_pad in ("SAME_UPPER", "SAME_LOWER")
    mode = "VALID" if auto_pad == "VALID" or automatic or output_shape else "NOTSET"
    window = spatial_window(extents, size, strides=strides, dilations=dilations, auto_pad=mode, pads=pads)
    extra = output_padding or [0] * len(size)
    full = replace(window, padding=[(0, 0)] * len(size)).reverse(extents).upscaled
    wanted = output_shape[-len(size) :] if output_shape else None
    if wanted is None and automatic:
        wanted = [n * s for n, s in zip(extents, window.stride, strict=True)]
    if wanted is not None:
        totals = [max(f + e - extent, 0) for f, e, extent in zip(full, extra, wanted, strict=True)]
        halves = [(total // 2, total - total // 2) for total in totals]
        window = replace(
            window, padding=halves if auto_pad == "SAME_UPPER" else [(more, less) for less, more in halves]
        )
    plain = [f - p - q for f, (p, q) in zip(full, window.padding, strict=True)]
    result = wanted or [n + e for n, e in zip(plain, extra, strict=True)]
    attribs: dict[str, Any] = {} if result == plain else {"output_shape": [shape(x)[0], shape(w)[1] * group, *result]}
    return b.deconv(
        x,
        w,
        0.0 if bias is None else channels(b, bias),
        **window.sized(()).attributes(),
        groups=group,
        **attribs,
    )


@to_nnef("onnx", "DeformConv", since=19)
def deform_conv(
    b: Builder,
    x: Tensor,
    w: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    offset_group: int = 1,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """DeformConv: the inputs of all windows by grid_sample, weighted by the mask; then a matrix product per group."""
    batch, depth, *extents = shape(x)
    outputs, depth_per_group, *size = shape(w)
    rank = len(extents)
    if len(size) != rank or depth != depth_per_group * group or depth % offset_group or outputs % group:
        raise Unsupported(f"input of shape {shape(x)} and filter of shape {shape(w)} do not fit")
    if kernel_shape and kernel_shape != size:
        raise Unsupported(f"kernel_shape {kernel_shape} differs from the filter's {size}")
    window = spatial_window(extents, size, strides=strides, dilations=dilations, pads=pads)
    result = shape(offset)[2:]
    taps, points, samples = math.prod(size), math.prod(result), batch * offset_group
    if shape(offset)[:2] != [batch, offset_group * taps * rank]:
        raise Unsupported(f"offset of shape {shape(offset)} does not fit {offset_group} group(s) of {taps} positions")

    base = _window_positions(window, result)
    moves = transpose(b, reshape(b, offset, [samples, taps, rank, points]), [0, 1, 3, 2])
    backwards = np.arange(rank)[::-1]  # grids list the last dimension first
    unit = 2 / np.asarray(extents)[backwards]
    origin = (base[..., backwards] + 0.5) * unit - 1
    grid = b.add(
        b.mul(take(b, moves, 3, backwards), b.constant(unit.reshape(1, 1, 1, rank), x.dtype)),
        b.constant(origin[None], x.dtype),
    )
    grid = reshape(b, grid, [samples, taps * points, *[1] * (rank - 1), rank])
    parts = reshape(b, x, [samples, depth // offset_group, *extents])
    sampled = b.grid_sample(parts, grid, mode="linear", padding_mode="zeros", align_corners=False)
    sampled = reshape(b, sampled, [samples, depth // offset_group, taps * points])
    if mask is not None:
        sampled = b.mul(sampled, reshape(b, mask, [samples, 1, taps * points]))

    columns = reshape(b, sampled, [batch, group, depth_per_group * taps, points])
    filters = reshape(b, w, [1, group, outputs // group, depth_per_group * taps])
    y = reshape(b, b.matmul(filters, columns), [batch, outputs, *result])
    return y if bias is None else b.add(y, channels(b, bias))


def _window_positions(window: Window, result: list[int]) -> Array:
    """`[taps, points, rank]`: where each element of each window lies in the input."""
    before = [before for before, _ in window.padding]
    ask_constant(math.prod(window.size) * math.prod(result) * len(result), "its table of positions")
    taps = np.indices(window.size).reshape(len(result), -1).T * np.asarray(window.dilation)
    origin = np.indices(result).reshape(len(result), -1).T * np.asarray(window.stride) - np.asarray(before)
    positions: Array = taps[:, None, :] + origin[None, :, :]
    return positions


@to_nnef("onnx", "Col2Im", since=18)
def col2im(
    b: Builder,
    x: Tensor,
    image_shape: Ints,
    block_shape: Ints,
    *,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Col2Im -> deconv with filters that put each column element at its place in the block."""
    batch, rows, blocks = shape(x)
    rank = len(image_shape)
    taps = math.prod(block_shape)
    if rows % taps or len(block_shape) != rank:
        raise Unsupported(f"blocks {block_shape} do not fit columns of shape {shape(x)}")
    window = spatial_window(image_shape, block_shape, strides=strides, dilations=dilations, pads=pads)
    counts = window.forward(image_shape).downscaled
    if math.prod(counts) != blocks:
        raise Unsupported(f"an image {image_shape} has {math.prod(counts)} blocks, the columns have {blocks}")
    depth = rows // taps
    ask_constant(depth * taps * taps, "its filter")
    filters = np.tile(np.eye(taps).reshape(taps, 1, *block_shape), (depth, 1, *[1] * rank))
    return b.deconv(
        reshape(b, x, [batch, rows, *counts]),
        b.constant(filters, x.dtype),
        0.0,
        **window.sized(()).attributes(),
        groups=depth,
        output_shape=[batch, depth, *image_shape],
    )
