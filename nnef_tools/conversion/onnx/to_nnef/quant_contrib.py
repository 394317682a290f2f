"""Operators of the com.microsoft domain on quantized tensors: dequantize, compute in reals, quantize."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ..common import aligned, positive, right_aligned, shape, transpose
from .activation import leaky_relu, softmax
from .attention import attend_joined
from .channels_last import channels_first
from .channels_last import channels_last as with_channels_last
from .elementwise import where
from .microsoft import embed_layer_normalization
from .move import concat
from .pool import average_pool
from .quant import (
    columns,
    dequantized,
    dynamic_quantize_linear,
    integer_matmul,
    per_tensor,
    qlinear_conv,
    quantized,
    rows,
)

MICROSOFT = "com.microsoft"


def _value(b: Builder, x: Tensor, scale: Tensor, zero_point: Tensor | None) -> Tensor:
    """The real values of codes with one scale and zero point."""
    zero = None if zero_point is None else per_tensor(b, zero_point, "zero_point")
    return dequantized(b, x, per_tensor(b, scale, "scale"), zero)


def _codes(b: Builder, values: Tensor, scale: Tensor, zero_point: Tensor | None, dtype: type | None) -> Tensor:
    """Real values as codes of the zero point's type, else of `dtype`."""
    zero = None if zero_point is None else per_tensor(b, zero_point, "zero_point")
    chosen = dtype if zero_point is None else zero_point.dtype
    return quantized(b, b.div(values, per_tensor(b, scale, "scale")), zero, chosen)


@to_nnef("onnx", "QLinearAdd", domain=MICROSOFT)
def qlinear_add(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor | None,
    z_scale: Tensor,
    z_zero_point: Tensor | None = None,
) -> Tensor:
    """QLinearAdd: the sum of the values of two tensors."""
    total = b.add(*aligned(b, _value(b, x, x_scale, x_zero_point), _value(b, y, y_scale, y_zero_point)))
    return _codes(b, total, z_scale, z_zero_point, x.dtype)


@to_nnef("onnx", "QLinearMul", domain=MICROSOFT)
def qlinear_mul(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor | None,
    z_scale: Tensor,
    z_zero_point: Tensor | None = None,
) -> Tensor:
    """QLinearMul: the product of the values of two tensors."""
    product = b.mul(*aligned(b, _value(b, x, x_scale, x_zero_point), _value(b, y, y_scale, y_zero_point)))
    return _codes(b, product, z_scale, z_zero_point, x.dtype)


@to_nnef("onnx", "QLinearSigmoid", domain=MICROSOFT)
def qlinear_sigmoid(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
) -> Tensor:
    """QLinearSigmoid: sigmoid of the values."""
    return _codes(b, b.sigmoid(_value(b, x, x_scale, x_zero_point)), y_scale, y_zero_point, x.dtype)


@to_nnef("onnx", "QLinearLeakyRelu", domain=MICROSOFT)
def qlinear_leaky_relu(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    *,
    alpha: float = 0.01,
) -> Tensor:
    """QLinearLeakyRelu: leaky_relu of the values."""
    return _codes(b, leaky_relu(b, _value(b, x, x_scale, x_zero_point), alpha=alpha), y_scale, y_zero_point, x.dtype)


@to_nnef("onnx", "QLinearSoftmax", domain=MICROSOFT)
def qlinear_softmax(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor,
    *,
    axis: int = -1,
    opset: int,
) -> Tensor:
    """QLinearSoftmax: softmax of the values, over the axes that Softmax of the given opset has."""
    version, b.version = b.version, opset
    values = softmax(b, _value(b, x, x_scale, x_zero_point), axis=axis)
    b.version = version
    return _codes(b, values, y_scale, y_zero_point, x.dtype)


