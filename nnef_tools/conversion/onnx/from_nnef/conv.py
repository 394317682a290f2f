"""NNEF to ONNX: convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ....ops.window import Window, forward_window, reverse_window, span
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ...maths import padding as pads
from ...maths.padding import Pairs
from ..building import elementwise, is_number, known, pad, per_channel, right_extended, unsqueeze
from ..common import shape
from .substitutes import products, read_positions, source_positions, turned_filter

ZEROS = ("constant", "ignore")
"""Borders that add nothing to a sum."""

LIMIT = 3
"""Spatial dimensions that runtimes take."""


def _with_bias(b: PlainBuilder, bias: Tensor, channels: int) -> tuple[Tensor | None, Tensor | None]:
    """The bias as an input of the operator, or else what has to be added to its result; neither for 0."""
    if is_number(bias, 0.0):
        return None, None
    vector = per_channel(b, bias, channels)
    return (vector, None) if vector is not None else (None, bias)


def _plus(b: PlainBuilder, y: Tensor, rest: Tensor | None) -> Tensor:
    return y if rest is None else elementwise(b, "Add", y, right_extended(b, rest, len(shape(y))))


@from_nnef("onnx", "conv")
def conv(
    b: PlainBuilder,
    input: Tensor,
    filter: Tensor,
    bias: Tensor,
    *,
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """conv -> Conv; borders other than zeros by Pad."""
    own, kernel = shape(input), shape(filter)
    window = forward_window(own[2:], kernel[2:], padding, stride, dilation)
    vector, rest = _with_bias(b, bias, kernel[0])
    y = correlate(b, input, filter, vector, window, groups or own[1], border)
    return _plus(b, y, rest)


def _is_written_out(b: PlainBuilder, window: Window) -> bool:
    """Runtimes convolve over few dimensions, in float32."""
    return b.real is np.float64 or len(window.size) > LIMIT


def correlate(
    b: PlainBuilder, x: Tensor, w: Tensor, bias: Tensor | None, window: Window, groups: int, border: str = "constant"
) -> Tensor:
    """Conv with the window over the spatial dimensions of x, or a matrix product."""
    pairs: Sequence[tuple[int, int]] = window.padding
    if border not in ZEROS or any(min(pair) < 0 for pair in pairs):
        x = pad(b, x, [(0, 0), (0, 0), *pairs], border)
        pairs = [(0, 0)] * len(pairs)
    if _is_written_out(b, window):
        rows = zip(shape(x)[2:], window.downscaled, window.size, window.stride, window.dilation, strict=True)
        parts = [read_positions(*row, before) for row, (before, _) in zip(rows, pairs, strict=True)]
        return products(b, x, w, bias, parts, groups)
    y = b.Conv(
        x,
        w,
        bias,
        kernel_shape=list(window.size),
        pads=pads.pairs_to_onnx(pairs),
        strides=list(window.stride),
        dilations=list(window.dilation),
        group=groups,
    )
    return known(y, [shape(x)[0], shape(w)[0], *window.downscaled])


@from_nnef("onnx", "deconv")
def deconv(
    b: PlainBuilder,
    input: Tensor,
    filter: Tensor,
    bias: Tensor,
    *,
    border: str,
    padding: Pairs,
    stride: list[int],
    dilation: list[int],
    output_shape: list[int],
    groups: int,
) -> Tensor:
    """deconv -> ConvTranspose; borders other than zeros by Pad."""
    own, kernel = shape(input), shape(filter)
    groups = groups or (output_shape[1] if output_shape else own[1])
    window = reverse_window(own[2:], kernel[2:], padding, stride, dilation, output_shape[2:])
    x, window = continued(b, input, window, border)
    vector, rest = _with_bias(b, bias, kernel[1] * groups)
    return _plus(b, spread(b, x, filter, vector, window, groups), rest)


def continued(b: PlainBuilder, x: Tensor, window: Window, border: str) -> tuple[Tensor, Window]:
    """The input of a reverse operation, continued as far as the window reaches beyond it, and the window for that."""
    if border in ZEROS:
        return x, window
    overhang, window = window.continued()
    return pad(b, x, [(0, 0)] * (len(shape(x)) - len(overhang)) + overhang, border), window


def spread(b: PlainBuilder, x: Tensor, w: Tensor, bias: Tensor | None, window: Window, groups: int) -> Tensor:
    """ConvTranspose with the window over the spatial dimensions of x; w: [in, out / groups, ...].

    A matrix product where runtimes lack that.
    """
    if _is_written_out(b, window):
        sides = zip(shape(x)[2:], window.upscaled, window.size, window.stride, window.dilation, strict=True)
        parts = [source_positions(*side, before) for side, (before, _) in zip(sides, window.padding, strict=True)]
        return products(b, x, turned_filter(b, w, groups), bias, parts, groups)
    rows = list(zip(window.downscaled, window.stride, window.size, window.dilation, strict=True))
    full = [(n - 1) * s + span(f, d) for n, s, f, d in rows]
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
        b, pad(b, known(y, [*outer, *full]), crop, "constant"), None if bias is None else unsqueeze(b, bias, [0])
    )
