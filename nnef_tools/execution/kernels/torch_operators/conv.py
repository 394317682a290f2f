"""Convolutions (section 5.4) and linear algebra (section 5.9)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from .common import (
    SPATIAL_LIMIT,
    Ints,
    Operator,
    Pairs,
    Tensor,
    crop_result,
    down_window,
    extend_input,
    numpy_operator,
    pad_border,
    span,
    up_window,
)

_CONV: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
_DECONV: tuple[Callable[..., Tensor], ...] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def channel_bias(bias: Tensor | None, channels: int) -> Tensor | None:
    """One bias for each channel, from shape [1, C] (or [C], which other writers use) or a single value."""
    if bias is None:
        return None
    if bias.numel() == 1:
        return bias.reshape(1).expand(channels)
    if bias.numel() != channels or any(extent not in (1, channels) for extent in bias.shape):
        raise ShapeError(f"'bias' must have shape {[1, channels]} or be a single value, got {list(bias.shape)}")
    return bias.reshape(channels)


def conv(
    input: Tensor,
    filter: Tensor,
    bias: Tensor | None = None,
    *,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    groups: int = 1,
) -> Tensor:
    """input [B, C, X..], filter [c, C / groups, f..] -> [B, c, x..]; groups 0 means C."""
    spatial = input.dim() - 2
    if spatial > SPATIAL_LIMIT:
        return _numpy_conv(
            "conv", input, filter, bias, border=border, padding=padding, stride=stride, dilation=dilation, groups=groups
        )
    if spatial == 0:
        return conv(input[..., None], filter[..., None], bias, padding=[(0, 0)], groups=groups)[..., 0]
    padding, stride, dilation = down_window(input.shape[2:], filter.shape[2:], padding, stride, dilation)
    around = [p for p, _ in padding]
    if border != "constant" or any(p != q or p < 0 for p, q in padding):
        input = pad_border(input, [(0, 0), (0, 0), *padding], border)
        around = [0] * spatial
    return _CONV[spatial - 1](
        input,
        filter,
        channel_bias(bias, filter.shape[0]),
        stride=stride,
        padding=around,
        dilation=dilation,
        groups=groups or input.shape[1],
    )


def deconv(
    input: Tensor,
    filter: Tensor,
    bias: Tensor | None = None,
    *,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    output_shape: Ints = (),
    groups: int = 1,
) -> Tensor:
    """The transpose of conv: input [B, c, x..], filter [c, C / groups, f..] -> [B, C, X..].

    groups 0 means C: that of output_shape if given, else as many as the input has.
    """
    spatial = input.dim() - 2
    groups = groups or (output_shape[1] if output_shape else input.shape[1])
    if spatial > SPATIAL_LIMIT:
        return _numpy_conv(
            "deconv",
            input,
            filter,
            bias,
            border=border,
            padding=padding,
            stride=stride,
            dilation=dilation,
            output_shape=output_shape,
            groups=groups,
        )
    if spatial == 0:
        return deconv(input[..., None], filter[..., None], bias, padding=[(0, 0)], groups=groups)[..., 0]
    if output_shape and tuple(output_shape[:2]) != (input.shape[0], filter.shape[1] * groups):
        wanted = [input.shape[0], filter.shape[1] * groups]
        raise ShapeError(f"'output_shape' must begin with {wanted}, got {list(output_shape)}")
    size = filter.shape[2:]
    padding, stride, dilation, extents = up_window(
        input.shape[2:], size, padding, stride, dilation, list(output_shape)[2:]
    )
    channels = channel_bias(bias, filter.shape[1] * groups)
    beyond = [
        extent - ((x - 1) * s + span(f, d) - 2 * p)
        for extent, x, s, f, d, (p, _) in zip(extents, input.shape[2:], stride, size, dilation, padding, strict=True)
    ]
    run = _DECONV[spatial - 1]
    direct = all(
        p >= 0 and 0 <= more < max(s, d) for (p, _), more, s, d in zip(padding, beyond, stride, dilation, strict=True)
    )
    if direct and border == "constant":
        around = [p for p, _ in padding]
        return run(input, filter, channels, stride, around, beyond, groups, dilation)
    ones, none = [1, 1], [(0, 0), (0, 0)]
    outer = [input.shape[0], filter.shape[1] * groups]
    input, pairs = extend_input(
        input,
        [*ones, *size],
        [*none, *padding],
        [*ones, *stride],
        [*ones, *dilation],
        [*input.shape[:2], *extents],
        border,
    )
    full = run(input, filter, None, stride, 0, 0, groups, dilation)
    result = crop_result(full, pairs, [*outer, *extents])
    return result if channels is None else result + channels.reshape(-1, *[1] * spatial)


def separable_conv(
    input: Tensor,
    plane_filter: Tensor,
    point_filter: Tensor,
    bias: Tensor | None = None,
    *,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    groups: int = 1,
) -> Tensor:
    """A depth-wise convolution followed by a point-wise one."""
    planes = conv(input, plane_filter, border=border, padding=padding, stride=stride, dilation=dilation, groups=0)
    return conv(planes, point_filter, bias, groups=groups)


def separable_deconv(
    input: Tensor,
    plane_filter: Tensor,
    point_filter: Tensor,
    bias: Tensor | None = None,
    *,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    output_shape: Ints = (),
    groups: int = 1,
) -> Tensor:
    """A point-wise transposed convolution followed by a depth-wise one."""
    planes = deconv(input, point_filter, groups=groups)
    return deconv(
        planes,
        plane_filter,
        bias,
        border=border,
        padding=padding,
        stride=stride,
        dilation=dilation,
        output_shape=output_shape,
        groups=0,
    )


def _numpy_conv(name: str, input: Tensor, filter: Tensor, bias: Tensor | None, **attribs: object) -> Tensor:
    bias = torch.zeros(()) if bias is None else bias
    result: Tensor = numpy_operator(name)(input, filter, bias, **attribs)
    return result


OPERATORS: dict[str, Operator] = {
    "conv": conv,
    "deconv": deconv,
    "separable_conv": separable_conv,
    "separable_deconv": separable_deconv,
}
