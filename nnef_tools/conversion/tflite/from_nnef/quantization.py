"""NNEF's quantization to TensorFlow Lite: QUANTIZE and DEQUANTIZE around real tensors, and constants that keep codes.

optimization.tflite.integers makes operators on codes of what is between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ....model import Tensor
from ...building.quantized import LINEAR, Array, QuantizedArray
from ...building.target import known
from ..building import TfliteBuilder

ACTIVATIONS: Mapping[tuple[int, bool], Any] = {(8, True): np.int8, (8, False): np.uint8, (16, True): np.int16}
CONSTANTS: Mapping[tuple[int, bool], Any] = {
    **ACTIVATIONS,
    (4, True): ml_dtypes.int4,
    (32, True): np.int32,
    (64, True): np.int64,
}
"""(bits, sign) -> type of codes."""

MIDDLE = 128
"""What is subtracted from unsigned codes, and from their zero point, so that they become signed ones."""


def activation_form(quant: Mapping[str, Any], *, signed: bool) -> QuantizedArray | None:
    """The quantization of a computed tensor with no codes; None if TensorFlow Lite has none like it.

    signed: do unsigned codes become signed ones of the same values?
    """
    bits = int(quant.get("bits") or 0)
    dtype = ACTIVATIONS.get((bits, bool(quant.get("signed"))))
    if quant.get("op-name") != LINEAR or dtype is None or quant.get("symmetric"):
        return None
    form = _form(np.zeros((), dtype), quant)
    if form is None or form.axis is not None or (dtype is np.int16 and form.zero_point.any()):
        return None
    return _signed(form) if signed else form


def constant_form(codes: Array, quant: Mapping[str, Any], *, signed: bool) -> QuantizedArray | None:
    """A constant with its codes; None if TensorFlow Lite has no such quantization. signed: see `activation_form`."""
    dtype = CONSTANTS.get((int(quant.get("bits") or 0), bool(quant.get("signed"))))
    if quant.get("op-name") != LINEAR or dtype is None:
        return None
    form = _form(codes.astype(dtype, copy=False), quant)
    return None if form is None else _signed(form) if signed else form


def _form(codes: Array, quant: Mapping[str, Any]) -> QuantizedArray | None:
    """The codes with scale and zero point for all of the tensor or along an axis; None for other parameters."""
    scale, zero_point = np.asarray(quant["scale"], np.float32), np.asarray(quant["zero_point"], np.float64)
    if np.any(zero_point != np.round(zero_point)):
        return None
    axes = {k for item in (scale, zero_point) for k, extent in enumerate(item.shape) if extent != 1}
    if len(axes) > 1:
        return None
    scale, zero_point = np.broadcast_arrays(scale.reshape(-1), zero_point.reshape(-1).astype(np.int64))
    axis = axes.pop() if axes else None
    if axis is None and _is_per_axis(quant):  # a single channel
        axis = np.ndim(quant["scale"]) - 1
    if axis is None:
        scale, zero_point = scale[0], zero_point[0]
    return QuantizedArray(codes, np.asarray(scale), np.asarray(zero_point), axis)


def _is_per_axis(quant: Mapping[str, Any]) -> bool:
    return np.ndim(quant["scale"]) > 0


def _signed(form: QuantizedArray) -> QuantizedArray:
    if form.codes.dtype != np.uint8:
        return form
    codes = (form.codes.astype(np.int16) - MIDDLE).astype(np.int8)
    return QuantizedArray(codes, form.scale, form.zero_point - MIDDLE, form.axis)


def lite_quant(form: QuantizedArray) -> dict[str, Any]:
    """The `quant` of a tensor of the TFLite dialect."""
    if form.axis is None:
        return {"scale": float(form.scale), "zero_point": int(form.zero_point)}
    return {"scale": form.scale, "zero_point": form.zero_point, "quantized_dimension": form.axis}


def quantize(b: TfliteBuilder, x: Tensor, form: QuantizedArray) -> Tensor:
    """The codes of x: of reals, or of other codes."""
    codes = known(b.builtin("QUANTIZE", x), x.shape, form.codes.dtype.type)
    codes.quant = lite_quant(form)
    return codes


def dequantize(b: TfliteBuilder, codes: Tensor) -> Tensor:
    """The real values of codes."""
    return known(b.builtin("DEQUANTIZE", codes), codes.shape, np.float32)
