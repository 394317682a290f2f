"""Convolutions, transposed ones, and windows as columns."""

from __future__ import annotations

import math
from functools import wraps
from typing import Any

import numpy as np

from ....errors import InvalidOperator
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...building.shapes import channels, positive, reshape, shape
from ...engine.rules import to_nnef
from ...maths.generated import filled


def extents(
    values: list[int] | None, height: int | None, width: int | None, count: int, default: int | None, name: str
) -> list[int]:
    """A value for each spatial axis: from a list of one or all of them, or from the two for height and width."""
    if height is not None or width is not None:
        if values or count != 2:
            raise InvalidOperator(f"{name} is given in two ways, or for height and width of {count} spatial axes")
        pair = [default if value is None else value for value in (height, width)]
        if None in pair:
            raise InvalidOperator(f"{name} is given for one of height and width only")
        return [int(value) for value in pair if value is not None]
    given = list(values or ([] if default is None else [default]))
    if len(given) not in (1, count):
        raise InvalidOperator(f"{name} {given} does not fit {count} spatial axes" if given else f"{name} is missing")
    return given * count if len(given) == 1 else given


def _window(count: int, fields: dict[str, Any]) -> Window:
    """The window of a convolution over that many spatial axes."""
    size = extents(fields["kernel_size"], fields["kernel_h"], fields["kernel_w"], count, None, "kernel_size")
    stride = extents(fields["stride"], fields["stride_h"], fields["stride_w"], count, 1, "stride")
    pad = extents(fields["pad"], fields["pad_h"], fields["pad_w"], count, 0, "pad")
    dilation = extents(fields["dilation"], None, None, count, 1, "dilation")
    if min(*size, *stride, *dilation) < 1:
        raise InvalidOperator(f"kernel {size}, stride {stride} and dilation {dilation} must be positive")
    return Window(size, "constant", [(p, p) for p in pad], stride, dilation)


def _check(w: Tensor, bias: Tensor | None, expected: list[int], num_output: int) -> None:
    if shape(w) != expected:
        raise InvalidOperator(f"its weights have shape {shape(w)}, but input and parameters ask for {expected}")
    if bias is not None and shape(bias) != [num_output]:
        raise InvalidOperator(f"its bias has shape {shape(bias)}, but num_output is {num_output}")


def _convolved(
    b: Builder, x: Tensor, w: Tensor, bias: Tensor | None, transposed: bool, fields: dict[str, Any]
) -> Tensor:
    """A convolution or its transpose. Axes before that of the channels are taken as one."""
    own, group, num_output = shape(x), fields["group"], fields["num_output"]
    axis = positive(fields["axis"], len(own))
    window = _window(len(own) - axis - 1, fields)
    width = own[axis]
    if group < 1 or width % group or num_output < 1 or num_output % group:
        raise InvalidOperator(f"group {group} does not divide {width} channels and num_output {num_output}")
    if fields["bias_term"] != (bias is not None):
        raise InvalidOperator(f"bias_term is {fields['bias_term']}, but there are {1 if bias is None else 2} weights")
    pair = [width, num_output // group] if transposed else [num_output, width // group]
    _check(w, bias, [*pair, *window.size], num_output)
    flat = x if axis == 1 else reshape(b, x, [math.prod(own[:axis]), *own[axis:]])
    offset: Any = 0.0 if bias is None else channels(b, bias)
    operation = b.deconv if transposed else b.conv
    y: Tensor = operation(flat, w, offset, **window.sized(()).attributes(), groups=group)
    return y if axis == 1 else reshape(b, y, [*own[:axis], *shape(y)[1:]])


@to_nnef("caffe", "Convolution")
def convolution(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    num_output: int,
    bias_term: bool = True,
    pad: list[int] | None = None,
    kernel_size: list[int] | None = None,
    group: int = 1,
    stride: list[int] | None = None,
    pad_h: int | None = None,
    pad_w: int | None = None,
    kernel_h: int | None = None,
    kernel_w: int | None = None,
    stride_h: int | None = None,
    stride_w: int | None = None,
    axis: int = 1,
    dilation: list[int] | None = None,
) -> Tensor:
    """Convolution -> conv; the layout of the weights is the same."""
    fields = {key: value for key, value in locals().items() if key not in ("b", "x", "w", "bias")}
    return _convolved(b, x, w, bias, False, fields)


@to_nnef("caffe", "Deconvolution")
def deconvolution(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    num_output: int,
    bias_term: bool = True,
    pad: list[int] | None = None,
    kernel_size: list[int] | None = None,
    group: int = 1,
    stride: list[int] | None = None,
    pad_h: int | None = None,
    pad_w: int | None = None,
    kernel_h: int | None = None,
    kernel_w: int | None = None,
    stride_h: int | None = None,
    stride_w: int | None = None,
    axis: int = 1,
    dilation: list[int] | None = None,
) -> Tensor:
    """Deconvolution -> deconv; the layout of the weights, [in, out / group, ...], is the same."""
    fields = {key: value for key, value in locals().items() if key not in ("b", "x", "w", "bias")}
    return _convolved(b, x, w, bias, True, fields)


@to_nnef("caffe", "DepthwiseConvolution", "ConvolutionDepthwise")
@wraps(convolution)
def depthwise_convolution(b: Builder, x: Tensor, *weights: Tensor | None, **fields: Any) -> Tensor:
    return convolution(b, x, *weights, **{**fields, "group": shape(x)[1]})  # type: ignore[arg-type]


depthwise_convolution.__doc__ = "Depthwise layers of forks: a convolution with a group for each channel."


@to_nnef("caffe", "Im2col")
def im2col(
    b: Builder,
    x: Tensor,
    *,
    kernel_size: list[int] | None = None,
    pad: list[int] | None = None,
    stride: list[int] | None = None,
    dilation: list[int] | None = None,
    kernel_h: int | None = None,
    kernel_w: int | None = None,
    pad_h: int | None = None,
    pad_w: int | None = None,
    stride_h: int | None = None,
    stride_w: int | None = None,
    axis: int = 1,
) -> Tensor:
    """Im2col: the items of each window as channels, by a convolution of each channel with filters of a single 1."""
    own = shape(x)
    fields = {key: value for key, value in locals().items() if key not in ("b", "x", "own")}
    if positive(axis, len(own)) != 1:
        raise InvalidOperator(f"axis {axis}: the channels must be the second axis")
    window = _window(len(own) - 2, fields)
    count = math.prod(window.size)
    filters = filled([own[1], count, count], 0, np.float32)
    filters[:, np.arange(count), np.arange(count)] = 1
    weights = b.constant(filters.reshape(own[1] * count, 1, *window.size))
    return b.conv(x, weights, 0.0, **window.sized(()).attributes(), groups=own[1])