@to_nnef("onnx", "QLinearConv", domain=MICROSOFT)
def qlinear_conv_of_layout(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero_point: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    channels_last: int = 0,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """QLinearConv: that of the default domain, also with channels last in input and result."""
    x = channels_first(b, x) if channels_last else x
    y = qlinear_conv(b, x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias,
                     auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
                     strides=strides)  # fmt: skip
    return with_channels_last(b, y) if channels_last else y


@to_nnef("onnx", "QLinearAveragePool", domain=MICROSOFT)
def qlinear_average_pool(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """QLinearAveragePool: average_pool of the values."""
    values = _value(b, x, x_scale, x_zero_point)
    values = channels_first(b, values) if channels_last else values
    pooled = average_pool(b, values, kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
                          count_include_pad=count_include_pad, pads=pads, strides=strides)  # fmt: skip
    y = _codes(b, pooled, y_scale, y_zero_point, x.dtype)
    return with_channels_last(b, y) if channels_last else y


@to_nnef("onnx", "QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_global_average_pool(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    *,
    channels_last: int = 0,
) -> Tensor:
    """QLinearGlobalAveragePool: the mean of the values over the spatial axes."""
    rank = len(shape(x))
    axes = list(range(1, rank - 1) if channels_last else range(2, rank))
    mean = b.mean_reduce(_value(b, x, x_scale, x_zero_point), axes=axes)
    return _codes(b, mean, y_scale, y_zero_point, x.dtype)


@to_nnef("onnx", "QLinearConcat", domain=MICROSOFT)
def qlinear_concat(b: Builder, y_scale: Tensor, y_zero_point: Tensor, *inputs: Tensor, axis: int) -> Tensor:
    """QLinearConcat: the operands (tensor, scale, zero point each) with the scale and zero point of the result."""
    if len(inputs) % 3:
        raise Unsupported(f"{len(inputs)} inputs are not triples of tensor, scale and zero point")
    values = [_value(b, *inputs[k : k + 3]) for k in range(0, len(inputs), 3)]
    return _codes(b, concat(b, *values, axis=axis), y_scale, y_zero_point, None)


@to_nnef("onnx", "QLinearWhere", domain=MICROSOFT)
def qlinear_where(
    b: Builder,
    condition: Tensor,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    z_scale: Tensor,
    z_zero_point: Tensor,
) -> Tensor:
    """QLinearWhere: the values of x where the condition holds, else those of y."""
    values = where(b, condition, _value(b, x, x_scale, x_zero_point), _value(b, y, y_scale, y_zero_point))
    return _codes(b, values, z_scale, z_zero_point, None)


@to_nnef("onnx", "QLinearReduceMean", domain=MICROSOFT)
def qlinear_reduce_mean(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    *,
    axes: list[int],
    keepdims: int = 1,
) -> Tensor:
    """QLinearReduceMean: the mean of the values over the axes."""
    axes = [positive(axis, len(shape(x))) for axis in axes]
    mean = b.mean_reduce(_value(b, x, x_scale, x_zero_point), axes=axes)
    return _codes(b, mean if keepdims else b.squeeze(mean, axes=axes), y_scale, y_zero_point, x.dtype)


@to_nnef("onnx", "QGemm", domain=MICROSOFT)
def qgemm(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    c: Tensor | None = None,
    z_scale: Tensor | None = None,
    z_zero_point: Tensor | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """QGemm: alpha * A * B + C on codes, C in units of alpha * the scales; real without a result scale."""
    x, y = (transpose(b, t, [1, 0]) if swap else t for t, swap in ((x, transA), (y, transB)))
    sums = integer_matmul(b, x, y, x_zero_point, y_zero_point)
    if c is not None:
        sums = b.add(sums, right_aligned(b, b.cast(c, np.float32), 2))
    factor = b.mul(b.mul(per_tensor(b, x_scale, "a_scale"), columns(b, y_scale, 2)), alpha)
    if z_scale is None or z_zero_point is None:
        return b.mul(sums, factor)
    factor = b.div(factor, per_tensor(b, z_scale, "y_scale"))
    return quantized(b, b.mul(sums, factor), per_tensor(b, z_zero_point, "y_zero_point"), z_zero_point.dtype)


@to_nnef("onnx", "MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(
    b: Builder,
    x: Tensor,
    y: Tensor,
    x_scale: Tensor,
    y_scale: Tensor,
    x_zero_point: Tensor | None = None,
    y_zero_point: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """MatMulIntegerToFloat: the sums of products of codes times both scales, plus bias."""
    sums = integer_matmul(b, x, y, x_zero_point, y_zero_point)
    rank = len(shape(sums))
    z = b.mul(sums, b.mul(rows(b, x_scale, rank), columns(b, y_scale, rank)))
    return z if bias is None else b.add(z, right_aligned(b, bias, rank))


@to_nnef("onnx", "DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(
    b: Builder,
    x: Tensor,
    y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """DynamicQuantizeMatMul: DynamicQuantizeLinear of the left operand, then MatMulIntegerToFloat."""
    codes, scale, zero_point = dynamic_quantize_linear(b, x)
    return matmul_integer_to_float(b, codes, y, scale, y_scale, zero_point, y_zero_point, bias)


@to_nnef("onnx", "QAttention", domain=MICROSOFT)
def qattention(
    b: Builder,
    x: Tensor,
    weights: Tensor,
    bias: Tensor,
    x_scale: Tensor,
    weights_scale: Tensor,
    mask_index: Tensor | None = None,
    x_zero_point: Tensor | None = None,
    weights_zero_point: Tensor | None = None,
    past: Tensor | None = None,
    *,
    num_heads: int,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    past_present_share_buffer: int = 0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """QAttention: Attention whose query, key and value come from a product of codes."""
    if do_rotary or past_present_share_buffer:
        raise Unsupported("rotary embedding inside the operator, or a buffer shared by past and present")
    joined = matmul_integer_to_float(b, x, weights, x_scale, weights_scale, x_zero_point, weights_zero_point, bias)
    return attend_joined(
        b, joined, mask_index, past, num_heads=num_heads, masked=mask_filter_value, scale=scale,
        unidirectional=bool(unidirectional),
    )  # fmt: skip


@to_nnef("onnx", "QEmbedLayerNormalization", domain=MICROSOFT)
def qembed_layer_normalization(
    b: Builder,
    input_ids: Tensor,
    segment_ids: Tensor | None,
    words: Tensor,
    positions: Tensor,
    segments: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mask: Tensor | None,
    *parameters: Tensor,
    epsilon: float = 1e-12,
) -> tuple[Tensor, Tensor]:
    """QEmbedLayerNormalization: EmbedLayerNormalization of codes; five scales, then five zero points follow them."""
    codes = (words, positions, segments, gamma, beta)
    tables = [
        None if x is None else _value(b, x, scale, zero)
        for x, scale, zero in zip(codes, parameters[:5], parameters[5:], strict=True)
    ]
    word, position, segment, scales, offsets = tables
    assert word is not None and position is not None and scales is not None and offsets is not None
    return embed_layer_normalization(
        b, input_ids, segment_ids, word, position, segment, scales, offsets, mask, epsilon=epsilon
    )[:2]
