"""Operators that move data: reshapes, transposes, slices, padding, tiling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building import shapes
from ...building.nnef import Builder
from ...building.shapes import all_positive, positive, reshape, shape, squeeze, transpose, unsqueeze
from ...compose.slicing import joined, padded, reshape_inferred, slice_axes, split_sizes
from ...engine.rules import Int, Ints, to_nnef
from ...maths import axis_orders
from ...onnx.to_nnef.move import expand, transpose_axes
from ..common import Windows, channel_axis, from_channels_first, to_channels_first

BORDERS = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


@to_nnef("caffe2", "Reshape", "Int8Reshape")
def reshape_of(
    b: Builder, x: Tensor, new: Ints | None = None, *, shape: list[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Reshape -> reshape, and the shape before; 0 copies an extent, -1 is inferred."""
    own = shapes.shape(x)
    wanted = list(new if new is not None else shape or [])
    if any(dim == 0 and k >= len(own) for k, dim in enumerate(wanted)):
        raise Unsupported(f"shape {wanted} copies an extent that {own} does not have")
    wanted = [own[k] if dim == 0 else dim for k, dim in enumerate(wanted)]
    return reshape_inferred(b, x, wanted), b.constant(own, np.int64)


@to_nnef("caffe2", "Flatten", "Int8Flatten")
def flatten(b: Builder, x: Tensor, *, axis: int = 1) -> Tensor:
    """Flatten to a matrix: the axes before `axis`, the axes from it on."""
    own = shape(x)
    k = axis if axis == len(own) else positive(axis, len(own))
    return reshape_inferred(b, x, [math.prod(own[:k]), math.prod(own[k:])])


@to_nnef("caffe2", "FlattenToVec")
def flatten_to_vector(b: Builder, x: Tensor) -> Tensor:
    """FlattenToVec -> reshape to a vector."""
    return reshape_inferred(b, x, [math.prod(shape(x))])


@to_nnef("caffe2", "ResizeLike")
def reshape_like(b: Builder, x: Tensor, like: Tensor) -> Tensor:
    """ResizeLike -> reshape to the shape of another tensor."""
    return reshape_inferred(b, x, shape(like))


@to_nnef("caffe2", "MergeDim")
def merge_dims(b: Builder, x: Tensor) -> Tensor:
    """MergeDim: the first two axes as one."""
    own = shape(x)
    if len(own) < 2:
        raise Unsupported(f"shape {own} has no two axes")
    return reshape_inferred(b, x, [own[0] * own[1], *own[2:]])


