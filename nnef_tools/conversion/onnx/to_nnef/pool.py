"""Pooling: sliding windows and global."""

from __future__ import annotations

import math
from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.pool_positions import flat_positions
from ...engine.rules import to_nnef
from ...maths import padding
from ...maths.padding import Pairs
from ..common import shape
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
        return b.max_pool(x, **window.attributes(), border="ignore")
    values, index = b.max_pool_with_index(x, **window.attributes(), border="ignore")
    steps = _steps(shape(x), column_major=bool(storage_order))
    return values, flat_positions(b, index, steps, window.size, window.stride, window.dilation, window.padding)


def _steps(extents: list[int], *, column_major: bool) -> list[int]:
    """What a step along each dimension counts in the flattened tensor, row-major but for the spatial dimensions."""
    steps = [math.prod(extents[k + 1 :]) for k in range(len(extents))]
    if column_major:
        steps[2:] = [math.prod(extents[2:k]) for k in range(2, len(extents))]
    return steps


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
        return b.avg_pool(x, **window.attributes(), border="ignore")
    if window.padding == window.declared:
        return b.avg_pool(x, **window.attributes(), border="constant")
    padded = b.pad(x, padding=NO_PADDING + window.declared)
    rest = [(0, q - declared) for (_, q), (_, declared) in zip(window.padding, window.declared, strict=True)]
    return b.avg_pool(padded, **window.attributes(rest), border="ignore")


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
