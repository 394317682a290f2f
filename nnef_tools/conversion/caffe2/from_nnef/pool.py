"""NNEF to Caffe2: box filters and pooling.

Caffe2's operators have windows over one to three spatial dimensions, without dilation. All others are computed one
dimension after the other, since sums and maxima are separable, from the slices that each element of the window meets.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ....budget import ask_operations
from ....model import Tensor
from ....ops.borders import ZERO_BORDERS
from ....ops.window import PlacedWindow, Window
from ...building.shapes import shape
from ...building.target import Reduction, known
from ...engine.rules import from_nnef
from ...maths import padding as pads
from ...maths.generated import filled
from ...shared.pool import continued, maximized, normalized, summed
from ..building import Caffe2Builder
from .conv import MAX_SPATIAL, spread


def _spatial(window: PlacedWindow) -> PlacedWindow | None:
    """The window over the spatial dimensions, if the operators support it; else None."""
    rank, axes = len(window.size), window.active
    if not 3 <= rank <= MAX_SPATIAL + 2 or not axes or min(axes) < 2 or set(window.dilation) != {1}:
        return None
    part = window.over(range(2, rank))
    rows = zip(part.padding, part.size, strict=True)
    return part if all(0 <= p < f and 0 <= q < f for (p, q), f in rows) else None


def _pool(b: Caffe2Builder, type: str, x: Tensor, window: PlacedWindow, **options: Any) -> Tensor:
    y = b.op(
        type,
        x,
        kernels=list(window.size),
        strides=list(window.stride),
        pads=pads.pairs_to_onnx(window.padding),
        order="NCHW",
        **options,
    )
    return known(y, [*shape(x)[:2], *window.downscaled])


def _by_axis(
    b: Caffe2Builder, x: Tensor, window: PlacedWindow, combine: Callable[..., Tensor], whole: Reduction
) -> Tensor:
    """Combines the elements of windows without padding, a dimension at a time. LimitError."""
    ask_operations(2 * sum(window.size))
    for k in window.active:
        if window.size[k] == window.upscaled[k] and window.dilation[k] == 1:
            x = b.reduce(whole, x, [k])
            continue
        parts = [window.read(k, element) for element in range(window.size[k])]
        total = b.slice(x, {k: range(parts[0].start, parts[0].stop, parts[0].step)})
        for part in parts[1:]:
            total = combine(total, b.slice(x, {k: range(part.start, part.stop, part.step)}))
        x = total
    return x


@from_nnef("caffe2", "box")
def box(b: Caffe2Builder, input: Tensor, *, window: Window, normalize: bool = False) -> Tensor:
    """box -> AveragePool, times the volume unless it is normalized; sums of slices for windows that it lacks."""
    placed = window.forward(shape(input))
    ignore = window.border == "ignore"
    counts = [placed.valid_counts(k) if ignore else np.asarray([n]) for k, n in enumerate(placed.size)]
    seen = summed(placed)
    x = input
    if window.border not in ZERO_BORDERS:
        x, seen = b.pad(x, list(seen.padding), window.border), seen.unpadded()
    spatial = _spatial(seen)
    if spatial is None:
        x, seen = b.pad(x, list(seen.padding)), seen.unpadded()
        y = _by_axis(b, x, seen, b.nnef.add, "sum")
        return b.divided(y, counts) if normalize else y
    if normalize and prod(seen.size) == prod(placed.size):
        return _pool(b, "AveragePool", x, spatial, count_include_pad=int(not (ignore and seen.is_padded)))
    y = b.nnef.mul(_pool(b, "AveragePool", x, spatial, count_include_pad=1), float(prod(spatial.size)))
    return b.divided(y, counts) if normalize else y


@from_nnef("caffe2", "debox")
def debox(b: Caffe2Builder, input: Tensor, *, window: Window, output_shape: list[int], normalize: bool) -> Tensor:
    """debox -> ConvTranspose with ones, a dimension at a time, which becomes the height of images with one channel."""
    x, placed = continued(b, input, window.reverse(shape(input), output_shape))
    for k in placed.active:
        own = shape(x)
        outer, inner = prod(own[:k]), prod(own[k + 1 :])
        column = b.reshape(b.transpose(b.reshape(x, [outer, own[k], inner]), [0, 2, 1]), [outer * inner, 1, own[k]])
        ones = b.constant(filled([1, 1, placed.size[k]], 1, np.float32))
        y = spread(b, column, ones, None, placed.over([k]), 1)
        extent = placed.upscaled[k]
        y = b.transpose(b.reshape(y, [outer, inner, extent]), [0, 2, 1])
        x = b.reshape(y, [*own[:k], extent, *own[k + 1 :]])
    return normalized(b, x, placed, window.border) if normalize else x


@from_nnef("caffe2", "argmax_pool")
def argmax_pool(b: Caffe2Builder, input: Tensor, *, window: Window) -> Tensor:
    """argmax_pool -> ArgMax over the slices that the elements of the window meet."""
    placed = window.forward(shape(input))
    lowest = float(np.finfo(np.float32).min) if window.border == "ignore" else 0.0
    x, plain = b.pad(input, list(placed.padding), window.border, lowest), placed.unpadded()
    ask_operations(prod(plain.size) * (len(plain.active) + 1))
    parts = []
    for element in np.ndindex(*plain.size):
        taken = {k: plain.read(k, position) for k, position in enumerate(element)}
        parts.append(b.slice(x, {k: range(part.start, part.stop, part.step) for k, part in taken.items()}))
    rank = len(plain.size)
    index = b.op("ArgMax", b.stack(parts, rank), axis=rank, keepdims=0)
    return known(index, plain.downscaled, np.int64)


@from_nnef("caffe2", "max_pool_with_index")
def max_pool_with_index(b: Caffe2Builder, input: Tensor, *, window: Window) -> tuple[Tensor, Tensor | None]:
    """max_pool_with_index -> MaxPool, and ArgMax if the index is used."""
    return max_pool(b, input, window=window), argmax_pool(b, input, window=window) if b.wanted[1] else None


@from_nnef("caffe2", "max_pool")
def max_pool(b: Caffe2Builder, input: Tensor, *, window: Window) -> Tensor:
    """max_pool -> MaxPool, whose padding does not compete, as with border 'ignore'; others are padded."""
    placed = window.forward(shape(input))
    ignore = window.border == "ignore"
    empty = [placed.empty(k) if ignore else None for k in range(len(placed.size))]
    part = maximized(placed)
    spatial = _spatial(part)
    if spatial is not None and (ignore or not part.is_padded):
        y = _pool(b, "MaxPool", input, spatial)
    else:
        lowest = float(np.finfo(np.float32).min) if ignore else 0.0
        x, plain = b.pad(input, list(part.padding), window.border, lowest), part.unpadded()
        spatial = _spatial(plain)
        if spatial is not None:
            y = _pool(b, "MaxPool", x, spatial)
        else:
            y = _by_axis(b, x, plain, b.nnef.max, "max")
    for k, windows in enumerate(empty):
        if windows is not None:
            column = b.constant(windows.reshape([*[1] * k, -1]))
            y = b.nnef.select(column, 0.0, y)
    return y
