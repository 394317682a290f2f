"""Quantization: integer codes stand for real values, `value = (code - zero point) * scale`.

NNEF computes in reals, so codes are cast to scalars and back. Sums of products of codes are exact in float32 below
2**24; where a model may go beyond that, it is reported. Rounding is half to even, then codes are limited to their type.
Per-axis parameters have rank 1, blocked ones the rank of the tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER, integer_range, is_integer
from ...building.nnef import Builder
from ...compose.number_types import MINIFLOATS, round_half_even, round_to_minifloat
from ...engine.rules import to_nnef
from ...maths.generated import positions
from ..common import channels, dtype_of, positive, reshape, right_aligned, shape, unsqueeze
from .conv import conv
from .linear import matmul
from .qdq import dequantized_constant


def real(b: Builder, x: Tensor) -> Tensor:
    """x as a scalar tensor that is wide enough to compute in."""
    return b.cast(x, np.float32) if is_integer(x.dtype) or x.dtype in MINIFLOATS else x


def centered(b: Builder, codes: Tensor, zero_point: Tensor | None) -> Tensor:
    """Codes minus zero point, as scalars. The zero point is aligned for NNEF's broadcasting already."""
    values = real(b, codes)
    if zero_point is None or (zero_point.data is not None and not np.any(zero_point.data)):
        return values
    return b.sub(values, real(b, zero_point))


def dequantized(b: Builder, codes: Tensor, scale: Tensor, zero_point: Tensor | None) -> Tensor:
    """(codes - zero point) * scale."""
    return b.mul(centered(b, codes, zero_point), scale)


def quantized(b: Builder, values: Tensor, zero_point: Tensor | None, dtype: Any, saturate: bool = True) -> Tensor:
    """Values in units of the scale as codes: rounded half to even, moved by the zero point, limited to the type.

    saturate = False is for small floating-point types only. Their zero points are 0.
    """
    if dtype in MINIFLOATS:
        return b.cast(round_to_minifloat(b, values, dtype, saturate), dtype)
    if not is_integer(dtype):
        raise Unsupported(f"quantization to {np.dtype(dtype).name}")
    low, high = integer_range(dtype)
    rounded = round_half_even(b, values)
    if zero_point is not None and not (zero_point.data is not None and not np.any(zero_point.data)):
        rounded = b.add(rounded, real(b, zero_point))
    return b.cast(b.clamp(rounded, float(low), float(high)), dtype)


def per_tensor(b: Builder, parameter: Tensor, name: str) -> Tensor:
    """A parameter with one item as one of rank 0."""
    if parameter.volume != 1:
        raise Unsupported(f"'{name}' must have one item, got shape {shape(parameter)}")
    return reshape(b, parameter, [])


def _optional_per_tensor(b: Builder, parameter: Tensor | None, name: str) -> Tensor | None:
    return None if parameter is None else per_tensor(b, parameter, name)


def _along(b: Builder, parameter: Tensor, x: Tensor, axis: int) -> Tensor:
    """A parameter per tensor or per position of the axis, aligned with x."""
    if parameter.volume == 1:
        return reshape(b, parameter, [])
    k = positive(axis, len(shape(x)))
    if shape(parameter) != [shape(x)[k]]:
        raise Unsupported(f"parameters of shape {shape(parameter)} for axis {k} of shape {shape(x)}")
    return unsqueeze(b, parameter, range(k))


