"""NNEF to ONNX: box filters and pooling, over windows in any dimensions.

ONNX's operators have windows over the last one to three dimensions, after batch and channels. Other dimensions become
such by a transpose and a reshape; windows over more than three dimensions are applied to three at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.window import Window, forward_window, reverse_window
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ...maths import padding as pads
from ...maths.padding import Pairs
from ..building import (
    concat,
    divisor,
    elementwise,
    known,
    pad,
    reshape,
    scalar,
    slice_ranges,
    squeeze,
    transpose,
    unsqueeze,
)
from ..common import shape
from .conv import LIMIT, ZEROS, continued, correlate, spread

Run = Callable[[Tensor, Window], Tensor]


def _over_axes(b: PlainBuilder, x: Tensor, window: Window, run: Run) -> Tensor:
    """Applies `run` to all dimensions where the window does something."""
    axes, rank = window.active, len(shape(x))
    if 3 <= rank <= 2 + LIMIT and axes and min(axes) >= 2:
        return run(x, window.over(range(2, rank)))
    for start in range(0, len(axes), LIMIT):
        chosen = axes[start : start + LIMIT]
        folded = _fold(b, x, chosen)
        x = _unfold(b, run(folded, window.over(chosen)), shape(x), chosen)
    return x


def _fold(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """`[rest, 1, *axes]`"""
    rest = [k for k in range(len(shape(x))) if k not in axes]
    moved = transpose(b, x, [*rest, *axes])
    return reshape(b, moved, [math.prod(shape(x)[k] for k in rest), 1, *(shape(x)[k] for k in axes)])


def _unfold(b: PlainBuilder, y: Tensor, own: Sequence[int], axes: Sequence[int]) -> Tensor:
    """The inverse of `_fold`, for a tensor that had shape `own`; extents of the axes may have changed."""
    rest = [k for k in range(len(own)) if k not in axes]
    moved = reshape(b, y, [*(own[k] for k in rest), *shape(y)[2:]])
    return transpose(b, moved, np.argsort([*rest, *axes]).tolist())


def _fits(window: Window) -> bool:
    """Do runtimes take the padding as an attribute of a pooling operator?"""
    return all(0 <= p < f and 0 <= q < f for (p, q), f in zip(window.padding, window.size, strict=True))


def _attributes(window: Window) -> dict[str, Any]:
    return {
        "kernel_shape": list(window.size),
        "strides": list(window.stride),
        "pads": pads.pairs_to_onnx(window.padding),
    }


def _continued(b: PlainBuilder, x: Tensor, window: Window, border: str, value: float = 0.0) -> tuple[Tensor, Window]:
    """x with its padding, and the window on that."""
    return pad(b, x, list(window.padding), border, value), window.unpadded()


# sums


def _mean(b: PlainBuilder, x: Tensor, window: Window, count_padding: bool) -> Tensor:
    y = b.AveragePool(x, **_attributes(window), count_include_pad=int(count_padding))
    return known(y, [*shape(x)[:2], *window.downscaled])


def _sum(b: PlainBuilder, x: Tensor, window: Window) -> Tensor:
    if set(window.dilation) == {1} and _fits(window) and b.real is np.float32:
        return elementwise(b, "Mul", _mean(b, x, window, True), scalar(b, math.prod(window.size)))
    channels = shape(x)[1]
    ones = b.constant(np.ones([channels, 1, *window.size], b.real))
    return correlate(b, x, ones, None, window, channels)


def _divided(b: PlainBuilder, x: Tensor, counts: Sequence[np.ndarray[Any, Any]]) -> Tensor:
    """x divided by the outer product of counts for each dimension."""
    return elementwise(b, "Div", x, divisor(b, counts))


@from_nnef("onnx", "box")
def box(
    b: PlainBuilder,
    input: Tensor,
    *,
    size: list[int],
    border: str = "constant",
    padding: Pairs | None = None,
    stride: Sequence[int] = (),
    dilation: Sequence[int] = (),
    normalize: bool = False,
) -> Tensor:
    """box -> AveragePool, times the volume unless it is to be normalised; Conv with ones where it is dilated.

    In float64 runtimes lack AveragePool, so that it is a sum, which is divided.
    """
    window = forward_window(shape(input), size, padding or (), stride, dilation)
    counts = [window.valid_counts(k) for k in range(len(size))]
    x = input
    if border not in ZEROS:
        x, window = _continued(b, x, window, border)
    axes = window.active
    direct = set(window.over(axes).dilation) == {1} and _fits(window) and b.real is np.float32
    if normalize and axes and direct:
        plain = border == "ignore" and any(pair != (0, 0) for pair in window.padding)
        if len(axes) <= LIMIT:
            return _over_axes(b, x, window, lambda t, w: _mean(b, t, w, not plain))
    y = _over_axes(b, x, window, lambda t, w: _sum(b, t, w))
    if not normalize:
        return y
    return _divided(b, y, counts if border == "ignore" else [np.asarray([n]) for n in size])


@from_nnef("onnx", "avg_pool")
def avg_pool(b: PlainBuilder, input: Tensor, *, size: list[int], border: str, padding: Pairs, stride: list[int],
             dilation: list[int]) -> Tensor:  # fmt: skip
    """avg_pool -> AveragePool."""
    return box(b, input, size=size, border=border, padding=padding, stride=stride, dilation=dilation, normalize=True)


@from_nnef("onnx", "area_downsample")
def area_downsample(b: PlainBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """area_downsample -> AveragePool."""
    cell = [1, 1, *factor]
    return box(b, input, size=cell, padding=[(0, 0)] * len(cell), stride=cell, normalize=True)


@from_nnef("onnx", "debox")
def debox(
    b: PlainBuilder,
    input: Tensor,
    *,
    size: list[int],
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
    output_shape: list[int],
    normalize: bool,
) -> Tensor:
    """debox -> ConvTranspose with ones."""
    window = reverse_window(shape(input), size, padding, stride, dilation, output_shape)
    x, window = continued(b, input, window, border)

    def run(t: Tensor, w: Window) -> Tensor:
        channels = shape(t)[1]
        return spread(b, t, b.constant(np.ones([channels, 1, *w.size], b.real)), None, w, channels)

    y = _over_axes(b, x, window, run)
    if not normalize:
        return y
    if border != "ignore":
        return _divided(b, y, [np.asarray([n]) for n in size])
    return _divided(b, y, [window.contributions(k) for k in range(len(size))])


# maxima


@from_nnef("onnx", "max_pool")
def max_pool(
    b: PlainBuilder,
    input: Tensor,
    *,
    size: list[int],
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
) -> Tensor:
    """max_pool -> MaxPool, whose padding does not compete, as with border 'ignore'; others by Pad."""
    window = forward_window(shape(input), size, padding, stride, dilation)
    counts = [window.valid_counts(k) for k in range(len(size))]
    x = input
    if border != "ignore" or not _fits(window):
        x, window = _continued(b, x, window, border, -np.inf if border == "ignore" else 0.0)

    def run(t: Tensor, w: Window) -> Tensor:
        y = b.MaxPool(t, **_attributes(w), dilations=list(w.dilation))
        return known(y, [*shape(t)[:2], *w.downscaled])

    y = _over_axes(b, x, window, run)
    for k, count in enumerate(counts):
        if border == "ignore" and not count.all():
            some = (count > 0).reshape([-1 if j == k else 1 for j in range(len(counts))])
            y = known(b.Where(b.constant(some), y, scalar(b, 0.0)), shape(y))
    return y


def _elements(b: PlainBuilder, x: Tensor, window: Window) -> Iterator[Tensor]:
    """For each element of the window, what the windows find there; x has the padding in it."""
    for element in np.ndindex(*window.size):
        ranges = {}
        for k, position in enumerate(element):
            taken = window.read(k, position)
            ranges[k] = range(taken.start, taken.stop, taken.step)
        yield slice_ranges(b, x, ranges)


def _stacked(b: PlainBuilder, x: Tensor, window: Window) -> Tensor:
    """The elements of each window along a new last axis."""
    rank = len(shape(x))
    return concat(b, [unsqueeze(b, part, [rank]) for part in _elements(b, x, window)], rank)


@from_nnef("onnx", "argmax_pool")
def argmax_pool(
    b: PlainBuilder,
    input: Tensor,
    *,
    size: list[int],
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
) -> Tensor:
    """argmax_pool -> ArgMax over the elements of the windows, put side by side."""
    window = forward_window(shape(input), size, padding, stride, dilation)
    x = pad(b, input, list(window.padding), border, -np.inf if border == "ignore" else 0.0)
    stacked = _stacked(b, x, window)
    return known(b.ArgMax(stacked, axis=len(size), keepdims=0), window.downscaled, np.int64)


@from_nnef("onnx", "max_pool_with_index")
def max_pool_with_index(
    b: PlainBuilder,
    input: Tensor,
    *,
    size: list[int],
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
) -> tuple[Tensor | None, Tensor | None]:
    """max_pool_with_index -> MaxPool and ArgMax, as far as they are used."""
    attribs: dict[str, Any] = {
        "size": size,
        "border": border,
        "padding": padding,
        "stride": stride,
        "dilation": dilation,
    }
    values = max_pool(b, input, **attribs) if b.wanted[0] else None
    return values, argmax_pool(b, input, **attribs) if any(b.wanted[1:]) else None


@from_nnef("onnx", "sample")
def sample(
    b: PlainBuilder,
    input: Tensor,
    index: Tensor,
    *,
    size: list[int],
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
) -> Tensor:
    """sample -> GatherElements of the elements of the windows, put side by side."""
    window = forward_window(shape(input), size, padding, stride, dilation)
    stacked = _stacked(b, pad(b, input, list(window.padding), border), window)
    rank = len(size)
    taken = b.GatherElements(stacked, unsqueeze(b, index, [rank]), axis=rank)
    return squeeze(b, known(taken, [*window.downscaled, 1]), [rank])


@from_nnef("onnx", "desample")
def desample(
    b: PlainBuilder,
    input: Tensor,
    index: Tensor,
    *,
    size: list[int],
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
    output_shape: list[int],
) -> Tensor:
    """desample -> ConvTranspose with a channel for each element of the window, in which the items lie that go there."""
    window = reverse_window(shape(input), size, padding, stride, dilation, output_shape)
    axes = window.active
    axes = axes or [len(size) - 1]
    part = window.over(axes)
    count = math.prod(part.size)
    items, positions = _fold(b, input, axes), _fold(b, index, axes)
    channels = b.constant(np.arange(count).reshape([1, count] + [1] * len(axes)))
    chosen = elementwise(b, "Equal", positions, channels, dtype=np.bool_)
    lanes = known(b.Where(chosen, items, scalar(b, 0.0)), [shape(items)[0], count, *shape(items)[2:]])
    eye = b.constant(np.eye(count, dtype=b.real).reshape([count, 1, *part.size]))
    return _unfold(b, spread(b, lanes, eye, None, part, 1), shape(input), axes)


@from_nnef("onnx", "local_response_normalization")
def local_response_normalization(
    b: PlainBuilder, input: Tensor, *, size: list[int], alpha: float, beta: float, bias: float
) -> Tensor:
    """local_response_normalization -> LRN across channels; over other windows by its definition."""
    own = shape(input)
    across = all(n == 1 for k, n in enumerate(size) if k != 1)
    if len(own) == 4 and size[1] % 2 and across and b.real is np.float32:  # runtimes want images and odd sizes
        return known(b.LRN(input, size=size[1], alpha=alpha, beta=beta, bias=bias), own)
    means = box(b, elementwise(b, "Mul", input, input), size=size, normalize=True)
    sigma = elementwise(b, "Add", elementwise(b, "Mul", means, scalar(b, alpha)), scalar(b, bias))
    return elementwise(b, "Div", input, elementwise(b, "Pow", sigma, scalar(b, beta)))
