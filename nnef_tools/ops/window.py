"""Geometry of sliding windows (section 5.0): extents, automatic padding, and the slices that kernels work on.

For one dimension: up-scaled extent X, down-scaled extent x, window size f, stride s, dilation d, padding (p, q); the
window spans f_d = (f - 1) * d + 1. Position k of the down-scaled side and element j of the window belong to position
k * s + j * d - p of the up-scaled side. Forward operations (conv, box, ...) read the up-scaled side, reverse ones
(deconv, debox, ...) write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, get_type_hints

import numpy as np

from ..budget import ask_constant, ask_extent
from ..errors import ShapeError
from .borders import ZERO_BORDERS, Padding
from .broadcast import Array

T = TypeVar("T")


def span(size: int, dilation: int) -> int:
    """The extent that a dilated window covers."""
    return (size - 1) * dilation + 1


def automatic_padding(extent: int, size: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding such that ceil(extent / stride) windows cover the up-scaled extent; the surplus is at the end."""
    count = -(-extent // stride)
    total = max((count - 1) * stride + span(size, dilation) - extent, 0)
    return total // 2, total - total // 2


def divisors(counts: Sequence[Array], dtype: Any = np.float64) -> Array:
    """The divisors that make means of sums, from the number of items in each dimension: at least 1.

    The rank is the number of dimensions, with extent 1 where all counts are equal.
    """
    result: Array = np.ones((1,) * len(counts))
    for axis, count in enumerate(counts):
        count = np.maximum(count[:1] if np.all(count == count[0]) else count, 1)
        result = result * count.reshape((-1,) + (1,) * (len(counts) - 1 - axis))
    return np.asarray(result, dtype)


@dataclass(frozen=True)
class Window:
    """A sliding window as operations declare it: an item for each dimension that it slides over.

    Empty padding is automatic, empty strides and dilations are 1, an empty size is that of a filter (see `sized`).
    """

    size: Sequence[int] = ()
    border: str = "constant"
    padding: Padding = ()
    stride: Sequence[int] = ()
    dilation: Sequence[int] = ()

    @classmethod
    def cells(cls, size: Sequence[int]) -> Window:
        """The window that divides a tensor into cells."""
        return cls(size, padding=[(0, 0)] * len(size), stride=size)

    def attributes(self) -> dict[str, Any]:
        """The attributes of an operation with that window, without those that were not given, in their usual order."""
        names = ("size", "stride", "dilation", "padding", "border")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value != getattr(Window, name)}

    def sized(self, size: Sequence[int]) -> Window:
        """The window with the spatial extents of a filter as its size; `()` for an operation that has a filter."""
        return Window(size, self.border, self.padding, self.stride, self.dilation)

    def forward(self, extents: Sequence[int]) -> PlacedWindow:
        """The window of an operation whose input has these extents.

        ShapeError if lengths, values or extents do not fit.
        """
        return self._placed(extents, *self._steps(len(extents)))

    def reverse(self, extents: Sequence[int], output_extents: Sequence[int] = ()) -> PlacedWindow:
        """The window of an operation whose input is the down-scaled side; output_extents, if given, are the result.

        ShapeError if lengths, values or extents do not fit, or if scaling the result down does not give the input.
        """
        stride, dilation = self._steps(len(extents))
        if output_extents:
            upscaled = [int(extent) for extent in output_extents]
        elif self.padding:
            rows = zip(extents, self.size, stride, dilation, self.padding, strict=True)
            upscaled = [(count - 1) * s + span(f, d) - sum(pair) for count, f, s, d, pair in rows]
        else:
            upscaled = [count * s for count, s in zip(extents, stride, strict=True)]
        for axis, extent in enumerate(upscaled):
            if extent <= 0:
                raise ShapeError(f"'padding' leaves extent {extent} in dimension {axis} of the window")
        try:
            placed = self._placed(upscaled, stride, dilation)
        except ShapeError as error:
            raise ShapeError(f"'output_shape' {upscaled} does not fit: {error.message}") from error
        if placed.downscaled != tuple(extents):
            raise ShapeError(
                f"'output_shape' with extents {upscaled} scales down to {list(placed.downscaled)}, not to the extents "
                f"{list(extents)} of the input (window size {list(self.size)}, stride {list(stride)}, "
                f"padding {list(self.padding)})"
            )
        return placed

    # the rest runs for every convolution of a model, so messages are only made when they are needed

    def _steps(self, rank: int) -> tuple[Sequence[int], Sequence[int]]:
        """Stride and dilation, with ones for empty lists; lengths and ranges are checked."""
        if len(self.size) != rank:
            raise ShapeError(f"'size' must have {rank} items, got {list(self.size)}")
        for name in ("padding", "stride", "dilation"):
            items = getattr(self, name)
            if items and len(items) != rank:
                raise ShapeError(f"'{name}' must be empty or have {rank} items, got {list(items)}")
        for name in ("size", "stride", "dilation"):
            items = getattr(self, name)
            if items and min(items) <= 0:
                raise ShapeError(f"'{name}' must be positive, got {list(items)}")
            ask_extent(max(items, default=1), f"'{name}'")
        return self.stride or (1,) * rank, self.dilation or (1,) * rank

    def _placed(self, upscaled: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> PlacedWindow:
        padding: list[tuple[int, int]] = []
        downscaled: list[int] = []
        rows = zip(upscaled, self.size, stride, dilation, self.padding or (None,) * len(upscaled), strict=True)
        for extent, f, s, d, declared in rows:
            before, after = declared or automatic_padding(extent, f, s, d)
            count = (extent + before + after - (f - 1) * d - 1) // s + 1
            if count <= 0:
                raise ShapeError(
                    f"window of size {f} (spanning {span(f, d)} with dilation {d}) does not fit into extent {extent} "
                    f"with 'padding' {(before, after)}, in dimension {len(downscaled)} of the window"
                )
            padding.append((int(before), int(after)))
            downscaled.append(count)
        return PlacedWindow(
            tuple(self.size), self.border, tuple(padding), tuple(stride), tuple(dilation),
            tuple(upscaled), tuple(downscaled), not self.padding,
        )  # fmt: skip


_FIELDS = fields(Window)


@dataclass(frozen=True)
class PlacedWindow(Window):
    """A window over given extents, with everything explicit. automatic: was the padding automatic?"""

    upscaled: tuple[int, ...] = ()
    downscaled: tuple[int, ...] = ()
    automatic: bool = False

    @property
    def active(self) -> list[int]:
        """The dimensions in which the window has an effect."""
        rows = zip(self.size, self.stride, self.padding, self.upscaled, self.downscaled, strict=True)
        return [
            axis
            for axis, (f, s, pair, upscaled, downscaled) in enumerate(rows)
            if f != 1 or s != 1 or upscaled != downscaled or pair != (0, 0)
        ]

    @property
    def spans(self) -> list[int]:
        """The extents that a single window covers."""
        return [span(f, d) for f, d in zip(self.size, self.dilation, strict=True)]

    @property
    def covered(self) -> list[int]:
        """The extents that all windows cover together, without the rest at the end of the padded extents."""
        rows = zip(self.downscaled, self.stride, self.spans, strict=True)
        return [(count - 1) * s + length for count, s, length in rows]

    @property
    def is_padded(self) -> bool:
        """Is there any padding, or cropping?"""
        return any(pair != (0, 0) for pair in self.padding)

    def over(self, axes: Iterable[int]) -> PlacedWindow:
        """The window over some of the dimensions."""
        chosen = list(axes)

        def pick(items: Sequence[T]) -> tuple[T, ...]:
            return tuple([items[axis] for axis in chosen])

        return PlacedWindow(
            pick(self.size), self.border, pick(self.padding), pick(self.stride), pick(self.dilation),
            pick(self.upscaled), pick(self.downscaled), self.automatic,
        )  # fmt: skip

    def unpadded(self) -> PlacedWindow:
        """The same window on an up-scaled side that includes the padding."""
        extents = tuple([extent + sum(pair) for extent, pair in zip(self.upscaled, self.padding, strict=True)])
        return PlacedWindow(
            self.size, self.border, ((0, 0),) * len(extents), self.stride, self.dilation,
            extents, self.downscaled, self.automatic,
        )  # fmt: skip

    def elements(self, axis: int) -> range:
        """The elements of the window that lie inside the up-scaled extent in some window."""
        before, dilation = self.padding[axis][0], self.dilation[axis]
        first = -(((self.downscaled[axis] - 1) * self.stride[axis] - before) // dilation)
        last = (self.upscaled[axis] - 1 + before) // dilation
        size = self.size[axis]
        return range(min(max(first, 0), size), min(max(last + 1, 0), size))

    def trimmed(self) -> tuple[PlacedWindow, tuple[int, ...]]:
        """The window without most elements that meet nothing but padding, and how many are left out at its begin.

        One such element is kept at each end, for those beyond it. So work and memory follow the extents of the input
        and of the result, whatever the size.
        """
        lows: list[int] = []
        sizes: list[int] = []
        padding: list[tuple[int, int]] = []
        for axis, (f, d, pair) in enumerate(zip(self.size, self.dilation, self.padding, strict=True)):
            met = self.elements(axis)
            low, high = max(met.start - 1, 0), min(met.stop, f - 1)
            lows.append(low)
            sizes.append(high - low + 1)
            if sizes[-1] < f:
                before = pair[0] - low * d
                covered = (self.downscaled[axis] - 1) * self.stride[axis] + span(sizes[-1], d)
                pair = (before, covered - self.upscaled[axis] - before)
            padding.append(pair)
        if tuple(sizes) == tuple(self.size):
            return self, tuple(lows)
        return replace(self, size=tuple(sizes), padding=tuple(padding)), tuple(lows)

    def read(self, axis: int, element: int) -> slice:
        """The positions in the padded up-scaled side that an element of the window meets, for each window."""
        start = element * self.dilation[axis]
        stride = self.stride[axis]
        return slice(start, start + (self.downscaled[axis] - 1) * stride + 1, stride)

    def write(self, axis: int, element: int) -> tuple[slice, slice]:
        """The positions of the up-scaled side that an element of the window meets, and the windows that meet them.

        Windows that meet nothing (cropped away, or beyond the extent) are left out; the slices can be empty.
        """
        stride = self.stride[axis]
        offset = element * self.dilation[axis] - self.padding[axis][0]
        first = max(0, -(offset // stride))
        last = min(self.downscaled[axis] - 1, (self.upscaled[axis] - 1 - offset) // stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        return slice(first * stride + offset, last * stride + offset + 1, stride), slice(first, last + 1)

    def starts(self, axis: int) -> Array:
        """The up-scaled position of the first element of each window; it can lie in the padding. LimitError."""
        ask_constant(self.downscaled[axis], "a list of its windows")
        return np.arange(self.downscaled[axis]) * self.stride[axis] - self.padding[axis][0]

    def targets(self, axis: int) -> Array:
        """`[elements, windows]`: the up-scaled position that each element of each window meets, -1 outside."""
        ask_constant(self.size[axis] * self.downscaled[axis], "a table of its windows")
        positions = np.arange(self.size[axis])[:, None] * self.dilation[axis] + self.starts(axis)
        return np.where((positions >= 0) & (positions < self.upscaled[axis]), positions, -1)

    def sources(self, axis: int) -> Array:
        """`[elements, up-scaled positions]`: the window by whose element each position is met, -1 for none."""
        ask_constant(self.size[axis] * self.upscaled[axis], "a table of its windows")
        elements = np.arange(self.size[axis])[:, None] * self.dilation[axis]
        windows, rest = np.divmod(np.arange(self.upscaled[axis]) + self.padding[axis][0] - elements, self.stride[axis])
        return np.where((rest == 0) & (windows >= 0) & (windows < self.downscaled[axis]), windows, -1)

    def valid_counts(self, axis: int) -> Array:
        """For each window, how many of its elements lie inside the up-scaled extent."""
        starts, dilation = self.starts(axis), self.dilation[axis]
        first = np.maximum(-(starts // dilation), 0)
        last = np.minimum((self.upscaled[axis] - 1 - starts) // dilation, self.size[axis] - 1)
        return np.asarray(np.maximum(last - first + 1, 0))

    def empty(self, axis: int) -> Array | None:
        """Which windows have no element inside the up-scaled extent; None if all have one."""
        if self.dilation[axis] == 1 and max(self.padding[axis]) < self.size[axis]:
            return None
        found = self.valid_counts(axis) == 0
        return found if found.any() else None

    def contributions(self, axis: int) -> Array:
        """For each up-scaled position, the number of pairs of a window and one of its elements that meet it."""
        ask_constant(self.upscaled[axis], "a list of its positions")
        result = np.zeros(self.upscaled[axis], np.int64)
        for element in self.elements(axis):
            result[self.write(axis, element)[0]] += 1
        return result

    def overhang(self, axis: int) -> tuple[int, int]:
        """The reach of a reverse operation beyond the down-scaled extent, as numbers of windows before and after."""
        before, stride = self.padding[axis][0], self.stride[axis]
        first = ((self.size[axis] - 1) * self.dilation[axis] - before) // stride
        last = (self.upscaled[axis] - 1 + before) // stride - (self.downscaled[axis] - 1)
        return max(0, first), max(0, last)

    def continued(self) -> tuple[list[tuple[int, int]], PlacedWindow]:
        """The padding by which the input of a reverse operation has to be extended, and the window for the result.

        There is none for borders that contribute nothing.
        """
        if self.border in ZERO_BORDERS:
            return [(0, 0)] * len(self.size), self
        overhang = [self.overhang(axis) for axis in range(len(self.size))]
        rows = zip(self.padding, overhang, self.stride, strict=True)
        padding = tuple((before + low * stride, after) for (before, after), (low, _), stride in rows)
        extents = tuple(low + count + high for count, (low, high) in zip(self.downscaled, overhang, strict=True))
        return overhang, replace(self, downscaled=extents, padding=padding)


_TYPES = get_type_hints(Window)
_PARAMETERS = [Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=_TYPES[f.name]) for f in _FIELDS]


def by_keywords(function: Callable[..., T]) -> Callable[..., T]:
    """The function in the form that takes the attributes of an operation by name.

    A parameter `window: Window` is made of the attributes, which take its place in the signature. A function without it
    stays as it is.
    """
    if getattr(function, "__annotations__", {}).get("window") != "Window":
        return function

    @wraps(function)
    def call(
        *inputs: Any,
        size: Sequence[int] = (),
        border: str = "constant",
        padding: Padding = (),
        stride: Sequence[int] = (),
        dilation: Sequence[int] = (),
        **others: Any,
    ) -> T:
        return function(*inputs, window=Window(size, border, padding, stride, dilation), **others)

    own = signature(function)
    kept = [parameter for name, parameter in own.parameters.items() if name != "window"]
    call.__signature__ = own.replace(parameters=[*kept, *_PARAMETERS])  # type: ignore[attr-defined]
    call.__annotations__ = {**function.__annotations__, **_TYPES}
    del call.__annotations__["window"]
    return call