class _Blocks:
    """x and its parameters, aligned: one parameter for `size` consecutive positions of the axis."""

    def __init__(self, b: Builder, x: Tensor, axis: int, size: int) -> None:
        self.b = b
        self.original = shape(x)
        self.axis = positive(axis, len(self.original))
        self.size = size
        self.even = self.original[self.axis] % size == 0
        k, extents = self.axis, self.original
        self.x = reshape(b, x, [*extents[:k], extents[k] // size, size, *extents[k + 1 :]]) if self.even else x

    def parameter(self, p: Tensor) -> Tensor:
        """A further axis for the positions in a block; where blocks are not full, a parameter for each position."""
        k, extent = self.axis, self.original[self.axis]
        expected = [-(-extent // self.size) if j == k else n for j, n in enumerate(self.original)]
        if shape(p) != expected:
            raise Unsupported(f"parameters of shape {shape(p)} for blocks of {self.size} in shape {self.original}")
        if self.even:
            return unsqueeze(self.b, p, [k + 1])
        return self.b.gather(p, self.b.constant(positions(extent) // self.size), axis=k)

    def result(self, y: Tensor) -> Tensor:
        return reshape(self.b, y, self.original)


class _Plain:
    """x with parameters per tensor or per axis."""

    def __init__(self, b: Builder, x: Tensor, axis: int) -> None:
        self.b, self.x, self.axis = b, x, axis

    def parameter(self, p: Tensor) -> Tensor:
        return _along(self.b, p, self.x, self.axis)

    def result(self, y: Tensor) -> Tensor:
        return y


def _alignment(b: Builder, x: Tensor, axis: int, block_size: int, scale: Tensor) -> _Blocks | _Plain:
    if block_size and scale.volume != 1:
        return _Blocks(b, x, axis, block_size)
    return _Plain(b, x, axis)


@to_nnef("onnx", "QuantizeLinear")
@to_nnef("onnx", "QuantizeLinear", domain="com.microsoft")
def quantize_linear(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    """QuantizeLinear: clamp(round(x / scale) + zero point). precision (of the division) is float32 or wider here."""
    if zero_point is not None:
        dtype = zero_point.dtype
    else:
        dtype = dtype_of(output_dtype) if output_dtype else np.uint8
    layout = _alignment(b, x, axis, block_size, scale)
    zero = None if zero_point is None else layout.parameter(zero_point)
    return layout.result(quantized(b, b.div(real(b, layout.x), layout.parameter(scale)), zero, dtype, bool(saturate)))


@to_nnef("onnx", "DequantizeLinear")
@to_nnef("onnx", "DequantizeLinear", domain="com.microsoft")
def dequantize_linear(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:
    """DequantizeLinear: (x - zero point) * scale; a constant that keeps its codes where x is one."""
    stored = dequantized_constant(b, x, scale, zero_point, axis, block_size)
    if stored is not None:
        return stored
    layout = _alignment(b, x, axis, block_size, scale)
    zero = None if zero_point is None else layout.parameter(zero_point)
    return layout.result(dequantized(b, layout.x, layout.parameter(scale), zero))


@to_nnef("onnx", "DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(b: Builder, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """DynamicQuantizeLinear: scale and zero point from the range of x, which is widened to contain 0.

    The scale for x = 0 everywhere, which the specification leaves open, is 1 as in onnxruntime.
    """
    axes = list(range(len(shape(x))))
    low = b.min(b.squeeze(b.min_reduce(x, axes=axes), axes=axes), 0.0)
    high = b.max(b.squeeze(b.max_reduce(x, axes=axes), axes=axes), 0.0)
    span = b.sub(high, low)
    scale = b.select(b.eq(span, 0.0), 1.0, b.div(span, 255.0))
    zero_point = quantized(b, b.neg(b.div(low, scale)), None, np.uint8)
    return quantized(b, b.div(x, scale), zero_point, np.uint8), scale, zero_point


# products of codes


def _magnitude(codes: Tensor, zero_point: Tensor | None) -> int:
    """The largest |code - zero point| that the types allow."""
    low, high = integer_range(codes.dtype)
    if zero_point is None:
        zeros = [0]
    elif zero_point.data is not None:
        zeros = [int(np.min(zero_point.data)), int(np.max(zero_point.data))]
    else:
        zeros = [low, high]
    return max(high - min(zeros), max(zeros) - low)


def _check_exact(b: Builder, name: str, x: int, w: Tensor, w_zero: Tensor | None, reduced: tuple[int, ...]) -> None:
    """Reports sums of products that may reach 2**24. x: the magnitude of one factor; reduced: axes of w summed over."""
    known = w.data is not None and (w_zero is None or w_zero.data is not None)
    if known:
        offset = 0 if w_zero is None or w_zero.data is None else np.asarray(w_zero.data, np.int64)
        weights = np.asarray(w.data).astype(np.int64)
        total = int(np.max(np.sum(np.abs(weights) + np.max(np.abs(offset)), axis=reduced), initial=0))
    else:
        total = _magnitude(w, w_zero) * int(np.prod([shape(w)[k] for k in reduced]))
    if x * total >= MAX_EXACT_INTEGER:
        b.rounded.add(name)


def _integer_conv(
    b: Builder, x: Tensor, w: Tensor, x_zero: Tensor | None, w_zero: Tensor | None, attributes: dict[str, Any]
) -> Tensor:
    """The sums of products of a convolution, as scalars. Padding stands for the real value 0."""
    x_zero = _optional_per_tensor(b, x_zero, "x_zero_point")
    if w_zero is not None and w_zero.volume == 1:
        w_zero = reshape(b, w_zero, [])
    _check_exact(b, "conv", _magnitude(x, x_zero), w, w_zero, tuple(range(1, len(shape(w)))))
    return conv(b, centered(b, x, x_zero), centered(b, w, w_zero), **attributes)


def rows(b: Builder, p: Tensor, rank: int) -> Tensor:
    """A parameter per tensor or per row of matrices of that rank."""
    if p.volume == 1:
        return reshape(b, p, [])
    return unsqueeze(b, p, range(rank - 2)) if len(shape(p)) == 1 else right_aligned(b, p, rank)


def columns(b: Builder, p: Tensor, rank: int) -> Tensor:
    """A parameter per tensor or per column of matrices of that rank."""
    if p.volume == 1:
        return reshape(b, p, [])
    return right_aligned(b, p, rank)


def integer_matmul(b: Builder, x: Tensor, y: Tensor, x_zero: Tensor | None, y_zero: Tensor | None) -> Tensor:
    """The sums of products of a matrix product, as scalars."""
    row_zero = None if x_zero is None else rows(b, x_zero, len(shape(x)))
    column_zero = None if y_zero is None else columns(b, y_zero, len(shape(y)))
    if is_integer(x.dtype):
        _check_exact(b, "matmul", _magnitude(x, x_zero), y, y_zero, (max(len(shape(y)) - 2, 0),))
    return matmul(b, centered(b, x, row_zero), centered(b, y, column_zero))


@to_nnef("onnx", "ConvInteger", since=10)
def conv_integer(
    b: Builder,
    x: Tensor,
    w: Tensor,
    x_zero_point: Tensor | None = None,
    w_zero_point: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ConvInteger: conv of the codes minus their zero points."""
    attributes = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "kernel_shape": kernel_shape,
                  "pads": pads, "strides": strides}  # fmt: skip
    return b.cast(_integer_conv(b, x, w, x_zero_point, w_zero_point, attributes), np.int32)


@to_nnef("onnx", "MatMulInteger", since=10)
def matmul_integer(
    b: Builder, x: Tensor, y: Tensor, x_zero_point: Tensor | None = None, y_zero_point: Tensor | None = None
) -> Tensor:
    """MatMulInteger: matmul of the codes minus their zero points."""
    return b.cast(integer_matmul(b, x, y, x_zero_point, y_zero_point), np.int32)


@to_nnef("onnx", "QLinearConv", since=10)
def qlinear_conv(
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
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """QLinearConv: conv of the codes minus their zero points plus bias, times x_scale * w_scale / y_scale."""
    attributes = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "kernel_shape": kernel_shape,
                  "pads": pads, "strides": strides, "bias": None if bias is None else real(b, bias)}  # fmt: skip
    sums = _integer_conv(b, x, w, x_zero_point, w_zero_point, attributes)
    w_scale = channels(b, w_scale) if w_scale.volume != 1 else reshape(b, w_scale, [])
    factor = b.mul(per_tensor(b, x_scale, "x_scale"), w_scale)
    factor = b.div(factor, per_tensor(b, y_scale, "y_scale"))
    zero = per_tensor(b, y_zero_point, "y_zero_point")
    return quantized(b, b.mul(sums, factor), zero, y_zero_point.dtype)


@to_nnef("onnx", "QLinearMatMul", since=10)
def qlinear_matmul(
    b: Builder,
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    z_scale: Tensor,
    z_zero_point: Tensor,
) -> Tensor:
    """QLinearMatMul: matmul of the codes minus their zero points, times x_scale * y_scale / z_scale."""
    sums = integer_matmul(b, x, y, x_zero_point, y_zero_point)
    rank = len(shape(sums))
    factor = b.mul(rows(b, x_scale, rank), columns(b, y_scale, rank))
    factor = b.div(factor, rows(b, z_scale, rank))
    return quantized(b, b.mul(sums, factor), rows(b, z_zero_point, rank), z_zero_point.dtype)
