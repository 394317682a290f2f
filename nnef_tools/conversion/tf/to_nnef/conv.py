"""Convolutions and transposed convolutions in 2 and 3 dimensions; one dimension comes as two."""

from __future__ import annotations

from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, reshape, right_aligned, shape, transpose
from ...engine.rules import Ints, to_nnef
from ...maths import axis_orders
from ..common import from_channels_first, is_channels_last, spatial, to_channels_first, window_padding


def _filter(b: Builder, w: Tensor, data_format: str) -> Tensor:
    """`[spatial..., in, out]` -> `[out, in, spatial...]`."""
    rank = len(shape(w))
    if rank != len(data_format):
        raise Unsupported(f"filter of shape {shape(w)} does not fit data_format = '{data_format}'")
    return transpose(b, w, axis_orders.xcn_to_ncx_perm(rank))


def _depthwise_filter(b: Builder, w: Tensor) -> Tensor:
    """`[H, W, C, M]` -> `[C * M, 1, H, W]`."""
    height, width, depth, multiplier = shape(w)
    return reshape(b, transpose(b, w, [2, 3, 0, 1]), [depth * multiplier, 1, height, width])


def _groups(x: Tensor, w: Tensor) -> int:
    """The filter of a grouped convolution has fewer input channels than the input."""
    depth, per_group = shape(x)[1], shape(w)[1]
    if depth % per_group:
        raise Unsupported(f"{depth} channels do not divide by the {per_group} of the filter")
    return depth // per_group


def _window(
    data_format: str,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None,
    dilations: list[int] | None,
) -> dict[str, Any]:
    """The attributes of conv and deconv."""
    return {
        "stride": spatial(strides, data_format, "strides"),
        "padding": window_padding(padding, explicit_paddings, data_format),
        "dilation": spatial(dilations, data_format, "dilations"),
    }


def _conv(b: Builder, x: Tensor, w: Tensor, data_format: str, groups: int | None, window: dict[str, Any]) -> Tensor:
    x = to_channels_first(b, x, data_format)
    y = b.conv(x, w, 0.0, groups=_groups(x, w) if groups is None else groups, **window)
    return from_channels_first(b, y, data_format)


@to_nnef("tf", "Conv2D")
def conv2d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    *,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NHWC",
    dilations: list[int] | None = None,
    use_cudnn_on_gpu: bool = True,
) -> Tensor:
    """Conv2D -> conv; a filter with fewer input channels than the input makes groups."""
    window = _window(data_format, strides, padding, explicit_paddings, dilations)
    return _conv(b, x, _filter(b, w, data_format), data_format, None, window)


@to_nnef("tf", "Conv3D")
def conv3d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    *,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NDHWC",
    dilations: list[int] | None = None,
) -> Tensor:
    """Conv3D -> conv. explicit_paddings: of a dilated convolution that came in parts."""
    window = _window(data_format, strides, padding, explicit_paddings, dilations)
    return _conv(b, x, _filter(b, w, data_format), data_format, None, window)


@to_nnef("tf", "DepthwiseConv2dNative")
def depthwise_conv2d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    *,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NHWC",
    dilations: list[int] | None = None,
) -> Tensor:
    """DepthwiseConv2dNative -> conv with a group per channel."""
    window = _window(data_format, strides, padding, explicit_paddings, dilations)
    return _conv(b, x, _depthwise_filter(b, w), data_format, 0, window)


def _deconv(
    b: Builder, sizes: list[int], w: Tensor, y: Tensor, data_format: str, depthwise: bool, window: dict[str, Any]
) -> Tensor:
    """sizes: the shape of the result in the data format, or its spatial extents alone."""
    y = to_channels_first(b, y, data_format)
    if len(sizes) == len(data_format) - 2:
        extents = sizes
        depth = shape(y)[1] if depthwise else shape(w)[1]
    elif len(sizes) == len(data_format):
        extents = sizes[1:-1] if is_channels_last(data_format) else sizes[2:]
        depth = sizes[-1] if is_channels_last(data_format) else sizes[1]
    else:
        raise Unsupported(f"input_sizes {sizes} do not fit data_format = '{data_format}'")
    groups = 0 if depthwise else depth // shape(w)[1]
    x = b.deconv(y, w, 0.0, groups=groups, output_shape=[shape(y)[0], depth, *extents], **window)
    return from_channels_first(b, x, data_format)


@to_nnef("tf", "Conv2DBackpropInput")
def conv2d_backprop_input(
    b: Builder,
    input_sizes: Ints,
    w: Tensor,
    y: Tensor,
    *,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NHWC",
    dilations: list[int] | None = None,
    use_cudnn_on_gpu: bool = True,
) -> Tensor:
    """Conv2DBackpropInput -> deconv; the padding is that of the convolution which it transposes."""
    window = _window(data_format, strides, padding, explicit_paddings, dilations)
    return _deconv(b, input_sizes, _filter(b, w, data_format), y, data_format, False, window)


@to_nnef("tf", "DepthwiseConv2dNativeBackpropInput")
def depthwise_conv2d_backprop_input(
    b: Builder,
    input_sizes: Ints,
    w: Tensor,
    y: Tensor,
    *,
    strides: list[int],
    padding: str,
    explicit_paddings: list[int] | None = None,
    data_format: str = "NHWC",
    dilations: list[int] | None = None,
) -> Tensor:
    """DepthwiseConv2dNativeBackpropInput -> deconv with a group per channel."""
    window = _window(data_format, strides, padding, explicit_paddings, dilations)
    return _deconv(b, input_sizes, _depthwise_filter(b, w), y, data_format, True, window)


@to_nnef("tf", "Conv3DBackpropInputV2")
def conv3d_backprop_input(
    b: Builder,
    input_sizes: Ints,
    w: Tensor,
    y: Tensor,
    *,
    strides: list[int],
    padding: str,
    data_format: str = "NDHWC",
    dilations: list[int] | None = None,
) -> Tensor:
    """Conv3DBackpropInputV2 -> deconv."""
    window = _window(data_format, strides, padding, None, dilations)
    return _deconv(b, input_sizes, _filter(b, w, data_format), y, data_format, False, window)


@to_nnef("tf", "Conv3DBackpropInput")
def conv3d_backprop_input_like(
    b: Builder,
    like: Tensor,
    w: Tensor,
    y: Tensor,
    *,
    strides: list[int],
    padding: str,
    dilations: list[int] | None = None,
) -> Tensor:
    """Conv3DBackpropInput: a tensor gives the shape of the result."""
    window = _window("NDHWC", strides, padding, None, dilations)
    return _deconv(b, shape(like), _filter(b, w, "NDHWC"), y, "NDHWC", False, window)


@to_nnef("tf", "BiasAdd")
def bias_add(b: Builder, x: Tensor, bias: Tensor, *, data_format: str = "NHWC") -> Tensor:
    """BiasAdd -> add of `[1, ..., C]`, or `[1, C]` where channels are in second place. Any rank from 2 on."""
    if data_format == "NCHW":
        return b.add(x, channels(b, bias))
    return b.add(x, right_aligned(b, bias, len(shape(x))))


@to_nnef("tf", "BiasAddV1")
def bias_add_last(b: Builder, x: Tensor, bias: Tensor) -> Tensor:
    """BiasAddV1 -> add along the last dimension."""
    return bias_add(b, x, bias)
