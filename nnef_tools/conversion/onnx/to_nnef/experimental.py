"""Operators that ONNX had as experimental ones, which onnxruntime still runs: converters of Core ML wrote them."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import slice_axes
from ...engine.rules import Ints, to_nnef
from ..common import channels, shape


@to_nnef("onnx", "Affine")
def affine(b: Builder, x: Tensor, *, alpha: float = 1.0, beta: float = 0.0) -> Tensor:
    """Affine: alpha * x + beta."""
    return b.add(b.mul(x, alpha), beta)


@to_nnef("onnx", "ParametricSoftplus")
def parametric_softplus(b: Builder, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """ParametricSoftplus: alpha * log(exp(beta * x) + 1)."""
    return b.mul(b.softplus(b.mul(x, beta)), alpha)


@to_nnef("onnx", "ScaledTanh")
def scaled_tanh(b: Builder, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """ScaledTanh: alpha * tanh(beta * x)."""
    return b.mul(b.tanh(b.mul(x, beta)), alpha)


@to_nnef("onnx", "Scale")
def scale_of(b: Builder, x: Tensor, *, scale: float = 1.0) -> Tensor:
    """Scale: scale * x."""
    return b.mul(x, scale)


@to_nnef("onnx", "ImageScaler")
def image_scaler(b: Builder, x: Tensor, *, bias: list[float], scale: float = 1.0) -> Tensor:
    """ImageScaler: scale * x + bias, which has a number for each channel."""
    if len(bias) != shape(x)[1]:
        raise Unsupported(f"{len(bias)} biases for {shape(x)[1]} channels")
    moved = channels(b, b.constant(np.asarray(bias, np.float32)))
    return b.add(b.mul(x, scale) if scale != 1.0 else x, moved)


@to_nnef("onnx", "Crop")
def crop(b: Builder, x: Tensor, *, border: list[int], scale: list[int] | None = None) -> Tensor:
    """Crop: the image without borders (left, top, right, bottom); or `scale` (height, width) from left and top on."""
    if len(border) != 4 or len(shape(x)) != 4 or (scale and len(scale) != 2):
        raise Unsupported(f"border {border} and scale {scale} of shape {shape(x)}")
    (height, width), (left, top, right, bottom) = shape(x)[2:], border
    ends = [top + scale[0], left + scale[1]] if scale else [height - bottom, width - right]
    if not (0 <= top < ends[0] <= height and 0 <= left < ends[1] <= width):
        raise Unsupported(f"border {border} and scale {scale} leave the image of shape {shape(x)}")
    return slice_axes(b, x, [top, left], ends, [2, 3], [1, 1])


@to_nnef("onnx", "DynamicSlice")
def dynamic_slice(b: Builder, x: Tensor, starts: Ints, ends: Ints, axes: Ints | None = None) -> Tensor:
    """DynamicSlice: Slice of version 10 without steps."""
    return slice_axes(b, x, starts, ends, axes or range(len(starts)), [1] * len(starts))
