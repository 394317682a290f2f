"""Pooling, over sliding windows and global, and its reverse."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...compose import max_pools
from ...compose.pool_positions import flat_positions
from ...engine.rules import Ints, to_nnef
from ...maths import padding
from ...maths.generated import filled
from ..common import reshape, shape
from .conv import spatial_window

NO_PADDING = [(0, 0), (0, 0)]


def _window(
    x: Tensor,
    kernel_shape: list[int],
    strides: list[int] | None,
    dilations: list[int] | None,
    auto_pad: str,
    pads: list[int] | None,
) -> Window:
    """The window of a pooling operator over the spatial dimensions of its input."""
    extents = shape(x)[2:]
    if len(kernel_shape) != len(extents) or not extents:
        raise Unsupported(f"kernel_shape {kernel_shape} does not fit an input of shape {shape(x)}")
    return spatial_window(extents, kernel_shape, strides=strides, dilations=dilations, auto_pad=auto_pad, pads=pads)


def _rounded(x: Tensor, window: Window, auto_pad: str, ceil_mode: int) -> Window:
    """The window with as much padding as ceil_mode asks for."""
    if not ceil_mode or auto_pad not in ("NOTSET", ""):
        return window
    return replace(window, padding=padding.ceil_padding(window, shape(x)[2:]))


def _attributes(window: Window, border: str = "constant") -> dict[str, Any]:
    """The attributes of an operation, whose windows go over batch and channels, too."""
    return Window(
        [1, 1, *window.size], border, [*NO_PADDING, *window.padding], [1, 1, *window.stride], [1, 1, *window.dilation]
    ).attributes()


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
    window = _rounded(x, _window(x, kernel_shape, strides, dilations, auto_pad, pads), auto_pad, ceil_mode)
    attribs = _attributes(window, "ignore")
    if not any(b.wanted[1:]):
        return max_pools.max_pool(b, x, **attribs)
    values, index = b.max_pool_with_index(x, **attribs)
    steps = _steps(shape(x), column_major=bool(storage_order))
    return values, flat_positions(b, index, steps, window.forward(shape(x)[2:]))


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
    declared = _window(x, kernel_shape, strides, dilations, auto_pad, pads)
    window = _rounded(x, declared, auto_pad, ceil_mode)
    if not count_include_pad:
        return b.avg_pool(x, **_attributes(window, "ignore"))
    if window == declared:
        return b.avg_pool(x, **_attributes(window), border="constant")
    padded = b.pad(x, padding=[*NO_PADDING, *declared.padding])
    rest = [(0, q - own) for (_, q), (_, own) in zip(window.padding, declared.padding, strict=True)]
    return b.avg_pool(padded, **_attributes(replace(window, padding=rest), "ignore"))


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
    window = _rounded(x, _window(x, kernel_shape, strides, dilations, auto_pad, pads), auto_pad, ceil_mode)
    return _root(b, b.box(_power(b, x, p), **_attributes(window)), p)


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


@to_nnef("onnx", "MaxUnpool", since=9)
def max_unpool(
    b: Builder,
    x: Tensor,
    indices: Tensor,
    output_shape: Ints | None = None,
    *,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """MaxUnpool: zeros with the elements at their positions in the flattened result.

    A larger output_shape adds zeros behind; the positions are those without it.
    """
    own = shape(x)
    window = spatial_window(own[2:], kernel_shape, strides=strides, pads=pads)
    result = [*own[:2], *window.reverse(own[2:]).upscaled]
    zeros = b.constant(filled([math.prod(result)], 0, x.dtype))
    count = [math.prod(own)]
    flat = b.scatter_elements(zeros, reshape(b, indices, count), reshape(b, x, count), axis=0)
    y = reshape(b, flat, result)
    if not output_shape or output_shape == result:
        return y
    added = [(0, wanted - extent) for wanted, extent in zip(output_shape, result, strict=True)]
    if min(after for _, after in added) < 0:
        raise Unsupported(f"output_shape {output_shape} is smaller than {result}, which the attributes give")
    return b.pad(y, padding=added)
