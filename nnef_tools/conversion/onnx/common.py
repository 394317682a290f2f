"""What the rules of several families share: ONNX's data types, and what `building/shapes.py` has."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ...errors import Unsupported
from ..building.shapes import (
    aligned,
    all_positive,
    axes_or_all,
    channels,
    positive,
    reshape,
    right_aligned,
    shape,
    squeeze,
    transpose,
    unsqueeze,
)

__all__ = [
    "DTYPES",
    "aligned",
    "all_positive",
    "axes_or_all",
    "boundary",
    "channels",
    "dtype_code",
    "dtype_of",
    "positive",
    "reshape",
    "right_aligned",
    "shape",
    "squeeze",
    "transpose",
    "unsqueeze",
]

# TensorProto.DataType
DTYPES: dict[int, Any] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
    16: ml_dtypes.bfloat16,
    17: ml_dtypes.float8_e4m3fn,
    18: ml_dtypes.float8_e4m3fnuz,
    19: ml_dtypes.float8_e5m2,
    20: ml_dtypes.float8_e5m2fnuz,
    21: ml_dtypes.uint4,
    22: ml_dtypes.int4,
    23: ml_dtypes.float4_e2m1fn,
    25: ml_dtypes.uint2,
    26: ml_dtypes.int2,
    27: ml_dtypes.float6_e2m3fn,
    28: ml_dtypes.float6_e3m2fn,
}


def dtype_of(code: int) -> Any:
    """The numpy class of a TensorProto data type. Unsupported for strings, complex numbers and unknown codes."""
    if code not in DTYPES:
        raise Unsupported(f"data type {code} of ONNX cannot be carried by NNEF")
    return DTYPES[code]


def dtype_code(dtype: Any) -> int:
    """The TensorProto data type of a numpy class. Unsupported if ONNX has none."""
    for code, known in DTYPES.items():
        if known is dtype:
            return code
    raise Unsupported(f"ONNX has no data type for {dtype.__name__}")


def boundary(axis: int, rank: int) -> int:
    """Where an axis divides the dimensions into those before and those from it on: 0 to rank. Unsupported."""
    if not -rank <= axis <= rank:
        raise Unsupported(f"axis {axis} is out of range for rank {rank}")
    return axis + rank if axis < 0 else axis
