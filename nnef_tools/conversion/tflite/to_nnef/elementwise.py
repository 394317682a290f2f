"""Elementwise operators whose options differ from TensorFlow's."""

from __future__ import annotations

from typing import Any

from ....model import Tensor
from ...building.nnef import Builder
from ...compose.number_types import convert_dtype, reinterpret
from ...engine.rules import to_nnef


@to_nnef("tflite", "CAST")
def cast(b: Builder, x: Tensor, *, result_type: Any, in_data_type: Any = None, out_data_type: Any = None) -> Tensor:
    """CAST -> cast, to the type of the result."""
    return convert_dtype(b, x, result_type, saturate=False)


@to_nnef("tflite", "BITCAST")
def bitcast(b: Builder, x: Tensor, *, result_type: Any) -> Tensor:
    """BITCAST of constants, and between integers of one width."""
    return reinterpret(b, x, result_type)
