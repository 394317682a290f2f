"""Pooling: sliding windows and global."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from .. import padding
from ..builder import Builder
from ..padding import Pairs
from ..rules import to_nnef
from .common import shape
from .conv import explicit_padding, per_dimension

NO_PADDING = [(0, 0), (0, 0)]


class _Window:
    """The window of a pooling operator over the spatial dimensions of an input."""

    def __init__(
        self,
        x: Tensor,
        kernel_shape: list[int],
        strides: list[int] | None,
        dilations: list[int] | None,
        auto_pad: str,
        pads: list[int] | None,
        ceil_mode: int,
    ) -> None:
        extents = shape(x)[2:]
        if len(kernel_shape) != len(extents) or not extents:
            raise Unsupported(f"kernel_shape {kernel_shape} does not fit an input of shape {shape(x)}")
        self.extents = extents
        self.size = kernel_shape
        self.stride = per_dimension("strides", strides, len(extents))
        self.dilation = per_dimension("dilations", dilations, len(extents))
        self.declared = explicit_padding(auto_pad, pads, extents, self.size, self.stride, self.dilation)
        self.padding = self.declared
        if ceil_mode and auto_pad in ("NOTSET", ""):
            self.padding = padding.ceil_padding(extents, self.size, self.stride, self.dilation, self.declared)

    def attributes(self, pairs: Pairs | None = None) -> dict[str, Any]:
        """NNEF attributes for all dimensions, batch and channels included."""
        return {
            "size": [1, 1, *self.size],
            "stride": [1, 1, *self.stride],
            "dilation": [1, 1, *self.dilation],
            "padding": NO_PADDING + (self.padding if pairs is None else pairs),
        }


@to_nnef("onnx", "MaxPool")
def max_pool(
    b: Builder,
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """MaxPool -> max_pool, or max_pool_with_index where the indices are used; padding never competes."""
    window = _Window(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    if not any(b.wanted[1:]):
        return b.max_pool(x, border="ignore", **window.attributes())
    values, index = b.max_pool_with_index(x, border="ignore", **window.attributes())
    return values, _flat_index(b, shape(x), shape(index), index, window, column_major=bool(storage_order))


def _flat_index(
    b: Builder, extents: list[int], result: list[int], index: Tensor, window: _Window, *, column_major: bool
) -> Tensor:
    """Positions inside the window as positions in the flattened input, as ONNX counts them.

    The offset of each position of a window comes from a table, the origin of each window from a constant.
    """
    steps = [1] * len(extents)
    order = range(len(extents) - 2, -1, -1)
    for k in order:
        steps[k] = steps[k + 1] * extents[k + 1]
    if column_major:
        spatial = extents[2:]
        steps[2:] = [math.prod(spatial[:k]) for k in range(len(spatial))]
    positions = np.indices(window.size).reshape(len(window.size), -1)
    table = sum(p * d * s for p, d, s in zip(positions, window.dilation, steps[2:], strict=True))
    origin = np.zeros(result, np.int64)
    for k, step in enumerate(steps):
        start = np.arange(result[k], dtype=np.int64)
        if k >= 2:
            start = start * window.stride[k - 2] - window.padding[k - 2][0]
        origin += (start * step).reshape([-1 if j == k else 1 for j in range(len(result))])
    return b.add(b.gather(b.constant(np.asarray(table, np.int64)), index, axis=0), b.constant(origin))


@to_nnef("onnx", "AveragePool")
def average_pool(
    b: Builder,
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """AveragePool -> avg_pool. What ceil_mode adds behind the declared padding is never counted."""
    window = _Window(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    if not count_include_pad:
        return b.avg_pool(x, border="ignore", **window.attributes())
    if window.padding == window.declared:
        return b.avg_pool(x, border="constant", **window.attributes())
    padded = b.pad(x, padding=NO_PADDING + window.declared)
    rest = [(0, q - declared) for (_, q), (_, declared) in zip(window.padding, window.declared, strict=True)]
    return b.avg_pool(padded, border="ignore", **window.attributes(rest))


def _power(b: Builder, x: Tensor, p: float) -> Tensor:
    if p == 1:
        return b.abs(x)
    return b.sqr(x) if p == 2 else b.pow(b.abs(x), float(p))


def _root(b: Builder, x: Tensor, p: float) -> Tensor:
    if p == 1:
        return x
    return b.sqrt(x) if p == 2 else b.pow(x, 1.0 / p)


@to_nnef("onnx", "LpPool")
def lp_pool(
    b: Builder,
    x: Tensor,
    *,
    kernel_shape: list[int],
    p: float = 2.0,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """LpPool: the p-th root of the sum of p-th powers of magnitudes."""
    window = _Window(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    return _root(b, b.box(_power(b, x, p), **window.attributes()), p)


def _spatial(x: Tensor) -> list[int]:
    return list(range(2, len(shape(x))))


@to_nnef("onnx", "GlobalAveragePool")
def global_average_pool(b: Builder, x: Tensor) -> Tensor:
    """GlobalAveragePool -> mean_reduce over the spatial axes."""
    return b.mean_reduce(x, axes=_spatial(x))


@to_nnef("onnx", "GlobalMaxPool")
def global_max_pool(b: Builder, x: Tensor) -> Tensor:
    """GlobalMaxPool -> max_reduce over the spatial axes."""
    return b.max_reduce(x, axes=_spatial(x))


@to_nnef("onnx", "GlobalLpPool")
def global_lp_pool(b: Builder, x: Tensor, *, p: float = 2.0) -> Tensor:
    """GlobalLpPool: the p-norm over the spatial axes."""
    return _root(b, b.sum_reduce(_power(b, x, p), axes=_spatial(x)), p)
