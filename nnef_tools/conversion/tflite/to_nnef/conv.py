"""Convolutions and transposed convolutions."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, transpose
from ...engine.rules import Ints, to_nnef
from ...maths import axis_orders
from ...tf.common import from_channels_first, to_channels_first, window_padding


def _bias(b: Builder, bias: Tensor | None) -> Tensor | float:
    return 0.0 if bias is None else reshape(b, bias, [1, shape(bias)[0]])


@to_nnef("tflite", "CONV_2D")
def conv_2d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    padding: str,
    stride_h: int,
    stride_w: int,
    dilation_h_factor: int = 1,
    dilation_w_factor: int = 1,
    quantized_bias_type: int = 0,
) -> Tensor:
    """CONV_2D -> conv. The filter is `[out, H, W, in]`; one with fewer channels than the input makes groups."""
    depth, per_group = shape(x)[-1], shape(w)[-1]
    if depth % per_group:
        raise Unsupported(f"{depth} channels do not divide by the {per_group} of the filter")
    filter = transpose(b, w, axis_orders.nxc_to_ncx_perm(4))
    y = b.conv(
        to_channels_first(b, x, "NHWC"),
        filter,
        _bias(b, bias),
        padding=window_padding(padding, None, "NHWC"),
        stride=[stride_h, stride_w],
        dilation=[dilation_h_factor, dilation_w_factor],
        groups=depth // per_group,
    )
    return from_channels_first(b, y, "NHWC")


@to_nnef("tflite", "DEPTHWISE_CONV_2D")
def depthwise_conv_2d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    padding: str,
    stride_h: int,
    stride_w: int,
    depth_multiplier: int,
    dilation_h_factor: int = 1,
    dilation_w_factor: int = 1,
) -> Tensor:
    """DEPTHWISE_CONV_2D -> conv with a group per channel. The filter is `[1, H, W, channels * multiplier]`."""
    filter = transpose(b, w, [3, 0, 1, 2])
    y = b.conv(
        to_channels_first(b, x, "NHWC"),
        filter,
        _bias(b, bias),
        padding=window_padding(padding, None, "NHWC"),
        stride=[stride_h, stride_w],
        dilation=[dilation_h_factor, dilation_w_factor],
        groups=0,
    )
    return from_channels_first(b, y, "NHWC")


@to_nnef("tflite", "TRANSPOSE_CONV")
def transpose_conv(
    b: Builder,
    sizes: Ints,
    w: Tensor,
    y: Tensor,
    bias: Tensor | None = None,
    *,
    padding: str,
    stride_h: int,
    stride_w: int,
    quantized_bias_type: int = 0,
) -> Tensor:
    """TRANSPOSE_CONV -> deconv. The filter is `[out, H, W, in]`, `sizes` the shape of the result."""
    x = b.deconv(
        to_channels_first(b, y, "NHWC"),
        transpose(b, w, [3, 0, 1, 2]),
        _bias(b, bias),
        padding=window_padding(padding, None, "NHWC"),
        stride=[stride_h, stride_w],
        output_shape=[shape(y)[0], sizes[3], sizes[1], sizes[2]],
    )
    return from_channels_first(b, x, "NHWC")


@to_nnef("tflite", "CONV_3D")
def conv_3d(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    padding: str,
    stride_d: int,
    stride_h: int,
    stride_w: int,
    dilation_d_factor: int = 1,
    dilation_h_factor: int = 1,
    dilation_w_factor: int = 1,
) -> Tensor:
    """CONV_3D -> conv. The filter is `[D, H, W, in, out]`."""
    y = b.conv(
        to_channels_first(b, x, "NDHWC"),
        transpose(b, w, axis_orders.xcn_to_ncx_perm(5)),
        _bias(b, bias),
        padding=window_padding(padding, None, "NDHWC"),
        stride=[stride_d, stride_h, stride_w],
        dilation=[dilation_d_factor, dilation_h_factor, dilation_w_factor],
        groups=shape(x)[-1] // shape(w)[-2],
    )
    return from_channels_first(b, y, "NDHWC")


@to_nnef("tflite", "CONV_3D_TRANSPOSE")
def conv_3d_transpose(
    b: Builder,
    sizes: Ints,
    w: Tensor,
    y: Tensor,
    bias: Tensor | None = None,
    *,
    padding: str,
    stride_d: int,
    stride_h: int,
    stride_w: int,
    dilation_d_factor: int = 1,
    dilation_h_factor: int = 1,
    dilation_w_factor: int = 1,
) -> Tensor:
    """CONV_3D_TRANSPOSE -> deconv. The filter is `[D, H, W, out, in]`, `sizes` the shape of the result."""
    x = b.deconv(
        to_channels_first(b, y, "NDHWC"),
        transpose(b, w, axis_orders.xcn_to_ncx_perm(5)),
        _bias(b, bias),
        padding=window_padding(padding, None, "NDHWC"),
        stride=[stride_d, stride_h, stride_w],
        dilation=[dilation_d_factor, dilation_h_factor, dilation_w_factor],
        output_shape=[shape(y)[0], sizes[4], *sizes[1:4]],
    )
    return from_channels_first(b, x, "NDHWC")