@to_nnef("caffe2", "PrependDim")
def prepend_dim(b: Builder, x: Tensor, *, dim_size: int) -> Tensor:
    """PrependDim: the first axis as two, of the given extent and the rest."""
    own = shape(x)
    if dim_size < 1 or not own or own[0] % dim_size:
        raise Unsupported(f"dim_size = {dim_size} for shape {own}")
    return reshape_inferred(b, x, [dim_size, own[0] // dim_size, *own[1:]])


@to_nnef("caffe2", "Squeeze")
def squeeze_of(b: Builder, x: Tensor, *, dims: list[int]) -> Tensor:
    """Squeeze -> squeeze."""
    own = shape(x)
    chosen = all_positive(dims, len(own))
    if any(own[k] != 1 for k in chosen):
        raise Unsupported(f"dims {dims} of shape {own} are not all of extent 1")
    return squeeze(b, x, chosen)


@to_nnef("caffe2", "ExpandDims")
def expand_dims(b: Builder, x: Tensor, *, dims: list[int]) -> Tensor:
    """ExpandDims -> unsqueeze; dims are positions in the result."""
    return unsqueeze(b, x, all_positive(dims, len(shape(x)) + len(dims)))


@to_nnef("caffe2", "Transpose", "Int8Transpose")
def transpose_of(b: Builder, x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    """Transpose -> transpose; reversed axes by default."""
    return transpose_axes(b, x, perm=axes or None)


@to_nnef("caffe2", "NCHW2NHWC")
def channels_to_end(b: Builder, x: Tensor) -> Tensor:
    """NCHW2NHWC -> transpose."""
    return transpose(b, x, axis_orders.ncx_to_nxc_perm(len(shape(x))))


@to_nnef("caffe2", "NHWC2NCHW")
def channels_to_front(b: Builder, x: Tensor) -> Tensor:
    """NHWC2NCHW -> transpose."""
    return transpose(b, x, axis_orders.nxc_to_ncx_perm(len(shape(x))))


def _joining_axis(x: Tensor, axis: int | None, order: str, extra: int = 0) -> int:
    """The axis that is named, or else that of the channels of an image."""
    if axis is None:
        return positive(channel_axis(order, 4), len(shape(x)) + extra)
    return positive(axis, len(shape(x)) + extra)


@to_nnef("caffe2", "Concat", "DepthConcat", "Int8Concat")
def concat(
    b: Builder, *xs: Tensor, axis: int | None = None, add_axis: int = 0, order: str = "NCHW"
) -> tuple[Tensor, Tensor]:
    """Concat -> concat, or stack with add_axis; and the extents of the parts."""
    k = _joining_axis(xs[0], axis, order, extra=1 if add_axis else 0)
    if add_axis:
        parts = [unsqueeze(b, x, [k]) for x in xs]
        return joined(b, parts, k), b.constant([1] * len(xs), np.int32)
    return joined(b, xs, k), b.constant([shape(x)[k] for x in xs], np.int32)


@to_nnef("caffe2", "Split", "DepthSplit")
def split(
    b: Builder,
    x: Tensor,
    sizes: Ints | None = None,
    *,
    axis: int | None = None,
    split: list[int] | None = None,
    add_axis: int = 0,
    order: str = "NCHW",
) -> list[Tensor]:
    """Split -> split; equal parts by default. With add_axis, parts of extent 1 lose the axis."""
    k = _joining_axis(x, axis, order)
    extents: Sequence[int] = sizes or split or []
    count = len(b.wanted)
    if not extents:
        if shape(x)[k] % count:
            raise Unsupported(f"{count} equal parts of extent {shape(x)[k]}")
        extents = [shape(x)[k] // count] * count
    parts = split_sizes(b, x, extents, k)
    if add_axis and any(n != 1 for n in extents):
        raise Unsupported("add_axis with parts whose extent is not 1")
    return [squeeze(b, part, [k]) for part in parts] if add_axis else parts


@to_nnef("caffe2", "Slice", "Int8Slice")
def slice_of(
    b: Builder,
    x: Tensor,
    begins: Ints | None = None,
    stops: Ints | None = None,
    *,
    starts: list[int] | None = None,
    ends: list[int] | None = None,
) -> Tensor:
    """Slice -> slice; a negative position counts from behind the last item: -1 is the end."""
    own = shape(x)
    first, last = begins if begins is not None else starts or [], stops if stops is not None else ends or []
    if len(first) != len(last) or len(first) > len(own):
        raise Unsupported(f"starts {first} and ends {last} do not fit shape {own}")
    places = [[n + 1 + k if k < 0 else k for k, n in zip(row, own, strict=False)] for row in (first, last)]
    if any(k < 0 for row in places for k in row):
        raise Unsupported(f"starts {first} and ends {last} do not fit shape {own}")
    return slice_axes(b, x, places[0], places[1], range(len(first)), [1] * len(first))


@to_nnef("caffe2", "PadImage")
def pad_image(
    b: Builder, x: Tensor, *, windows: Windows, mode: str = "constant", value: float = 0.0, order: str = "NCHW"
) -> Tensor:
    """PadImage -> pad of the spatial dimensions."""
    if mode not in BORDERS or len(shape(x)) != 4:
        raise Unsupported(f"mode = {mode!r} for an input of shape {shape(x)}")
    pairs = [(0, 0), (0, 0), *windows.pads(2)]
    y = padded(b, to_channels_first(b, x, order), pairs, BORDERS[mode], value)
    return from_channels_first(b, y, order)


@to_nnef("caffe2", "Tile")
def tile(
    b: Builder, x: Tensor, count: Int | None = None, place: Int | None = None, *, tiles: int = 1, axis: int = 0
) -> Tensor:
    """Tile -> tile along one axis."""
    repeats = [1] * len(shape(x))
    repeats[positive(axis if place is None else place, len(repeats))] = tiles if count is None else count
    if min(repeats) < 1:
        raise Unsupported(f"tiles = {min(repeats)}")
    return x if max(repeats) == 1 else b.tile(x, repeats=repeats)


to_nnef("caffe2", "Expand")(expand)


@to_nnef("caffe2", "ChannelShuffle", "Int8ChannelShuffle")
def channel_shuffle(b: Builder, x: Tensor, *, windows: Windows, group: int = 1, order: str = "NCHW") -> Tensor:
    """ChannelShuffle: the channels as groups and their members, transposed. Windows are given, but not used."""
    own = shape(x)
    k = channel_axis(order, len(own))
    if group < 1 or own[k] % group:
        raise Unsupported(f"{own[k]} channels in {group} groups")
    parts = reshape(b, x, [*own[:k], group, own[k] // group, *own[k + 1 :]])
    axes = list(range(len(own) + 1))
    axes[k], axes[k + 1] = axes[k + 1], axes[k]
    return reshape(b, transpose(b, parts, axes), own)


@to_nnef("caffe2", "SpaceToBatch")
def space_to_batch(b: Builder, x: Tensor, *, block_size: int = 2, pad: int = 0, order: str = "NCHW") -> Tensor:
    """SpaceToBatch: the positions inside of blocks become the outermost part of the batch."""
    x = (
        padded(b, _image(b, x, order), [(0, 0), (0, 0), (pad, pad), (pad, pad)], "constant")
        if pad
        else _image(b, x, order)
    )
    n, c, h, w = shape(x)
    if block_size < 1 or h % block_size or w % block_size:
        raise Unsupported(f"extents {h} x {w} do not divide by block_size {block_size}")
    blocks = reshape(b, x, [n, c, h // block_size, block_size, w // block_size, block_size])
    parts = transpose(b, blocks, [3, 5, 0, 1, 2, 4])
    return reshape(b, parts, [n * block_size**2, c, h // block_size, w // block_size])


@to_nnef("caffe2", "BatchToSpace")
def batch_to_space(b: Builder, x: Tensor, *, block_size: int = 2, pad: int = 0, order: str = "NCHW") -> Tensor:
    """BatchToSpace: the outermost part of the batch becomes the positions inside of blocks."""
    n, c, h, w = shape(_image(b, x, order))
    if block_size < 1 or n % block_size**2:
        raise Unsupported(f"a batch of {n} does not divide by block_size {block_size} squared")
    parts = reshape(b, x, [block_size, block_size, n // block_size**2, c, h, w])
    image = reshape(b, transpose(b, parts, [2, 3, 4, 0, 5, 1]), [n // block_size**2, c, h * block_size, w * block_size])
    bounds = [(pad, h * block_size - pad), (pad, w * block_size - pad)]
    return slice_axes(b, image, [lo for lo, _ in bounds], [hi for _, hi in bounds], [2, 3], [1, 1])


def _image(b: Builder, x: Tensor, order: str) -> Tensor:
    if order != "NCHW" or len(shape(x)) != 4:
        raise Unsupported(f"order = {order!r} for an input of shape {shape(x)}")
    return x
