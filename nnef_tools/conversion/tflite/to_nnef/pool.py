"""Pooling."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...compose import max_pools
from ...engine.rules import to_nnef
from ...tf.common import from_channels_first, to_channels_first, window_padding


def _pool(
    b: Builder, operation: str, x: Tensor, padding: str, stride: list[int], size: list[int], border: str
) -> Tensor:
    pairs = window_padding(padding, None, "NHWC")
    window = {
        "size": [1, 1, *size],
        "stride": [1, 1, *stride],
        "padding": [(0, 0), (0, 0), *pairs] if pairs else [],
        "border": border,
    }
    source = to_channels_first(b, x, "NHWC")
    y = max_pools.max_pool(b, source, **window) if operation == "max_pool" else b.op(operation, source, **window)
    return from_channels_first(b, y, "NHWC")


@to_nnef("tflite", "MAX_POOL_2D")
def max_pool_2d(
    b: Builder, x: Tensor, *, padding: str, stride_h: int, stride_w: int, filter_height: int, filter_width: int
) -> Tensor:
    """MAX_POOL_2D -> max_pool."""
    return _pool(b, "max_pool", x, padding, [stride_h, stride_w], [filter_height, filter_width], "ignore")


@to_nnef("tflite", "AVERAGE_POOL_2D")
def average_pool_2d(
    b: Builder, x: Tensor, *, padding: str, stride_h: int, stride_w: int, filter_height: int, filter_width: int
) -> Tensor:
    """AVERAGE_POOL_2D -> avg_pool of the items that are there."""
    return _pool(b, "avg_pool", x, padding, [stride_h, stride_w], [filter_height, filter_width], "ignore")


@to_nnef("tflite", "L2_POOL_2D")
def l2_pool_2d(
    b: Builder, x: Tensor, *, padding: str, stride_h: int, stride_w: int, filter_height: int, filter_width: int
) -> Tensor:
    """L2_POOL_2D -> rms_pool of the items that are there."""
    return _pool(b, "rms_pool", x, padding, [stride_h, stride_w], [filter_height, filter_width], "ignore")
