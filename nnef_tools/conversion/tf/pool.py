"""Pooling in 2 and 3 dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..build import shape
from ..builder import Builder
from ..padding import same_padding
from ..positions import flat_positions
from ..rules import Ints, to_nnef
from .common import channels_first, from_channels_first, to_channels_first, window_padding


def _window(
    data_format: str, ksize: list[int], strides: list[int], padding: str, explicit_paddings: list[int] | None
) -> dict[str, Any]:
    """NNEF attributes for all dimensions, batch and channels included. Padding never competes and is never counted."""
    pairs = window_padding(padding, explicit_paddings, data_format)
    return {
        "size": channels_first(ksize, data_format, "ksize"),
        "stride": channels_first(strides, data_format, "strides"),
        "padding": [(0, 0), (0, 0), *pairs] if pairs else [],
        "border": "ignore",
    }


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
    return from_channels_first(b, b.max_pool(to_channels_first(b, x, layout), **window), layout)


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
    return from_channels_first(b, b.avg_pool(to_channels_first(b, x, layout), **window), layout)


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
        return from_channels_first(b, b.max_pool(source, **window), "NHWC"), None
    if window["size"][:2] != [1, 1]:
        raise Unsupported("positions of windows over batch or channels")
    values, index = b.max_pool_with_index(source, **window)
    _, depth, height, width = shape(source)
    steps = [height * width * depth if include_batch_in_index else 0, 1, width * depth, depth]
    size, stride, ones = window["size"][2:], window["stride"][2:], [1, 1]
    pairs = window["padding"][2:] or same_padding([height, width], size, stride, ones)
    position = flat_positions(b, index, steps, size, stride, ones, pairs)
    return from_channels_first(b, values, "NHWC"), from_channels_first(b, b.cast(position, Targmax), "NHWC")
