"""NNEF to Caffe2: convolutions and transposed convolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....ops.borders import ZERO_BORDERS
from ....ops.window import PlacedWindow, Window, span
from ...building.shapes import shape
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ...maths import padding as pads
from ...shared.pool import continued
from ..building import Caffe2Builder

MAX_SPATIAL = 3
"""The largest number of spatial dimensions that kernels support."""


def _bias(b: Caffe2Builder, bias: Tensor, channels: int) -> tuple[Tensor | None, Tensor | None]:
    """The bias as an input of the operator, or as a tensor to add to its result; neither for 0."""
    if is_number(bias, 0.0):
        return None, None
    vector = b.per_channel(bias, channels)
    return (vector, None) if vector is not None else (None, bias)


@from_nnef("caffe2", "conv")
def conv(b: Caffe2Builder, input: Tensor, filter: Tensor, bias: Tensor, *, window: Window, groups: int) -> Tensor:
    """conv -> Conv; borders other than zeros are padded."""
    own, kernel = shape(input), shape(filter)
    vector, rest = _bias(b, bias, kernel[0])
    y = correlate(b, input, filter, vector, window.sized(kernel[2:]).forward(own[2:]), groups or own[1])
    return y if rest is None else b.nnef.add(y, rest)


def correlate(b: Caffe2Builder, x: Tensor, w: Tensor, bias: Tensor | None, window: PlacedWindow, groups: int) -> Tensor:
    """Conv with the window over the spatial dimensions of x; groups of others than images one by one."""
    rank = len(window.size)
    if not 1 <= rank <= MAX_SPATIAL:
        raise Unsupported(f"a convolution in {rank} dimensions")
    if window.border not in ZERO_BORDERS or any(min(pair) < 0 for pair in window.padding):
        x, window = b.pad(x, [(0, 0), (0, 0), *window.padding], window.border), window.unpadded()
    if groups > 1 and rank != 2:
        return _by_group(b, x, w, bias, window, groups)
    y = b.op(
        "Conv",
        x,
        w,
        bias,
        kernels=list(window.size),
        strides=list(window.stride),
        pads=pads.pairs_to_onnx(window.padding),
        dilations=list(window.dilation),
        group=groups,
        order="NCHW",
    )
    return known(y, [shape(x)[0], shape(w)[0], *window.downscaled])


def _by_group(b: Caffe2Builder, x: Tensor, w: Tensor, bias: Tensor | None, window: PlacedWindow, groups: int) -> Tensor:
    def parts(tensor: Tensor, axis: int) -> list[Tensor]:
        return b.split(tensor, axis, [shape(tensor)[axis] // groups] * groups)

    biases = parts(bias, 0) if bias is not None else [None] * groups
    rows = zip(parts(x, 1), parts(w, 0), biases, strict=True)
    return b.concat([correlate(b, *row, window, 1) for row in rows], 1)


@from_nnef("caffe2", "deconv")
def deconv(
    b: Caffe2Builder,
    input: Tensor,
    filter: Tensor,
    bias: Tensor,
    *,
    window: Window,
    output_shape: list[int],
    groups: int,
) -> Tensor:
    """deconv -> ConvTranspose over images, whole, from which the result is cut."""
    own, kernel = shape(input), shape(filter)
    groups = groups or (output_shape[1] if output_shape else own[1])
    x, placed = continued(b, input, window.sized(kernel[2:]).reverse(own[2:], output_shape[2:]))
    vector, rest = _bias(b, bias, kernel[1] * groups)
    y = spread(b, x, filter, vector, placed, groups)
    return y if rest is None else b.nnef.add(y, rest)


def _dilated(b: Caffe2Builder, w: Tensor, window: PlacedWindow) -> tuple[Tensor, PlacedWindow]:
    """A constant filter with zeros between its items, and the window without dilation."""
    values = b.value(w)
    if values is None:
        raise Unsupported("a transposed convolution with dilation, by a filter that is not constant")
    size = [span(n, d) for n, d in zip(window.size, window.dilation, strict=True)]
    filter = np.zeros([*values.shape[:2], *size], values.dtype)
    every = [slice(None), slice(None), *(slice(None, None, d) for d in window.dilation)]
    filter[tuple(every)] = values
    return b.constant(filter, base=w), replace(window, size=size, dilation=[1] * len(size))


def spread(b: Caffe2Builder, x: Tensor, w: Tensor, bias: Tensor | None, window: PlacedWindow, groups: int) -> Tensor:
    """ConvTranspose over one or two spatial dimensions of x; w: [in, out / groups, ...]."""
    rank = len(window.size)
    if rank > 2:
        raise Unsupported(f"a transposed convolution in {rank} dimensions")
    if set(window.dilation) != {1}:
        w, window = _dilated(b, w, window)
    before = [p for p, _ in window.padding]
    after = [f - p - n for f, p, n in zip(window.covered, before, window.upscaled, strict=True)]
    extra = [max(-q, 0) for q in after]
    direct = min(before) >= 0 and all(e < s for e, s in zip(extra, window.stride, strict=True))
    pairs = [(p, max(q, 0)) for p, q in zip(before, after, strict=True)] if direct else [(0, 0)] * rank
    line = rank == 1  # an image of one row
    ones, zeros = ([1], [0]) if line else ([], [])
    y = b.op(
        "ConvTranspose",
        b.unsqueeze(x, [2]) if line else x,
        b.unsqueeze(w, [2]) if line else w,
        bias if direct else None,
        kernels=[*ones, *window.size],
        strides=[*ones, *window.stride],
        pads=pads.pairs_to_onnx([*((0, 0) for _ in zeros), *pairs]),
        adjs=[*zeros, *(extra if direct else [0] * rank)],
        group=groups,
        order="NCHW",
    )
    outer = [shape(x)[0], shape(w)[1] * groups]
    extents = list(window.upscaled if direct else window.covered)
    y = known(y, [*outer, *ones, *extents])
    y = b.squeeze(y, [2]) if line else y
    if direct:
        return y
    y = b.pad(y, [(0, 0), (0, 0), *((-p, -q) for p, q in zip(before, after, strict=True))])
    return y if bias is None else b.nnef.add(y, b.unsqueeze(bias, [0]))
