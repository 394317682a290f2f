"""Shape and data movement (section 5.8). Element types stay unchanged; results are views where numpy can make them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..budget import ask_rank, ask_results
from .axes import check_axis
from .borders import CONV_BORDERS, Padding, check_overhang, extend
from .broadcast import Array
from .checks import check, check_axes, check_choice
from .definition import op
from .precision import signed_together

Shape = Sequence[int]


# reshape, squeeze, unsqueeze, transpose


def _reshape_shape(input: Shape, *, shape: Shape, axis_start: int = 0, axis_count: int = -1) -> list[int]:
    rank = len(input)
    check(0 <= axis_start <= rank, f"'axis_start' must lie in [0, {rank}] for shape {list(input)}, got {axis_start}")
    axis_end = rank if axis_count == -1 else axis_start + axis_count
    check(
        axis_start <= axis_end <= rank,
        f"'axis_count' must be -1 or lie in [0, {rank - axis_start}] for shape {list(input)} "
        f"with axis_start = {axis_start}, got {axis_count}",
    )
    target = list(shape)
    for position, item in enumerate(target):
        check(item >= -1, f"items of 'shape' must be -1, 0 or positive, got {list(shape)}")
        if item == 0:
            check(
                axis_start + position < rank,
                f"item {position} of 'shape' {list(shape)} copies dimension {axis_start + position} "
                f"of the input, whose shape is {list(input)}",
            )
            target[position] = input[axis_start + position]
    old = math.prod(input[axis_start:axis_end])
    _infer_extent(target, old, shape)
    check(
        math.prod(target) == old,
        f"'shape' {list(shape)} has {math.prod(target)} elements, but dimensions {axis_start} to {axis_end} "
        f"of the input shape {list(input)} have {old}",
    )
    return [*input[:axis_start], *target, *input[axis_end:]]


def _infer_extent(target: list[int], volume: int, shape: Shape) -> None:
    """Replaces the -1 of `target`, if there is one, so that it gets that volume."""
    if -1 not in target:
        return
    check(target.count(-1) == 1, f"'shape' may contain -1 once only, got {list(shape)}")
    known = -math.prod(target)
    check(known != 0, f"the -1 of 'shape' {list(shape)} cannot be inferred: the other extents have volume 0")
    check(volume % known == 0, f"'shape' {list(shape)} does not divide the {volume} elements that it replaces")
    target[target.index(-1)] = volume // known


@op("reshape", shape=_reshape_shape)
def reshape(x: Array, *, shape: Shape, axis_start: int = 0, axis_count: int = -1) -> Array:
    """Replaces the extents of the dimensions [axis_start, axis_start + axis_count)."""
    return x.reshape(_reshape_shape(x.shape, shape=shape, axis_start=axis_start, axis_count=axis_count))


def _squeeze_shape(input: Shape, *, axes: Shape) -> list[int]:
    check_axes(axes, len(input))
    check(
        all(input[axis] == 1 for axis in axes),
        f"extents along 'axes' {list(axes)} must be 1, but the input shape is {list(input)}",
    )
    return [extent for axis, extent in enumerate(input) if axis not in axes]


@op("squeeze", shape=_squeeze_shape)
def squeeze(x: Array, *, axes: Shape) -> Array:
    """Removes dimensions of extent 1."""
    return x.reshape(_squeeze_shape(x.shape, axes=axes))


def _unsqueeze_shape(input: Shape, *, axes: Shape) -> list[int]:
    rank = len(input) + len(axes)
    ask_rank(rank)
    check_axes(axes, rank)
    rest = iter(input)
    return [1 if axis in axes else next(rest) for axis in range(rank)]


@op("unsqueeze", shape=_unsqueeze_shape)
def unsqueeze(x: Array, *, axes: Shape) -> Array:
    """Inserts dimensions of extent 1; `axes` are their positions in the result."""
    return x.reshape(_unsqueeze_shape(x.shape, axes=axes))


def _transpose_shape(input: Shape, *, axes: Shape) -> list[int]:
    check(len(axes) <= len(input), f"'axes' {list(axes)} has more items than the input shape {list(input)}")
    check(
        sorted(axes) == list(range(len(axes))),
        f"'axes' must be a permutation of 0 to {len(axes) - 1}, got {list(axes)}",
    )
    return [*(input[axis] for axis in axes), *input[len(axes) :]]


@op("transpose", shape=_transpose_shape)
def transpose(x: Array, *, axes: Shape) -> Array:
    """Permutes the leading dimensions; dimension k of the result is dimension axes[k] of the input."""
    return x.transpose(*axes, *range(len(axes), x.ndim)) if axes else x


# split, concat, stack, unstack


def _split_extents(extent: int, ratios: Shape) -> list[int]:
    check(bool(ratios), "'ratios' must not be empty")
    check(all(ratio > 0 for ratio in ratios), f"'ratios' must be positive, got {list(ratios)}")
    total = sum(ratios)
    check(extent % total == 0, f"the sum of 'ratios' {list(ratios)} ({total}) must divide the extent {extent}")
    return [extent // total * ratio for ratio in ratios]


def _split_shape(value: Shape, *, axis: int, ratios: Shape) -> list[list[int]]:
    check_axis(axis, len(value))
    return [[*value[:axis], extent, *value[axis + 1 :]] for extent in _split_extents(value[axis], ratios)]


@op("split", shape=_split_shape)
def split(x: Array, *, axis: int, ratios: Shape) -> list[Array]:
    """Cuts along the axis into parts whose extents have these ratios."""
    return np.split(x, np.cumsum(_split_extents(x.shape[axis], ratios))[:-1].tolist(), axis)


def _concat_shape(values: Sequence[Shape], *, axis: int) -> list[int]:
    check(bool(values), "'values' must not be empty")
    first = list(values[0])
    check_axis(axis, len(first))
    for value in values:
        check(
            len(value) == len(first) and all(i == axis or value[i] == first[i] for i in range(len(first))),
            f"'values' must have equal ranks, and equal extents except along axis {axis}; "
            f"got shapes {', '.join(str(list(shape)) for shape in values)}",
        )
    return [*first[:axis], sum(value[axis] for value in values), *first[axis + 1 :]]


@op("concat", shape=_concat_shape)
def concat(values: Sequence[Array], *, axis: int) -> Array:
    """Joins along an axis."""
    return values[0] if len(values) == 1 else np.concatenate(signed_together(values), axis)


def _stack_shape(values: Sequence[Shape], *, axis: int) -> list[int]:
    check(bool(values), "'values' must not be empty")
    first = list(values[0])
    check_axis(axis, len(first) + 1)
    check(
        all(list(value) == first for value in values),
        f"'values' must have equal shapes, got {', '.join(str(list(shape)) for shape in values)}",
    )
    return [*first[:axis], len(values), *first[axis:]]


@op("stack", shape=_stack_shape)
def stack(values: Sequence[Array], *, axis: int) -> Array:
    """Joins along a new axis."""
    return np.stack(signed_together(values), axis)


def _unstack_shape(value: Shape, *, axis: int) -> list[list[int]]:
    check_axis(axis, len(value))
    ask_results(value[axis])
    return [[*value[:axis], *value[axis + 1 :]] for _ in range(value[axis])]


@op("unstack", shape=_unstack_shape)
def unstack(x: Array, *, axis: int) -> list[Array]:
    """The slices along an axis, without that axis."""
    return list(np.moveaxis(x, axis, 0))


# slice


def slice_ranges(shape: Shape, axes: Shape, begin: Shape, end: Shape, stride: Shape = ()) -> dict[int, range]:
    """The input indices that a slice takes along each of its axes.

    Negative bounds count from the end, then bounds are clamped to [-1, extent]. When all strides are 1, `end = 0`
    stands for the extent (deprecated since 1.0.4, but in use). The number of items is ceil((end - begin) / stride): the
    text of the standard rounds down, but its index notation and all implementations round up.
    """
    check(
        len(begin) == len(end) == len(axes) and len(stride) in (0, len(axes)),
        f"'begin', 'end' and 'stride' must have as many items as 'axes' {list(axes)}, "
        f"got {list(begin)}, {list(end)} and {list(stride)}",
    )
    check_axes(axes, len(shape))
    check(all(stride), f"items of 'stride' must not be 0, got {list(stride)}")
    steps = list(stride) or [1] * len(axes)
    legacy_end = all(step == 1 for step in steps)
    ranges = {}
    for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
        extent = shape[axis]
        stop = extent if last == 0 and legacy_end else _clamp_bound(last, extent)
        start = _clamp_bound(first, extent)
        valid = stop >= start >= 0 if step > 0 else extent - 1 >= start >= stop
        check(
            valid,
            f"'begin' {first}, 'end' {last} and 'stride' {step} make no range along axis {axis} of extent {extent}",
        )
        ranges[axis] = range(start, stop, step)
    return ranges


def _clamp_bound(bound: int, extent: int) -> int:
    return min(max(bound + extent if bound < 0 else bound, -1), extent)


def _slice_shape(input: Shape, *, axes: Shape, begin: Shape, end: Shape, stride: Shape = ()) -> list[int]:
    ranges = slice_ranges(input, axes, begin, end, stride)
    return [len(ranges[axis]) if axis in ranges else extent for axis, extent in enumerate(input)]


@op("slice", shape=_slice_shape)
def slice_(x: Array, *, axes: Shape, begin: Shape, end: Shape, stride: Shape = ()) -> Array:
    """Every stride-th element from begin to before end along some axes."""
    index = [slice(None)] * x.ndim
    for axis, taken in slice_ranges(x.shape, axes, begin, end, stride).items():
        # numpy counts a negative stop from the end; None means "up to the very first"
        index[axis] = slice(taken.start, None if taken.stop < 0 else taken.stop, taken.step)
    return x[tuple(index)]


# pad, tile


def _pad_shape(input: Shape, *, padding: Padding, border: str = "constant", value: float = 0.0) -> list[int]:
    check_choice("border", border, CONV_BORDERS)
    check(
        len(padding) == len(input),
        f"'padding' must have a pair for each dimension of shape {list(input)}, got {list(padding)}",
    )
    for axis, (pair, extent) in enumerate(zip(padding, input, strict=True)):
        check(
            extent + sum(pair) >= 0, f"'padding' {tuple(pair)} crops more than the extent {extent} of dimension {axis}"
        )
        check(
            extent > 0 or max(pair) <= 0 or border == "constant",
            f"'padding' {tuple(pair)} with border '{border}' has nothing to repeat in the empty dimension {axis}",
        )
    check_overhang(border, input, padding)
    return [extent + sum(pair) for pair, extent in zip(padding, input, strict=True)]


@op("pad", shape=_pad_shape)
def pad(x: Array, *, padding: Padding, border: str = "constant", value: float = 0.0) -> Array:
    """Continues the input beyond its border, or crops it where padding is negative."""
    _pad_shape(x.shape, padding=padding, border=border)
    return extend(x, padding, border, value)


def _tile_shape(input: Shape, *, repeats: Shape) -> list[int]:
    check(
        len(repeats) == len(input),
        f"'repeats' must have an item for each dimension of shape {list(input)}, got {list(repeats)}",
    )
    check(all(repeat > 0 for repeat in repeats), f"'repeats' must be positive, got {list(repeats)}")
    return [extent * repeat for extent, repeat in zip(input, repeats, strict=True)]


@op("tile", shape=_tile_shape)
def tile(x: Array, *, repeats: Shape) -> Array:
    """Repeats the input along each dimension."""
    _tile_shape(x.shape, repeats=repeats)
    return np.tile(x, tuple(repeats))
