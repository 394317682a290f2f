"""NNEF to ONNX: box filters and pooling, over windows in any dimensions.

ONNX's operators have windows over the last one to three dimensions, after batch and channels. Other dimensions are
brought there by a transpose and a reshape; windows over more dimensions are applied to three at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ....budget import ask_operations
from ....model import Tensor
from ....ops.borders import ZERO_BORDERS
from ....ops.window import PlacedWindow, Window
from ...building.target import known
from ...engine.rules import from_nnef
from ...maths import generated
from ...maths import padding as pads
from ...maths.generated import filled
from ...shared.pool import continued, maximized, normalized, summed
from ..building import OnnxBuilder
from ..common import shape
from .conv import MAX_SPATIAL, correlate, spread

Run = Callable[[Tensor, PlacedWindow], Tensor]


def _over_axes(b: OnnxBuilder, x: Tensor, window: PlacedWindow, run: Run) -> Tensor:
    """Applies `run` to all dimensions in which the window has an effect."""
    axes, rank = window.active, len(shape(x))
    if 3 <= rank <= 2 + MAX_SPATIAL and axes and min(axes) >= 2:
        return run(x, window.over(range(2, rank)))
    for start in range(0, len(axes), MAX_SPATIAL):
        chosen = axes[start : start + MAX_SPATIAL]
        folded = _fold(b, x, chosen)
        x = _unfold(b, run(folded, window.over(chosen)), shape(x), chosen)
    return x


def _fold(b: OnnxBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """`[rest, 1, *axes]`"""
    rest = [k for k in range(len(shape(x))) if k not in axes]
    moved = b.transpose(x, [*rest, *axes])
    return b.reshape(moved, [math.prod(shape(x)[k] for k in rest), 1, *(shape(x)[k] for k in axes)])


def _unfold(b: OnnxBuilder, y: Tensor, own: Sequence[int], axes: Sequence[int]) -> Tensor:
    """The inverse of `_fold`, for a tensor that had shape `own`; extents of the axes may have changed."""
    rest = [k for k in range(len(own)) if k not in axes]
    moved = b.reshape(y, [*(own[k] for k in rest), *shape(y)[2:]])
    return b.transpose(moved, np.argsort([*rest, *axes]).tolist())


def _fits(window: PlacedWindow) -> bool:
    """Do runtimes accept the padding as an attribute of a pooling operator?"""
    return all(0 <= p < f and 0 <= q < f for (p, q), f in zip(window.padding, window.size, strict=True))


def _attributes(window: PlacedWindow) -> dict[str, Any]:
    return {
        "kernel_shape": list(window.size),
        "strides": list(window.stride),
        "pads": pads.pairs_to_onnx(window.padding),
    }


def _padded(b: OnnxBuilder, x: Tensor, window: PlacedWindow, value: float = 0.0) -> tuple[Tensor, PlacedWindow]:
    """x with its padding, and the window over it."""
    return b.pad(x, list(window.padding), window.border, value), window.unpadded()


def _lowest(window: Window) -> float:
    """The value outside of an input whose border is ignored, which never is a maximum."""
    return -np.inf if window.border == "ignore" else 0.0


# sums


def _mean(b: OnnxBuilder, x: Tensor, window: PlacedWindow, count_padding: bool) -> Tensor:
    y = b.AveragePool(x, **_attributes(window), count_include_pad=int(count_padding))
    return known(y, [*shape(x)[:2], *window.downscaled])


def _sum(b: OnnxBuilder, x: Tensor, window: PlacedWindow) -> Tensor:
    if set(window.dilation) == {1} and _fits(window) and b.real is np.float32:
        return b.elementwise(b.Mul, _mean(b, x, window, True), b.scalar(math.prod(window.size)))
    channels = shape(x)[1]
    ones = b.constant(filled([channels, 1, *window.size], 1, b.real))
    return correlate(b, x, ones, None, window, channels)


@from_nnef("onnx", "box")
def box(b: OnnxBuilder, input: Tensor, *, window: Window, normalize: bool = False) -> Tensor:
    """box -> AveragePool, times the volume unless it is normalized; Conv with ones for a dilated window.

    Runtimes lack AveragePool in float64, so a sum is divided there.
    """
    x, placed = input, window.forward(shape(input))
    counts = [np.asarray([n]) for n in placed.size]
    if window.border == "ignore":
        counts = [placed.valid_counts(k) for k in range(len(placed.size))]
    seen = summed(placed)
    direct = seen is placed
    placed = seen
    if window.border not in ZERO_BORDERS:
        x, placed = _padded(b, x, placed)
    axes = placed.active
    direct = direct and set(placed.over(axes).dilation) == {1} and _fits(placed) and b.real is np.float32
    if normalize and axes and direct and len(axes) <= MAX_SPATIAL:
        plain = window.border == "ignore" and placed.is_padded
        return _over_axes(b, x, placed, lambda t, w: _mean(b, t, w, not plain))
    y = _over_axes(b, x, placed, lambda t, w: _sum(b, t, w))
    return b.divided(y, counts) if normalize else y


@from_nnef("onnx", "debox")
def debox(b: OnnxBuilder, input: Tensor, *, window: Window, output_shape: list[int], normalize: bool) -> Tensor:
    """debox -> ConvTranspose with ones."""
    x, placed = continued(b, input, window.reverse(shape(input), output_shape))

    def run(t: Tensor, w: PlacedWindow) -> Tensor:
        channels = shape(t)[1]
        return spread(b, t, b.constant(filled([channels, 1, *w.size], 1, b.real)), None, w, channels)

    y = _over_axes(b, x, placed, run)
    return normalized(b, y, placed, window.border) if normalize else y


# maxima


@from_nnef("onnx", "max_pool")
def max_pool(b: OnnxBuilder, input: Tensor, *, window: Window) -> Tensor:
    """max_pool -> MaxPool, whose padding does not compete, as with border 'ignore'; others by Pad."""
    x, placed = input, window.forward(shape(input))
    empty = [placed.empty(k) if window.border == "ignore" else None for k in range(len(placed.size))]
    placed = maximized(placed)
    if window.border != "ignore" or not _fits(placed):
        x, placed = _padded(b, x, placed, _lowest(window))

    def run(t: Tensor, w: PlacedWindow) -> Tensor:
        y = b.MaxPool(t, **_attributes(w), dilations=list(w.dilation))
        return known(y, [*shape(t)[:2], *w.downscaled])

    y = _over_axes(b, x, placed, run)
    for k, windows in enumerate(empty):
        if windows is not None:
            some = ~windows.reshape([-1 if j == k else 1 for j in range(len(empty))])
            y = known(b.Where(b.constant(some), y, b.scalar(0.0)), shape(y))
    return y


def _elements(b: OnnxBuilder, x: Tensor, window: PlacedWindow) -> Iterator[Tensor]:
    """For each element of the window, the items that the windows find there; x includes the padding. LimitError."""
    ask_operations(2 * math.prod(window.size))
    for element in np.ndindex(*window.size):
        ranges = {}
        for k, position in enumerate(element):
            taken = window.read(k, position)
            ranges[k] = range(taken.start, taken.stop, taken.step)
        yield b.slice(x, ranges)


def _stacked(b: OnnxBuilder, x: Tensor, window: PlacedWindow) -> Tensor:
    """The elements of each window along a new last axis."""
    rank = len(shape(x))
    return b.concat([b.unsqueeze(part, [rank]) for part in _elements(b, x, window)], rank)


@from_nnef("onnx", "argmax_pool")
def argmax_pool(b: OnnxBuilder, input: Tensor, *, window: Window) -> Tensor:
    """argmax_pool -> ArgMax over the elements of each window along a new axis."""
    x, placed = _padded(b, input, window.forward(shape(input)), _lowest(window))
    stacked = _stacked(b, x, placed)
    return known(b.ArgMax(stacked, axis=len(placed.size), keepdims=0), placed.downscaled, np.int64)


@from_nnef("onnx", "max_pool_with_index")
def max_pool_with_index(b: OnnxBuilder, input: Tensor, *, window: Window) -> tuple[Tensor | None, Tensor | None]:
    """max_pool_with_index -> MaxPool and ArgMax, as far as they are used."""
    values = max_pool(b, input, window=window) if b.wanted[0] else None
    return values, argmax_pool(b, input, window=window) if any(b.wanted[1:]) else None


@from_nnef("onnx", "sample")
def sample(b: OnnxBuilder, input: Tensor, index: Tensor, *, window: Window) -> Tensor:
    """sample -> GatherElements of the elements of each window along a new axis."""
    stacked = _stacked(b, *_padded(b, input, window.forward(shape(input))))
    rank = len(window.size)
    taken = b.GatherElements(stacked, b.unsqueeze(index, [rank]), axis=rank)
    return b.squeeze(known(taken, [*shape(index), 1]), [rank])


@from_nnef("onnx", "desample")
def desample(b: OnnxBuilder, input: Tensor, index: Tensor, *, window: Window, output_shape: list[int]) -> Tensor:
    """desample -> ConvTranspose with a channel for each element of the window, which holds the items that go there."""
    placed = window.reverse(shape(input), output_shape)
    axes = placed.active or [len(placed.size) - 1]
    part = placed.over(axes)
    count = math.prod(part.size)
    items, positions = _fold(b, input, axes), _fold(b, index, axes)
    channels = b.constant(generated.positions(count).reshape([1, count] + [1] * len(axes)))
    chosen = b.elementwise(b.Equal, positions, channels, dtype=np.bool_)
    lanes = known(b.Where(chosen, items, b.scalar(0.0)), [shape(items)[0], count, *shape(items)[2:]])
    eye = b.constant(generated.eye(count, dtype=b.real).reshape([count, 1, *part.size]))
    return _unfold(b, spread(b, lanes, eye, None, part, 1), shape(input), axes)
