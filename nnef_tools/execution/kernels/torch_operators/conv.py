"""Convolutions (section 5.4) and linear algebra (section 5.9)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops.window import PlacedWindow, Window
from .common import SPATIAL_LIMIT, Ints, Operator, Tensor, crop_result, extend_input, numpy_operator, pad_border

_CONV: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
_DECONV: tuple[Callable[..., Tensor], ...] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_POINT = Window(padding=[(0, 0)])


def channel_bias(bias: Tensor | None, channels: int) -> Tensor | None:
    """A vector with a bias for each channel, from shape [1, C], [C] (which other writers use) or a single value."""
    if bias is None:
        return None
    if bias.numel() == 1:
        return bias.reshape(1).expand(channels)
    if bias.numel() != channels or any(extent not in (1, channels) for extent in bias.shape):
        raise ShapeError(f"'bias' must have shape {[1, channels]} or be a single value, got {list(bias.shape)}")
    return bias.reshape(channels)


def conv(input: Tensor, filter: Tensor, bias: Tensor | None = None, *, window: Window, groups: int = 1) -> Tensor:
    """input [B, C, X..], filter [c, C / groups, f..] -> [B, c, x..]; groups 0 means C."""
    spatial = input.dim() - 2
    if spatial > SPATIAL_LIMIT:
        return _numpy_conv("conv", input, filter, bias, **window.attributes(), groups=groups)
    if spatial == 0:
        return conv(input[..., None], filter[..., None], bias, window=_POINT, groups=groups)[..., 0]
    placed = window.sized(filter.shape[2:]).forward(input.shape[2:])
    around = [p for p, _ in placed.padding]
    if window.border != "constant" or any(p != q or p < 0 for p, q in placed.padding):
        input = pad_border(input, [(0, 0), (0, 0), *placed.padding], window.border)
        around = [0] * spatial
    return _CONV[spatial - 1](
        input,
        filter,
        channel_bias(bias, filter.shape[0]),
        stride=placed.stride,
        padding=around,
        dilation=placed.dilation,
        groups=groups or input.shape[1],
    )


def deconv(
    input: Tensor,
    filter: Tensor,
    bias: Tensor | None = None,
    *,
    window: Window,
    output_shape: Ints = (),
    groups: int = 1,
) -> Tensor:
    """The transpose of conv: input [B, c, x..], filter [c, C / groups, f..] -> [B, C, X..].

    groups 0 means C: the channels of output_shape if given, otherwise those of the input.
    """
    spatial = input.dim() - 2
    groups = groups or (output_shape[1] if output_shape else input.shape[1])
    if spatial > SPATIAL_LIMIT:
        attribs = window.attributes()
        return _numpy_conv("deconv", input, filter, bias, **attribs, output_shape=output_shape, groups=groups)
    if spatial == 0:
        return deconv(input[..., None], filter[..., None], bias, window=_POINT, groups=groups)[..., 0]
    outer = [input.shape[0], filter.shape[1] * groups]
    if output_shape and list(output_shape[:2]) != outer:
        raise ShapeError(f"'output_shape' must begin with {outer}, got {list(output_shape)}")
    placed = window.sized(filter.shape[2:]).reverse(input.shape[2:], output_shape[2:])
    return _spread(input, filter, channel_bias(bias, outer[1]), placed, groups)


def _spread(input: Tensor, filter: Tensor, bias: Tensor | None, window: PlacedWindow, groups: int) -> Tensor:
    """deconv by torch, with a cropped result where no padding of torch yields the wanted extents."""
    run = _DECONV[len(window.size) - 1]
    around = [p for p, _ in window.padding]
    beyond = [extent - (full - 2 * p) for extent, full, p in zip(window.upscaled, window.covered, around, strict=True)]
    steps = map(max, window.stride, window.dilation)
    direct = min(around) >= 0 and all(0 <= more < step for more, step in zip(beyond, steps, strict=True))
    if direct and window.border == "constant":
        return run(input, filter, bias, window.stride, around, beyond, groups, window.dilation)
    input, window = extend_input(input, window)
    result = crop_result(run(input, filter, None, window.stride, 0, 0, groups, window.dilation), window)
    return result if bias is None else result + bias.reshape(-1, *[1] * len(window.size))


def separable_conv(
    input: Tensor,
    plane_filter: Tensor,
    point_filter: Tensor,
    bias: Tensor | None = None,
    *,
    window: Window,
    groups: int = 1,
) -> Tensor:
    """A depth-wise convolution followed by a point-wise one."""
    planes = conv(input, plane_filter, window=window, groups=0)
    return conv(planes, point_filter, bias, window=Window(), groups=groups)


def separable_deconv(
    input: Tensor,
    plane_filter: Tensor,
    point_filter: Tensor,
    bias: Tensor | None = None,
    *,
    window: Window,
    output_shape: Ints = (),
    groups: int = 1,
) -> Tensor:
    """A point-wise transposed convolution followed by a depth-wise one."""
    planes = deconv(input, point_filter, window=Window(), groups=groups)
    return deconv(planes, plane_filter, bias, window=window, output_shape=output_shape, groups=0)


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
