"""QUANTIZE and DEQUANTIZE: the same real numbers, rounded as the entry of the result says, if it has one."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef


@to_nnef("tflite", "QUANTIZE", "DEQUANTIZE")
def quantize(b: Builder, x: Tensor) -> Tensor:
    """The tensor itself, since NNEF's scalar has no width: a constant of float16 stays one."""
    return x
