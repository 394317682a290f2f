"""NNEF to ONNX: convolutions and transposed convolutions."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ....ops.borders import ZERO_BORDERS
from ....ops.window import PlacedWindow, Window
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ...maths import padding as pads
from ...shared.pool import continued
from ..building import OnnxBuilder
from ..common import shape
from .substitutes import products, turned_filter

MAX_SPATIAL = 3
"""The largest number of spatial dimensions that runtimes support."""


def _with_bias(b: OnnxBuilder, bias: Tensor, channels: int) -> tuple[Tensor | None, Tensor | None]:
    """The bias as an input of the operator, or as a tensor to add to its result; neither for 0."""
    if is_number(bias, 0.0):
        return None, None
    vector = b.per_channel(bias, channels)
    return (vector, None) if vector is not None else (None, bias)


def _plus(b: OnnxBuilder, y: Tensor, rest: Tensor | None) -> Tensor:
    return y if rest is None else b.elementwise(b.Add, y, b.right_extended(rest, len(shape(y))))


@from_nnef("onnx", "conv")
def conv(b: OnnxBuilder, input: Tensor, filter: Tensor, bias: Tensor, *, window: Window, groups: int) -> Tensor:
    """conv -> Conv; borders other than zeros by Pad."""
    own, kernel = shape(input), shape(filter)
    placed = window.sized(kernel[2:]).forward(own[2:])
    vector, rest = _with_bias(b, bias, kernel[0])
    y = correlate(b, input, filter, vector, placed, groups or own[1])
    return _plus(b, y, rest)


def _is_written_out(b: OnnxBuilder, window: PlacedWindow) -> bool:
    """Is a matrix product needed, since runtimes only convolve over few dimensions in float32?"""
    return b.real is np.float64 or len(window.size) > MAX_SPATIAL


def correlate(b: OnnxBuilder, x: Tensor, w: Tensor, bias: Tensor | None, window: PlacedWindow, groups: int) -> Tensor:
    """Conv with the window over the spatial dimensions of x, or a matrix product."""
    if window.border not in ZERO_BORDERS or any(min(pair) < 0 for pair in window.padding):
        x, window = b.pad(x, [(0, 0), (0, 0), *window.padding], window.border), window.unpadded()
    if _is_written_out(b, window):
        parts = [window.targets(axis) for axis in range(len(window.size))]
        return products(b, x, w, bias, parts, groups)
    y = b.Conv(
        x,
        w,
        bias,
        kernel_shape=list(window.size),
        pads=pads.pairs_to_onnx(window.padding),
        strides=list(window.stride),
        dilations=list(window.dilation),
        group=groups,
    )
    return known(y, [shape(x)[0], shape(w)[0], *window.downscaled])


@from_nnef("onnx", "deconv")
def deconv(
    b: OnnxBuilder,
    input: Tensor,
    filter: Tensor,
    bias: Tensor,
    *,
    window: Window,
    output_shape: list[int],
    groups: int,
) -> Tensor:
    """deconv -> ConvTranspose; borders other than zeros by Pad."""
    own, kernel = shape(input), shape(filter)
    groups = groups or (output_shape[1] if output_shape else own[1])
    x, placed = continued(b, input, window.sized(kernel[2:]).reverse(own[2:], output_shape[2:]))
    vector, rest = _with_bias(b, bias, kernel[1] * groups)
    return _plus(b, spread(b, x, filter, vector, placed, groups), rest)


def spread(b: OnnxBuilder, x: Tensor, w: Tensor, bias: Tensor | None, window: PlacedWindow, groups: int) -> Tensor:
    """ConvTranspose with the window over the spatial dimensions of x; w: [in, out / groups, ...].

    It is a matrix product where runtimes lack a kernel.
    """
    if _is_written_out(b, window):
        parts = [window.sources(axis) for axis in range(len(window.size))]
        return products(b, x, turned_filter(b, w, groups), bias, parts, groups)
    full = window.covered
    before = [p for p, _ in window.padding]
    after = [f - p - n for f, p, n in zip(full, before, window.upscaled, strict=True)]
    extra = [max(-q, 0) for q in after]
    direct = min(before) >= 0 and all(e < s for e, s in zip(extra, window.stride, strict=True))
    pairs = list(zip(before, (max(q, 0) for q in after), strict=True)) if direct else [(0, 0)] * len(full)
    y = b.ConvTranspose(
        x,
        w,
        bias if direct else None,
        kernel_shape=list(window.size),
        pads=pads.pairs_to_onnx(pairs),
        strides=list(window.stride),
        dilations=list(window.dilation),
        output_padding=extra if direct and any(extra) else None,
        group=groups,
    )
    outer = [shape(x)[0], shape(w)[1] * groups]
    if direct:
        return known(y, [*outer, *window.upscaled])
    crop = [(0, 0), (0, 0), *((-p, -q) for p, q in zip(before, after, strict=True))]
    return _plus(
        b, b.pad(known(y, [*outer, *full]), crop, "constant"), None if bias is None else b.unsqueeze(bias, [0])
    )
