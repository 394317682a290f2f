"""Geometry of sliding windows (section 5.0): extents, automatic padding, and the slices that kernels work on.

For one dimension: up-scaled extent X, down-scaled extent x, window size f, stride s, dilation d, padding (p, q); the
window spans f_d = (f - 1) * d + 1. Position k of the down-scaled side and element j of the window belong to position
k * s + j * d - p of the up-scaled side. Forward operations (conv, box, ...) read the up-scaled side, reverse ones
(deconv, debox, ...) write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..errors import ShapeError
from .borders import Padding
from .broadcast import Array
from .checks import check

T = TypeVar("T")


def span(size: int, dilation: int) -> int:
    """The extent that a dilated window covers."""
    return (size - 1) * dilation + 1


def automatic_padding(extent: int, size: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding such that ceil(extent / stride) windows cover the up-scaled extent; the surplus is at the end."""
    count = -(-extent // stride)
    total = max((count - 1) * stride + span(size, dilation) - extent, 0)
    return total // 2, total - total // 2


def downscaled_extent(extent: int, size: int, stride: int, dilation: int, padding: tuple[int, int]) -> int:
    """The number of windows that fit into the padded extent; not positive if not even one does."""
    return (extent + sum(padding) - span(size, dilation)) // stride + 1


def upscaled_extent(count: int, size: int, stride: int, dilation: int, padding: tuple[int, int]) -> int:
    """The extent that `count` windows cover, without the padding."""
    return (count - 1) * stride + span(size, dilation) - sum(padding)


def divisors(counts: Sequence[Array], dtype: Any = np.float64) -> Array:
    """What sums of so many items, counted in each dimension, are divided by for a mean: at least 1.

    Its rank is the number of dimensions, with extent 1 where the counts are all equal.
    """
    result: Array = np.ones((1,) * len(counts))
    for axis, count in enumerate(counts):
        count = np.maximum(count[:1] if np.all(count == count[0]) else count, 1)
        result = result * count.reshape((-1,) + (1,) * (len(counts) - 1 - axis))
    return np.asarray(result, dtype)


@dataclass(frozen=True)
class Window:
    """A sliding window with everything resolved, an entry per dimension."""

    upscaled: tuple[int, ...]
    downscaled: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    def is_trivial(self, axis: int) -> bool:
        """Does the window map the dimension to itself?"""
        return (
            self.size[axis] == 1
            and self.stride[axis] == 1
            and self.padding[axis] == (0, 0)
            and self.upscaled[axis] == self.downscaled[axis]
        )

    @property
    def active(self) -> list[int]:
        """The dimensions that the window does not map to themselves."""
        return [axis for axis in range(len(self.size)) if not self.is_trivial(axis)]

    def over(self, axes: Iterable[int]) -> Window:
        """The window over some of the dimensions."""
        chosen = list(axes)

        def pick(items: tuple[T, ...]) -> tuple[T, ...]:
            return tuple(items[axis] for axis in chosen)

        extents = pick(self.upscaled), pick(self.downscaled)
        return Window(*extents, pick(self.size), pick(self.stride), pick(self.dilation), pick(self.padding))

    def unpadded(self) -> Window:
        """The same window on an up-scaled side that has the padding in it."""
        extents = tuple(extent + sum(pair) for extent, pair in zip(self.upscaled, self.padding, strict=True))
        return replace(self, upscaled=extents, padding=((0, 0),) * len(self.size))

    def read(self, axis: int, element: int) -> slice:
        """The positions, in the padded up-scaled side, that an element of the window meets, window by window."""
        start = element * self.dilation[axis]
        stride = self.stride[axis]
        return slice(start, start + (self.downscaled[axis] - 1) * stride + 1, stride)

    def write(self, axis: int, element: int) -> tuple[slice, slice]:
        """Which positions of the up-scaled side an element of the window meets, and from which windows.

        Windows that meet nothing (cropped away, or beyond the extent) are left out; the slices can be empty.
        """
        stride = self.stride[axis]
        offset = element * self.dilation[axis] - self.padding[axis][0]
        first = max(0, -(offset // stride))
        last = min(self.downscaled[axis] - 1, (self.upscaled[axis] - 1 - offset) // stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        return slice(first * stride + offset, last * stride + offset + 1, stride), slice(first, last + 1)

    def valid_counts(self, axis: int) -> Array:
        """For each window, how many of its elements lie inside the up-scaled extent."""
        starts = np.arange(self.downscaled[axis]) * self.stride[axis] - self.padding[axis][0]
        positions = starts[:, None] + np.arange(self.size[axis]) * self.dilation[axis]
        inside = (positions >= 0) & (positions < self.upscaled[axis])
        return np.asarray(inside.sum(axis=1))

    def contributions(self, axis: int) -> Array:
        """For each up-scaled position, the number of pairs of a window and one of its elements that meet it."""
        result = np.zeros(self.upscaled[axis], np.int64)
        for element in range(self.size[axis]):
            result[self.write(axis, element)[0]] += 1
        return result

    def overhang(self, axis: int) -> tuple[int, int]:
        """How far a reverse operation reaches beyond the down-scaled extent: windows before and after."""
        before, stride = self.padding[axis][0], self.stride[axis]
        first = ((self.size[axis] - 1) * self.dilation[axis] - before) // stride
        last = (self.upscaled[axis] - 1 + before) // stride - (self.downscaled[axis] - 1)
        return max(0, first), max(0, last)

    def continued(self) -> tuple[list[tuple[int, int]], Window]:
        """The overhang of each dimension, and the window for a down-scaled side that is continued by it."""
        overhang = [self.overhang(axis) for axis in range(len(self.size))]
        rows = zip(self.padding, overhang, self.stride, strict=True)
        padding = tuple((before + low * stride, after) for (before, after), (low, _), stride in rows)
        extents = tuple(low + count + high for count, (low, high) in zip(self.downscaled, overhang, strict=True))
        return overhang, replace(self, downscaled=extents, padding=padding)


def forward_window(
    extents: Sequence[int], size: Sequence[int], padding: Padding, stride: Sequence[int], dilation: Sequence[int]
) -> Window:
    """The window of an operation whose input has these extents; empty padding means automatic.

    ShapeError if lengths, values or extents do not fit.
    """
    stride, dilation = _check(len(extents), size, padding, stride, dilation)
    padding = padding or [automatic_padding(*item) for item in zip(extents, size, stride, dilation, strict=True)]
    padding = tuple((int(before), int(after)) for before, after in padding)
    downscaled = []
    for axis, (extent, f, s, d, pair) in enumerate(zip(extents, size, stride, dilation, padding, strict=True)):
        count = downscaled_extent(extent, f, s, d, pair)
        if count <= 0:
            raise ShapeError(
                f"window of size {f} (spanning {span(f, d)} with dilation {d}) does not fit into extent {extent} with "
                f"'padding' {pair}, in dimension {axis} of the window"
            )
        downscaled.append(count)
    return Window(tuple(extents), tuple(downscaled), tuple(size), tuple(stride), tuple(dilation), padding)


def reverse_window(
    extents: Sequence[int],
    size: Sequence[int],
    padding: Padding,
    stride: Sequence[int],
    dilation: Sequence[int],
    output_extents: Sequence[int] = (),
) -> Window:
    """The window of an operation whose input is the down-scaled side; output_extents, if given, are the result.

    ShapeError if lengths, values or extents do not fit, or if scaling the result down does not give the input.
    """
    stride, dilation = _check(len(extents), size, padding, stride, dilation)
    if output_extents:
        upscaled = [int(extent) for extent in output_extents]
    elif padding:
        upscaled = [upscaled_extent(*item) for item in zip(extents, size, stride, dilation, padding, strict=True)]
    else:
        upscaled = [count * s for count, s in zip(extents, stride, strict=True)]
    for axis, extent in enumerate(upscaled):
        check(extent > 0, f"'padding' leaves extent {extent} in dimension {axis} of the window")
    try:
        window = forward_window(upscaled, size, padding, stride, dilation)
    except ShapeError as error:
        raise ShapeError(f"'output_shape' {upscaled} does not fit: {error.message}") from error
    check(
        window.downscaled == tuple(extents),
        f"'output_shape' with extents {upscaled} scales down to {list(window.downscaled)}, not to the extents "
        f"{list(extents)} of the input (window size {list(size)}, stride {list(stride)}, padding {list(padding)})",
    )
    return window


# These functions run for every convolution of a model, so messages are made where they are needed only.


def _check(
    rank: int, size: Sequence[int], padding: Padding, stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Checks lengths and ranges; returns stride and dilation, with ones for empty lists."""
    if len(size) != rank:
        raise ShapeError(f"'size' must have {rank} items, got {list(size)}")
    for name, items in (("padding", padding), ("stride", stride), ("dilation", dilation)):
        if len(items) not in (0, rank):
            raise ShapeError(f"'{name}' must be empty or have {rank} items, got {list(items)}")
    stride = stride or [1] * rank
    dilation = dilation or [1] * rank
    for name, items in (("size", size), ("stride", stride), ("dilation", dilation)):
        if min(items, default=1) <= 0:
            raise ShapeError(f"'{name}' must be positive, got {list(items)}")
    return stride, dilation
