"""NNEF's quantization file to ONNX: QuantizeLinear and DequantizeLinear.

Quantized variables keep their integer codes; results of operations are rounded to codes and back where they are made.
Linear quantization maps if its zero point is an integer. The engine computes any other quantization by the definition
of the quantizing operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ....language.attributes import MAX_BITS
from ....model import Operation, Tensor
from ....model.dtypes import integer_range
from ...building.quantized import QuantizedArray
from ...building.target import Array, known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape

# (bits, sign) -> type of codes, and the first operator set that has it
CODES: Mapping[tuple[int, bool], tuple[Any, int]] = {
    (2, True): (ml_dtypes.int2, 25),
    (2, False): (ml_dtypes.uint2, 25),
    (4, True): (ml_dtypes.int4, 21),
    (4, False): (ml_dtypes.uint4, 21),
    (8, True): (np.int8, 10),
    (8, False): (np.uint8, 10),
    (16, True): (np.int16, 21),
    (16, False): (np.uint16, 21),
}

WHOLE = 1e-5
"""The largest distance of a zero point from an integer: the effect of rounding `min` and `max` to float32."""


@dataclass(frozen=True)
class Linear:
    """value = (code - zero) * scale with codes from low to high, stored as dtype. axis: None if per tensor."""

    scale: Array
    zero: Array
    low: int
    high: int
    dtype: Any
    axis: int | None


def linear(quant: Mapping[str, Any], version: int, *, constant: bool = False) -> Linear | None:
    """The quantization of a tensor in the form of ONNX in that operator set, or None.

    constant: is it for DequantizeLinear alone, which supports 32 bits, too?
    """
    name, bits = str(quant.get("op-name")), int(quant.get("bits") or 0)
    signed, symmetric = bool(quant.get("signed", False)), bool(quant.get("symmetric", False))
    if not 1 <= bits <= MAX_BITS:
        return None
    low = -(2 ** (bits - 1)) + symmetric if signed else 0
    if name == "zero_point_linear_quantize":
        scale = np.asarray(quant["scale"], np.float64)
        zero = np.asarray(quant["zero_point"], np.float64)
    elif name in ("min_max_linear_quantize", "linear_quantize"):
        first, last = (np.asarray(quant[key], np.float64) for key in ("min", "max"))
        with np.errstate(all="ignore"):
            scale = (last - first) / (2**bits - 1 - (signed and symmetric))
            zero = low - first / scale
    else:
        return None
    if not np.all(np.isfinite(zero)) or np.any(np.abs(zero - np.round(zero)) > WHOLE):
        return None
    found = _dtype(bits, signed, version, constant)
    axis = _axis(scale, zero)
    if found is None or axis == -1:
        return None
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    whole = np.round(zero).astype(np.int64)
    least, most = integer_range(found)
    if whole.size and not (least <= whole.min() and whole.max() <= most):
        return None
    if found is np.int32 and whole.any():
        return None
    scale, whole = np.broadcast_arrays(scale.astype(np.float32).reshape(-1), whole.reshape(-1))
    if axis is None:
        scale, whole = scale[:1].reshape(()), whole[:1].reshape(())
    return Linear(scale, whole, low, high, found, axis)


def narrowed(quant: Mapping[str, Any], codes: Array) -> Mapping[str, Any]:
    """The entry of constant codes; that of 32 bits for biases of 64 bits which fit, as DequantizeLinear has no more."""
    ends = np.iinfo(np.int32)
    fits = codes.size and int(codes.min()) >= ends.min and int(codes.max()) <= ends.max
    return {**quant, "bits": 32} if fits and int(quant.get("bits") or 0) > 32 else quant


def _dtype(bits: int, signed: bool, version: int, constant: bool) -> Any:
    """The narrowest type of codes that holds that many bits, None if there is none."""
    for (width, sign), (dtype, since) in CODES.items():
        if sign == signed and bits <= width and version >= since and bits > 0:
            return dtype
    return np.int32 if constant and 0 < bits <= 32 and signed else None


def _axis(*parameters: Array) -> int | None:
    """The dimension along which parameters vary; None for none, -1 for several."""
    axes = {k for p in parameters for k, extent in enumerate(p.shape) if extent != 1}
    return None if not axes else axes.pop() if len(axes) == 1 else -1


def dequantize_into(b: OnnxBuilder, array: QuantizedArray, result: Tensor) -> None:
    """Makes a constant the result of DequantizeLinear of its codes, which get its name."""
    codes = b.constant(array.codes, base=result)
    result.data = None
    scale, zero = b.constant(array.scale), b.constant(array.zero_point.astype(array.codes.dtype))
    inputs = (codes, scale) if array.codes.dtype == np.int32 else (codes, scale, zero)
    attribs = {} if array.axis is None else {"axis": array.axis}
    Operation(b.graph, type="DequantizeLinear", attribs=attribs, inputs=inputs, outputs=result)


def rounded(b: OnnxBuilder, x: Tensor, form: Linear) -> Tensor:
    """QuantizeLinear and DequantizeLinear; values are limited if the range is narrower than that of the type."""
    if (form.low, form.high) != integer_range(form.dtype):
        rank = len(shape(x))
        extents = [-1 if k == form.axis else 1 for k in range(rank)] if form.axis is not None else []
        scale, zero = form.scale.reshape(extents), form.zero.reshape(extents)
        lowest = b.constant((form.low - zero) * scale, np.float32)
        highest = b.constant((form.high - zero) * scale, np.float32)
        x = b.elementwise(b.Max, b.elementwise(b.Min, x, highest), lowest)
    return dequantized(b, quantized(b, x, form), form)


def quantized(b: OnnxBuilder, x: Tensor, form: Linear) -> Tensor:
    """The codes of x, by QuantizeLinear."""
    return known(b.QuantizeLinear(x, *_parameters(b, form), axis=form.axis), x.shape, form.dtype)


def dequantized(b: OnnxBuilder, codes: Tensor, form: Linear) -> Tensor:
    """The real values of codes, by DequantizeLinear."""
    return known(b.DequantizeLinear(codes, *_parameters(b, form), axis=form.axis), codes.shape, np.float32)


@from_nnef("onnx", "dynamic_quantize")
def dynamic_quantize(b: OnnxBuilder, x: Tensor) -> Tensor:
    """dynamic_quantize -> DynamicQuantizeLinear, DequantizeLinear; runtimes fuse products with these."""
    codes, scale, zero_point = b.DynamicQuantizeLinear(x, outputs=3)
    parameters = known(scale, (), np.float32), known(zero_point, (), np.uint8)
    return known(b.DequantizeLinear(known(codes, x.shape, np.uint8), *parameters), x.shape, np.float32)


def _parameters(b: OnnxBuilder, form: Linear) -> tuple[Tensor, Tensor]:
    """Scale and zero point, the same tensors for equal ones."""
    arrays = {"scale": form.scale, "zero point": form.zero.astype(form.dtype)}
    found = []
    for name, array in arrays.items():
        key = (name, array.dtype.name, array.shape, array.tobytes())
        if key not in b.views:
            b.views[key] = b.constant(array)
        found.append(b.views[key])
    return found[0], found[1]
