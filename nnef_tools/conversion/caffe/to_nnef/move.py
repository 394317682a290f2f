"""Shapes, parts and orders of tensors."""

from __future__ import annotations

import math
from itertools import pairwise

from ....errors import InvalidOperator
from ....model import Tensor
from ...building import shapes
from ...building.nnef import Builder
from ...building.shapes import positive, shape
from ...compose.slicing import joined, reshape_inferred, slice_axes, split_sizes
from ...engine.rules import to_nnef


@to_nnef("caffe", "Split")
def split(b: Builder, x: Tensor) -> list[Tensor]:
    """Split: the tensor itself, several times."""
    return [x] * len(b.wanted)


@to_nnef("caffe", "Concat")
def concat(b: Builder, *xs: Tensor, axis: int | None = None, concat_dim: int | None = None) -> Tensor:
    """Concat -> concat; concat_dim is the name of the axis in old nets."""
    return joined(b, xs, _axis(xs[0], axis, concat_dim))


@to_nnef("caffe", "Slice")
def slice_(
    b: Builder,
    x: Tensor,
    *,
    axis: int | None = None,
    slice_dim: int | None = None,
    slice_point: list[int] | None = None,
) -> list[Tensor]:
    """Slice: parts between the points, or equal ones."""
    k, count = _axis(x, axis, slice_dim), len(b.wanted)
    extent = shape(x)[k]
    if slice_point:
        if len(slice_point) != count - 1:
            raise InvalidOperator(f"{len(slice_point)} points for {count} tops")
        ends = [0, *slice_point, extent]
        sizes = [end - begin for begin, end in pairwise(ends)]
    else:
        if extent % count:
            raise InvalidOperator(f"axis {k} with extent {extent} has no {count} equal parts")
        sizes = [extent // count] * count
    if min(sizes) < 1:
        raise InvalidOperator(f"points {slice_point} do not divide axis {k} with extent {extent}")
    return split_sizes(b, x, sizes, k)


def _axis(x: Tensor, axis: int | None, old: int | None) -> int:
    if axis is not None and old is not None:
        raise InvalidOperator("the axis is given by two names")
    return positive(next((k for k in (axis, old) if k is not None), 1), len(shape(x)))


@to_nnef("caffe", "Flatten")
def flatten(b: Builder, x: Tensor, *, axis: int = 1, end_axis: int = -1) -> Tensor:
    """Flatten: some axes as one."""
    own = shape(x)
    first, last = positive(axis, len(own)), positive(end_axis, len(own))
    if last < first:
        raise InvalidOperator(f"end_axis {end_axis} lies before axis {axis}")
    return reshape_inferred(b, x, [*own[:first], math.prod(own[first : last + 1]), *own[last + 1 :]])


@to_nnef("caffe", "Reshape")
def reshape(b: Builder, x: Tensor, *, shape: list[int] | None = None, axis: int = 0, num_axes: int = -1) -> Tensor:
    """Reshape: other extents in place of some axes; 0 copies an extent, -1 infers one."""
    own = shapes.shape(x)
    first = positive(axis, len(own) + 1)
    last = len(own) if num_axes == -1 else first + num_axes
    if num_axes < -1 or last > len(own):
        raise InvalidOperator(f"{num_axes} axes from {axis} on of a tensor of rank {len(own)}")
    new = list(shape or [])
    for k, extent in enumerate(new):
        if extent == 0:
            if first + k >= len(own):
                raise InvalidOperator(f"there is no extent to copy at position {k} of {new}")
            new[k] = own[first + k]
    return reshape_inferred(b, x, [*own[:first], *new, *own[last:]])


@to_nnef("caffe", "Permute")
def permute(b: Builder, x: Tensor, *, order: list[int] | None = None) -> Tensor:
    """Permute -> transpose; axes that are not named follow in their order."""
    rank, given = len(shape(x)), list(order or [])
    if len(set(given)) < len(given) or any(k >= rank for k in given):
        raise InvalidOperator(f"order {given} does not fit rank {rank}")
    return shapes.transpose(b, x, [*given, *(k for k in range(rank) if k not in given)])


@to_nnef("caffe", "Tile")
def tile(b: Builder, x: Tensor, *, tiles: int, axis: int = 1) -> Tensor:
    """Tile -> tile along one axis."""
    rank = len(shape(x))
    k = positive(axis, rank)
    return x if tiles == 1 else b.tile(x, repeats=[tiles if n == k else 1 for n in range(rank)])


@to_nnef("caffe", "Crop")
def crop(b: Builder, x: Tensor, like: Tensor, *, axis: int = 2, offset: list[int] | None = None) -> Tensor:
    """Crop: a part with the extents of the second bottom, from the axis on."""
    own, wanted = shape(x), shape(like)
    if len(own) != len(wanted):
        raise InvalidOperator(f"bottoms of shapes {own} and {wanted} differ in rank")
    axes = list(range(positive(axis, len(own)), len(own)))
    offsets = list(offset or [0])
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets
    if len(offsets) != len(axes):
        raise InvalidOperator(f"offset {offset} does not fit {len(axes)} axes")
    ends = [begin + wanted[k] for begin, k in zip(offsets, axes, strict=True)]
    if any(end > own[k] for end, k in zip(ends, axes, strict=True)):
        raise InvalidOperator(f"a part of shape {wanted} at {offsets} is not inside of {own}")
    return slice_axes(b, x, offsets, ends, axes, [1] * len(axes))


@to_nnef("caffe", "Reverse")
def reverse(b: Builder, x: Tensor, *, axis: int = 0) -> Tensor:
    """Reverse: an axis from the end."""
    return reversed_axis(b, x, positive(axis, len(shape(x))))


def reversed_axis(b: Builder, x: Tensor, axis: int) -> Tensor:
    """The tensor with an axis in reverse order."""
    extent = shape(x)[axis]
    return slice_axes(b, x, [extent - 1], [-extent - 1], [axis], [-1])


@to_nnef("caffe", "ShuffleChannel")
def shuffle_channel(b: Builder, x: Tensor, *, group: int = 1) -> Tensor:
    """ShuffleChannel: the channels of all groups in turn."""
    own = shape(x)
    if group < 1 or own[1] % group:
        raise InvalidOperator(f"{own[1]} channels have no {group} groups")
    split = b.reshape(x, shape=[group, own[1] // group], axis_start=1, axis_count=1)
    turned = b.transpose(split, axes=[0, 2, 1, *range(3, len(own) + 1)])
    return b.reshape(turned, shape=[own[1]], axis_start=1, axis_count=2)
