"""Codes and real values of quantized constants, by the entries of NNEF's quantization file, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...model.dtypes import is_integer
from ...ops.quant import dequantize, quantize

Array = np.ndarray[Any, Any]


def codes_of(data: Array, quant: Mapping[str, Any]) -> Array:
    """The codes of a quantized variable, which may hold codes or real values."""
    if is_integer(data.dtype.type):
        return data
    parameters = {key: value for key, value in quant.items() if key != "op-name" and value is not None}
    return quantize(str(quant["op-name"]), data, **parameters)


def real_values(data: Array, quant: Mapping[str, Any]) -> Array:
    """The real values of a quantized variable, as float32."""
    parameters = {key: value for key, value in quant.items() if key != "op-name" and value is not None}
    values: Array = dequantize(str(quant["op-name"]), codes_of(data, quant), **parameters)
    return values
