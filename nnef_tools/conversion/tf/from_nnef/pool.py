"""NNEF to TensorFlow: box filters and pooling, over windows in any dimensions.

TensorFlow's operators have windows over one to three spatial dimensions without dilation. All others are computed one
dimension after the other, since sums and maxima are separable, from the slices that each element of the window meets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.window import PlacedWindow, Window
from ...building.shapes import shape
from ...building.target import Reduction, known
from ...engine.rules import from_nnef
from ...shared.pool import continued, normalized
from ..building import TfBuilder
from .conv import is_same, padding_attributes, widened

Array = np.ndarray[Any, Any]


def _spatial(b: TfBuilder, window: PlacedWindow) -> PlacedWindow | None:
    """The window over the spatial dimensions, if the target's pooling supports it; else None."""
    rank = len(window.size)
    axes = window.active
    if not 3 <= rank <= b.pool_rank + 2 or (axes and min(axes) < 2) or set(window.dilation) != {1}:
        return None
    return window.over(range(2, rank))


def _pool(b: TfBuilder, type: str, x: Tensor, window: PlacedWindow, padding: dict[str, Any]) -> Tensor:
    """MaxPool or AvgPool over the spatial dimensions of x, which has its channels second."""
    y = b.to_format(x)
    rank, axis = len(window.size), 1 if b.channels_last else 2
    if rank == 1:
        y, window = b.unsqueeze(y, [axis]), widened(window)
        if "explicit_paddings" in padding:
            padding = padding_attributes(b, window)
    y = b.op(
        type + ("3D" if rank == 3 else ""), y, ksize=b.in_format(window.size), strides=b.in_format(window.stride),
        data_format=b.data_format(len(window.size)), **padding,
    )  # fmt: skip
    y = known(y, b.in_format(window.downscaled, *shape(x)[:2]))
    return b.from_format(b.squeeze(y, [axis]) if rank == 1 else y)


def _element(b: TfBuilder, x: Tensor, window: PlacedWindow, axis: int, element: int) -> Tensor:
    """The items that an element of the window meets along an axis, for each window."""
    part = window.read(axis, element)
    return b.slice(x, {axis: range(part.start, part.stop, part.step)})


def _by_axis(b: TfBuilder, x: Tensor, window: PlacedWindow, combine: Callable[..., Tensor], whole: Reduction) -> Tensor:
    """Combines the elements of windows without padding, a dimension at a time."""
    for k in window.active:
        if window.size[k] == window.upscaled[k] and window.dilation[k] == 1:
            x = b.reduce(whole, x, [k])
            continue
        y = _element(b, x, window, k, 0)
        for element in range(1, window.size[k]):
            y = b.elementwise(combine, y, _element(b, x, window, k, element))
        x = y
    return x


@from_nnef("tf", "box")
def box(b: TfBuilder, input: Tensor, *, window: Window, normalize: bool = False) -> Tensor:
    """box -> AvgPool, times the volume unless it is normalized; sums of slices for windows that AvgPool lacks."""
    placed = window.forward(shape(input))
    spatial = _spatial(b, placed)
    ignore = window.border == "ignore"
    if spatial is not None and normalize and ignore and is_same(spatial):
        return _pool(b, "AvgPool", input, spatial, padding_attributes(b, spatial))
    x, plain = b.pad(input, list(placed.padding), window.border), placed.unpadded()
    counts = [np.asarray([n]) for n in placed.size]
    if ignore:
        counts = [placed.valid_counts(k) for k in range(len(placed.size))]
    spatial = _spatial(b, plain)
    if spatial is None:
        y = _by_axis(b, x, plain, b.AddV2, "sum")
        return b.divided(y, counts) if normalize else y
    y = _pool(b, "AvgPool", x, spatial, {"padding": "VALID"})
    if normalize and not (ignore and placed.is_padded):
        return y
    y = b.elementwise(b.Mul, y, b.scalar(math.prod(placed.size)))
    return b.divided(y, counts) if normalize else y


@from_nnef("tf", "max_pool")
def max_pool(b: TfBuilder, input: Tensor, *, window: Window) -> Tensor:
    """max_pool -> MaxPool, which ignores the border; other borders are padded."""
    placed = window.forward(shape(input))
    spatial = _spatial(b, placed)
    if spatial is not None and window.border == "ignore" and _takes_padding(b, spatial):
        y = _pool(b, "MaxPool", input, spatial, padding_attributes(b, spatial))
    else:
        x, plain = _padded(b, input, placed)
        spatial = _spatial(b, plain)
        if spatial is not None:
            same = spatial.automatic and is_same(spatial)
            y = _pool(b, "MaxPool", x, spatial, {"padding": "SAME" if same else "VALID"})
        else:
            y = _by_axis(b, x, plain, b.Maximum, "max")
    for k in range(len(placed.size)):
        empty = placed.empty(k) if window.border == "ignore" else None
        if empty is not None:
            y = b.nnef.select(_along(b, empty, k), b.scalar(0.0), y)
    return y


def _padded(b: TfBuilder, x: Tensor, window: PlacedWindow) -> tuple[Tensor, PlacedWindow]:
    """x with its padding, which has the lowest value if the border is ignored, and the window over it."""
    value = -np.inf if window.border == "ignore" else 0.0
    return b.pad(x, list(window.padding), window.border, value), window.unpadded()


def _along(b: TfBuilder, values: Array, axis: int) -> Tensor:
    """A constant that varies along one axis; NNEF's broadcasting extends it to the right."""
    return b.constant(values.reshape([*[1] * axis, -1]))


