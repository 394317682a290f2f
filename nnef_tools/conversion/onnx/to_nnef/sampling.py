"""Sampling at computed positions, and operators that put windows or elements back into an image."""

from __future__ import annotations

import math

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...compose.axis_maps import Array, take
from ...engine.rules import Ints, to_nnef
from ..common import channels, reshape, shape, transpose
from .conv import spatial_window

SAMPLING_MODES = {"bilinear": "linear", "bicubic": "cubic", "linear": "linear", "cubic": "cubic", "nearest": "nearest"}


@to_nnef("onnx", "GridSample", since=16)
def grid_sample(
    b: Builder, x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """GridSample -> grid_sample. Version 16 says bilinear and bicubic."""
    if mode not in SAMPLING_MODES:
        raise Unsupported(f"mode = '{mode}' is not known")
    return b.grid_sample(
        x, grid, mode=SAMPLING_MODES[mode], padding_mode=padding_mode, align_corners=bool(align_corners)
    )


@to_nnef("onnx", "AffineGrid", since=20)
def affine_grid(b: Builder, theta: Tensor, size: Ints, *, align_corners: int = 0) -> Tensor:
    """AffineGrid: the constant grid of an image times the transposed matrices theta `[N, r, r + 1]`."""
    batch, rank, width = shape(theta)
    extents = size[2:]
    if len(extents) != rank or width != rank + 1 or batch != size[0]:
        raise Unsupported(f"theta of shape {shape(theta)} does not fit the size {size}")
    axes = [_centers(extent, bool(align_corners)) for extent in extents]
    positions = np.meshgrid(*axes, indexing="ij")[::-1]  # x first
    base = np.stack([*positions, np.ones(extents)], axis=-1).reshape(1, -1, width)
    grid: Tensor = b.matmul(b.constant(base, theta.dtype), theta, transposeB=True)
    return reshape(b, grid, [batch, *extents, rank])


def _centers(extent: int, align_corners: bool) -> Array:
    """The elements of an axis between -1 and 1: the first one at -1, or in the middle of the first of equal parts."""
    if align_corners:
        return np.linspace(-1.0, 1.0, extent)
    return (2 * np.arange(extent) + 1) / extent - 1


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
    filters = np.tile(np.eye(taps).reshape(taps, 1, *block_shape), (depth, 1, *[1] * rank))
    return b.deconv(
        reshape(b, x, [batch, rows, *counts]),
        b.constant(filters, x.dtype),
        0.0,
        **window.sized(()).attributes(),
        groups=depth,
        output_shape=[batch, depth, *image_shape],
    )


@to_nnef("onnx", "MaxUnpool", since=9)
def max_unpool(
    b: Builder,
    x: Tensor,
    indices: Tensor,
    output_shape: Ints | None = None,
    *,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """MaxUnpool: zeros with the elements at their positions in the flattened result.

    A larger output_shape adds zeros behind; the positions are those without it.
    """
    own = shape(x)
    window = spatial_window(own[2:], kernel_shape, strides=strides, pads=pads)
    result = [*own[:2], *window.reverse(own[2:]).upscaled]
    zeros = b.constant(np.zeros(math.prod(result), x.dtype))
    count = [math.prod(own)]
    flat = b.scatter_elements(zeros, reshape(b, indices, count), reshape(b, x, count), axis=0)
    y = reshape(b, flat, result)
    if not output_shape or output_shape == result:
        return y
    added = [(0, wanted - extent) for wanted, extent in zip(output_shape, result, strict=True)]
    if min(after for _, after in added) < 0:
        raise Unsupported(f"output_shape {output_shape} is smaller than {result}, which the attributes give")
    return b.pad(y, padding=added)


@to_nnef("onnx", "ImageDecoder", since=20)
def image_decoder(b: Builder, data: Tensor, *, pixel_format: str = "RGB") -> Tensor:
    """ImageDecoder is refused."""
    raise Unsupported("NNEF has no compressed images, and the extents of the result depend on the data")
