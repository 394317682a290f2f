"""QUANTIZE and DEQUANTIZE: the same real numbers, rounded as the entry of the result says, if it has one."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef


@to_nnef("tflite", "QUANTIZE", "DEQUANTIZE")
def quantize(b: Builder, x: Tensor) -> Tensor:
    """The tensor itself; that of float16 becomes float32."""
    return b.cast(x, np.float32)
