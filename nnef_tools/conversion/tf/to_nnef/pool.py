"""Pooling in 2 and 3 dimensions, and its kin: dilation with a structuring element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_float
from ....ops.borders import Padding
from ....ops.window import Window
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...compose import max_pools
from ...compose.pool_positions import flat_positions
from ...compose.slicing import slice_axes
from ...engine.rules import Ints, to_nnef
from ...maths.padding import same_padding
from ..common import channels_first, from_channels_first, spatial, to_channels_first, window_padding


def _window(
    data_format: str, ksize: list[int], strides: list[int], padding: str, explicit_paddings: list[int] | None
) -> Window:
    """The window over all dimensions, batch and channels included. Padding never competes and is never counted."""
    pairs = window_padding(padding, explicit_paddings, data_format)
    return Window(
        channels_first(ksize, data_format, "ksize"),
        "ignore",
        [(0, 0), (0, 0), *pairs] if pairs else [],
        channels_first(strides, data_format, "strides"),
    )


@to_nnef("tf", "MaxPool", "MaxPool3D")
def max_pool(
    b: Builder,
    x: Tensor,
    *,
    ksize: list[int],
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str | None = None,
) -> Tensor:
    """MaxPool, MaxPool3D -> max_pool."""
    layout = data_format or ("NHWC" if len(shape(x)) == 4 else "NDHWC")
    window = _window(layout, ksize, strides, padding, explicit_paddings)
    return from_channels_first(b, max_pools.max_pool(b, to_channels_first(b, x, layout), **window.attributes()), layout)


@to_nnef("tf", "MaxPoolV2")
def max_pool_inputs(
    b: Builder, x: Tensor, ksize: Ints, strides: Ints, *, padding: str, data_format: str = "NHWC"
) -> Tensor:
    """MaxPoolV2: size and strides are inputs."""
    return max_pool(b, x, ksize=ksize, strides=strides, padding=padding, data_format=data_format)


@to_nnef("tf", "AvgPool", "AvgPool3D")
def avg_pool(
    b: Builder,
    x: Tensor,
    *,
    ksize: list[int],
    strides: list[int],
    padding: str,
    data_format: str | None = None,
) -> Tensor:
    """AvgPool, AvgPool3D -> avg_pool."""
    layout = data_format or ("NHWC" if len(shape(x)) == 4 else "NDHWC")
    window = _window(layout, ksize, strides, padding, None)
    return from_channels_first(b, b.avg_pool(to_channels_first(b, x, layout), **window.attributes()), layout)


@to_nnef("tf", "MaxPoolWithArgmax")
def max_pool_with_argmax(
    b: Builder,
    x: Tensor,
    *,
    ksize: list[int],
    strides: list[int],
    padding: str,
    include_batch_in_index: bool = False,
    Targmax: Any = np.int64,
) -> tuple[Tensor, Tensor | None]:
    """MaxPoolWithArgmax -> max_pool_with_index; positions in windows become positions in the flattened NHWC input."""
    window = _window("NHWC", ksize, strides, padding, None)
    source = to_channels_first(b, x, "NHWC")
    if not b.wanted[1]:
        return from_channels_first(b, b.max_pool(source, **window.attributes()), "NHWC"), None
    if window.size[:2] != [1, 1]:
        raise Unsupported("positions of windows over batch or channels")
    values, index = b.max_pool_with_index(source, **window.attributes())
    _, depth, height, width = shape(source)
    steps = [height * width * depth if include_batch_in_index else 0, 1, width * depth, depth]
    position = flat_positions(b, index, steps, window.forward(shape(source)).over([2, 3]))
    return from_channels_first(b, values, "NHWC"), from_channels_first(b, b.cast(position, Targmax), "NHWC")


@to_nnef("tf", "Dilation2D")
def dilation_2d(
    b: Builder, x: Tensor, element: Tensor, *, strides: list[int], rates: list[int], padding: str
) -> Tensor:
    """Dilation2D: maxima over windows of x plus a structuring element `[height, width, channels]`.

    max_pool and an addition if the element is flat (the same everywhere in the window), else the maximum of one term
    for each position in the window.
    """
    if not is_float(x.dtype):
        raise Unsupported("integers")
    height, width, depth = shape(element)
    stride, dilation = spatial(strides, "NHWC", "strides"), spatial(rates, "NHWC", "rates")
    window = Window([height, width], "ignore", window_padding(padding, None, "NHWC"), stride, dilation)
    pairs = window.padding or same_padding(window, shape(x)[1:3])
    value = b.value(element)
    if value is None or np.any(value != value[:1, :1]):
        return _largest_sum(b, x, element, stride, dilation, pairs)
    whole = Window([1, 1, height, width], "ignore", [(0, 0), (0, 0), *pairs], [1, 1, *stride], [1, 1, *dilation])
    y = from_channels_first(b, b.max_pool(to_channels_first(b, x, "NHWC"), **whole.attributes()), "NHWC")
    return b.add(y, b.constant(value[0, 0].reshape(1, 1, 1, depth))) if np.any(value) else y


def _largest_sum(
    b: Builder, x: Tensor, element: Tensor, stride: list[int], dilation: list[int], pairs: Padding
) -> Tensor:
    """The maximum over a window of x + element. Outside of x lies the smallest number, which never wins."""
    *window, depth = shape(element)
    b.steps.take(window[0] * window[1])
    if any(map(any, pairs)):
        lowest = float(np.finfo(x.dtype).min)
        x = b.pad(x, padding=[(0, 0), *pairs, (0, 0)], border="constant", value=lowest)
    extents = shape(x)[1:3]
    reach = [(n - 1) * step for n, step in zip(window, dilation, strict=True)]
    if any(extent <= r for extent, r in zip(extents, reach, strict=True)):
        raise Unsupported(f"a window of {window} with rates {dilation} does not fit extents {extents}")
    terms: list[Tensor] = []
    for row, column in np.ndindex(*window):
        start = [row * dilation[0], column * dilation[1]]
        end = [s + extent - r for s, extent, r in zip(start, extents, reach, strict=True)]
        moved = slice_axes(b, x, start, end, [1, 2], stride)
        item = reshape(
            b, slice_axes(b, element, [row, column], [row + 1, column + 1], [0, 1], [1, 1]), [1, 1, 1, depth]
        )
        terms.append(b.add(moved, item))
    return reduce(b.max, terms)
