"""Pooling: sizes are rounded up, and windows clipped to the image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ....ops.window import Window, span
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...compose.pool_positions import flat_positions
from ...compose.slicing import joined, reshape_inferred
from ...engine.rules import to_nnef
from ...maths.generated import filled
from .conv import extents

_NO_PADDING = [(0, 0), (0, 0)]
_LOWEST = -3.4028234663852886e38
_METHODS = ("MAX", "AVE", "STOCHASTIC")


def placed(own: list[int], size: list[int], stride: list[int], pad: list[int], *, floor: bool) -> Window:
    """The window whose count NNEF's formula gives, by asymmetric padding.

    Caffe rounds up, and leaves out a last window that would start behind the padded image, but only if something is
    padded. InvalidOperator for what Caffe does not take.
    """
    if min(*size, *stride) < 1 or any(p >= k for p, k in zip(pad, size, strict=True) if p):
        raise InvalidOperator(f"kernel {size}, stride {stride} and pad {pad} do not fit")
    pairs = []
    for extent, k, s, p in zip(own, size, stride, pad, strict=True):
        free = extent + 2 * p - k
        if free < 0 and (floor or free <= -s):
            raise InvalidOperator(f"kernel {size} does not fit input of extents {own}")
        count = (free // s if floor else -(-free // s)) + 1
        if any(pad) and (count - 1) * s >= extent + p:
            count -= 1
        pairs.append((p, p if count == free // s + 1 else (count - 1) * s + k - extent - p))
    return Window(size, "ignore", pairs, stride, [1] * len(size))


def _attributes(window: Window) -> dict[str, Any]:
    """The attributes of an operation, whose windows go over batch and channels, too."""
    padding = [*_NO_PADDING, *window.padding]
    return Window(
        [1, 1, *window.size], window.border, padding, [1, 1, *window.stride], [1, 1, *window.dilation]
    ).attributes()


def _empty(own: list[int], window: Window) -> bool:
    """Does any window lie behind the image as a whole?"""
    rows = zip(own, window.size, window.stride, window.padding, strict=True)
    return any(q >= span(k, 1) and (extent + p + q - k) // s * s - p >= extent for extent, k, s, (p, q) in rows)


def max_windows(b: Builder, x: Tensor, window: Window) -> Tensor:
    """Maxima of what lies in the image. A window without any has the lowest number, as in Caffe."""
    own = shape(x)[2:]
    if _empty(own, window):
        x = b.pad(x, padding=[*_NO_PADDING, *((0, max(q, 0)) for _, q in window.padding)], value=_LOWEST)
        window = replace(window, padding=[(p, 0) for p, _ in window.padding])
    return b.max_pool(x, **_attributes(window))


def average_windows(b: Builder, x: Tensor, window: Window, pad: list[int]) -> Tensor:
    """Means that count the padding, but not what lies behind it."""
    if _empty(shape(x)[2:], window):
        raise InvalidOperator("a window lies behind the image, so that Caffe divides by zero")
    if all(q == p for (_, q), p in zip(window.padding, pad, strict=True)):
        return b.avg_pool(x, **_attributes(replace(window, border="constant")), border="constant")
    if any(pad):
        x = b.pad(x, padding=[*_NO_PADDING, *((p, p) for p in pad)])
    rest = [(0, q - p) for (_, q), p in zip(window.padding, pad, strict=True)]
    return b.avg_pool(x, **_attributes(replace(window, padding=rest)))


def weighted_windows(b: Builder, x: Tensor, window: Window, pad: list[int]) -> Tensor:
    """Stochastic pooling of a trained net: sums of squares divided by sums, or 0 where these are not positive."""
    if any(pad):
        raise InvalidOperator("stochastic pooling has no padding")
    squares, sums = (b.box(t, **_attributes(window)) for t in (b.sqr(x), x))
    positive = b.gt(sums, 0.0)
    return b.select(positive, b.div(squares, b.select(positive, sums, 1.0)), 0.0)


def _windows(b: Builder, x: Tensor, window: Window, pad: list[int], pool: str) -> Tensor:
    if pool == "MAX":
        return max_windows(b, x, window)
    return average_windows(b, x, window, pad) if pool == "AVE" else weighted_windows(b, x, window, pad)


@to_nnef("caffe", "Pooling")
def pooling(
    b: Builder,
    x: Tensor,
    *,
    pool: str = "MAX",
    kernel_size: int | None = None,
    stride: int | None = None,
    pad: int | None = None,
    kernel_h: int | None = None,
    kernel_w: int | None = None,
    stride_h: int | None = None,
    stride_w: int | None = None,
    pad_h: int | None = None,
    pad_w: int | None = None,
    global_pooling: bool = False,
    round_mode: str = "CEIL",
    ceil_mode: bool = True,
) -> Tensor | tuple[Tensor, Tensor]:
    """Pooling -> max_pool or avg_pool; with a second top for MAX, the positions of the maxima in the image."""
    own = shape(x)
    if len(own) != 4:
        raise InvalidOperator(f"input of shape {own}: four dimensions are needed")
    if pool not in _METHODS:
        raise Unsupported(f"pool {pool} is not known")
    if any(b.wanted[1:]) and pool != "MAX":
        raise InvalidOperator("only maxima have positions")
    if global_pooling:
        if any(v is not None for v in (kernel_size, kernel_h, kernel_w)) or any((pad, pad_h, pad_w)):
            raise InvalidOperator("global pooling has neither a kernel nor padding")
        size, steps, pads = own[2:], [1, 1], [0, 0]
        if pool != "STOCHASTIC" and not any(b.wanted[1:]):
            return b.max_reduce(x, axes=[2, 3]) if pool == "MAX" else b.mean_reduce(x, axes=[2, 3])
    else:
        size = extents([kernel_size] if kernel_size is not None else None, kernel_h, kernel_w, 2, None, "kernel_size")
        steps = extents([stride] if stride is not None else None, stride_h, stride_w, 2, 1, "stride")
        pads = extents([pad] if pad is not None else None, pad_h, pad_w, 2, 0, "pad")
    window = placed(own[2:], size, steps, pads, floor=round_mode == "FLOOR" or not ceil_mode)
    if not any(b.wanted[1:]):
        return _windows(b, x, window, pads, pool)
    if _empty(own[2:], window):
        raise Unsupported("positions of a maximum behind the image")
    values, index = b.max_pool_with_index(x, **_attributes(window))
    return values, b.cast(flat_positions(b, index, [0, 0, own[3], 1], window.forward(own[2:])), x.dtype)


@to_nnef("caffe", "SPP")
def spp(b: Builder, x: Tensor, *, pyramid_height: int, pool: str = "MAX") -> Tensor:
    """SPP: pooling to 1, 4, 16, .. cells, flattened and concatenated; one level alone keeps its shape."""
    own = shape(x)
    if len(own) != 4 or not 1 <= pyramid_height <= 16:
        raise InvalidOperator(f"input of shape {own}, pyramid_height {pyramid_height}")
    if pool not in _METHODS:
        raise Unsupported(f"pool {pool} is not known")
    levels = []
    for level in range(pyramid_height):
        cells = 2**level
        size = [-(-extent // cells) for extent in own[2:]]
        pads = [(k * cells - extent + 1) // 2 for k, extent in zip(size, own[2:], strict=True)]
        window = placed(own[2:], size, size, pads, floor=False)
        y = _windows(b, x, window, pads, pool)
        levels.append(y if pyramid_height == 1 else reshape_inferred(b, y, [own[0], -1]))
    return levels[0] if pyramid_height == 1 else joined(b, levels, 1)


@to_nnef("caffe", "Upsample")
def upsample(
    b: Builder,
    x: Tensor,
    mask: Tensor | None = None,
    *,
    scale: int = 2,
    scale_h: int | None = None,
    scale_w: int | None = None,
    pad_out_h: bool = False,
    pad_out_w: bool = False,
    upsample_h: int | None = None,
    upsample_w: int | None = None,
) -> Tensor:
    """Upsample: with the positions of maxima (SegNet) these in zeros, else each item repeated (YOLO)."""
    own = shape(x)
    if len(own) != 4:
        raise InvalidOperator(f"input of shape {own}: four dimensions are needed")
    factors = [scale_h or scale, scale_w or scale]
    sizes = [n * f - int(cut) for n, f, cut in zip(own[2:], factors, (pad_out_h, pad_out_w), strict=True)]
    sizes = [given or size for given, size in zip((upsample_h, upsample_w), sizes, strict=True)]
    if mask is None:
        if sizes != [n * f for n, f in zip(own[2:], factors, strict=True)]:
            raise Unsupported(f"extents {sizes} are no multiples of {own[2:]}")
        return b.nearest_upsample(x, factor=factors)
    if shape(mask) != own:
        raise InvalidOperator(f"positions of shape {shape(mask)} for input of shape {own}")
    count, inner = own[0] * own[1], own[2] * own[3]
    zeros = b.constant(filled([count, sizes[0] * sizes[1]], 0, np.float32))
    index = b.cast(reshape(b, mask, [count, inner]), np.int64)
    return reshape(b, b.scatter_elements(zeros, index, reshape(b, x, [count, inner]), axis=1), [*own[:2], *sizes])