def _takes_padding(b: TfBuilder, window: PlacedWindow) -> bool:
    """Can MaxPool have that padding, as SAME or for each side?"""
    if is_same(window) or not window.is_padded:
        return True
    rows = zip(window.padding, window.size, strict=True)
    return b.has_explicit_padding and len(window.size) <= 2 and all(0 <= p < f and 0 <= q < f for (p, q), f in rows)


# indices


@from_nnef("tf", "argmax_pool")
def argmax_pool(b: TfBuilder, input: Tensor, *, window: Window) -> Tensor:
    """argmax_pool -> ArgMax over the slices that the elements of the window meet; the first of equal ones counts.

    The indices of MaxPoolWithArgmax are positions in the image, which do not determine those in the window.
    """
    x, plain = _padded(b, input, window.forward(shape(input)))
    parts = []
    for element in np.ndindex(*plain.size):
        part = x
        for k in plain.active:
            part = _element(b, part, plain, k, element[k])
        parts.append(part)
    index = b.ArgMax(b.stack(parts, 0), b.number(0), output_type=np.int64)
    return known(index, plain.downscaled, np.int64)


@from_nnef("tf", "max_pool_with_index")
def max_pool_with_index(b: TfBuilder, input: Tensor, *, window: Window) -> tuple[Tensor, Tensor | None]:
    """max_pool_with_index -> MaxPool, and ArgMax if the index is used."""
    return max_pool(b, input, window=window), argmax_pool(b, input, window=window) if b.wanted[1] else None


@from_nnef("tf", "sample")
def sample(b: TfBuilder, input: Tensor, index: Tensor, *, window: Window) -> Tensor:
    """sample -> GatherV2 of the flat positions that the indices stand for, in the padded input."""
    placed = window.forward(shape(input))
    x = b.pad(input, list(placed.padding), window.border)
    positions = _flat_positions(b, index, placed.unpadded())
    return b.gather(b.reshape(x, [math.prod(shape(x))]), positions, 0)


@from_nnef("tf", "desample")
def desample(b: TfBuilder, input: Tensor, index: Tensor, *, window: Window, output_shape: list[int]) -> Tensor:
    """desample -> ScatterNd to the flat positions that the indices stand for; padding is cropped from the result."""
    placed = window.reverse(shape(input), output_shape)
    plain = placed.unpadded()
    volume, count = math.prod(plain.upscaled), math.prod(shape(input))
    positions = b.reshape(_flat_positions(b, index, plain), [count, 1])
    y = known(b.ScatterNd(positions, b.reshape(input, [count]), b.constant([volume], np.int64)), [volume])
    return b.pad(b.reshape(y, plain.upscaled), [(-p, -q) for p, q in placed.padding])


def _flat_positions(b: TfBuilder, index: Tensor, window: PlacedWindow) -> Tensor:
    """Row-major positions, in the padded up-scaled side, of elements of a window without padding."""
    strides = np.cumprod([1, *window.upscaled[:0:-1]])[::-1]
    inner = np.cumprod([1, *window.size[:0:-1]])[::-1]
    total: Tensor | None = None
    for k, size in enumerate(window.size):
        starts = window.starts(k) * int(strides[k])
        part = b.constant(starts.reshape([-1 if j == k else 1 for j in range(len(window.size))]), np.int64)
        if size > 1:
            element = b.elementwise(b.FloorDiv, index, b.integer(int(inner[k])))
            element = b.elementwise(b.FloorMod, element, b.integer(size))
            step = b.integer(window.dilation[k] * int(strides[k]))
            part = b.elementwise(b.AddV2, b.elementwise(b.Mul, element, step), part)
        total = part if total is None else b.elementwise(b.AddV2, total, part)
    assert total is not None
    # a window of single elements has constant positions; the result still has to depend on the index
    return total if shape(total) == shape(index) else b.elementwise(b.AddV2, index, total)


# the transpose of box


@from_nnef("tf", "debox")
def debox(b: TfBuilder, input: Tensor, *, window: Window, output_shape: list[int], normalize: bool) -> Tensor:
    """debox -> Conv2DBackpropInput with ones, a dimension at a time."""
    x, placed = continued(b, input, window.reverse(shape(input), output_shape))
    for k in placed.active:
        x = _spread_axis(b, x, placed, k)
    return normalized(b, x, placed, window.border) if normalize else x


def _spread_axis(b: TfBuilder, x: Tensor, window: PlacedWindow, axis: int) -> Tensor:
    """debox along one axis, which becomes the height of images with one channel."""
    own = shape(x)
    d, s, f = window.dilation[axis], window.stride[axis], window.size[axis]
    kernel: Array = np.zeros([(f - 1) * d + 1, 1, 1, 1], b.real)
    kernel[::d] = 1
    full = (own[axis] - 1) * s + len(kernel)
    outer, inner = math.prod(own[:axis]), math.prod(own[axis + 1 :])
    image = b.reshape(x, [outer, own[axis], inner, 1])
    dims = [outer, full, inner, 1]
    y = b.Conv2DBackpropInput(
        b.vector(dims), b.constant(kernel), image, strides=[1, s, 1, 1], padding="VALID", data_format="NHWC"
    )
    before, extent = window.padding[axis][0], window.upscaled[axis]
    cropped = b.pad(known(y, dims), [(0, 0), (-before, extent + before - full), (0, 0), (0, 0)])
    return b.reshape(cropped, [*own[:axis], extent, *own[axis + 1 :]])
