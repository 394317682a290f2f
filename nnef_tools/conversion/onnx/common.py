"""Common parts of the rules for ONNX: data types, and the functions of `building/shapes.py`."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ...dialects.onnx.types import ELEMENT_TYPES, STRING, find_data_type
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

DTYPES: dict[int, Any] = {
    code: element.dtype
    for code, element in ELEMENT_TYPES.items()
    if code != STRING and np.dtype(element.dtype).kind != "c" and element.dtype is not ml_dtypes.float8_e8m0fnu
}
"""TensorProto.DataType -> class, of the types that models can be computed in. Float8_e8m0fnu is not among them: its
rounding to powers of two has no equivalent, only values of that type can be read."""


def dtype_of(code: int) -> Any:
    """The numpy class of a TensorProto data type. Unsupported for strings, complex numbers and unknown codes."""
    if code not in DTYPES:
        raise Unsupported(f"data type {code} of ONNX cannot be carried by NNEF")
    return DTYPES[code]


def dtype_code(dtype: Any) -> int:
    """The TensorProto data type of a numpy class. Unsupported if ONNX has none."""
    code = find_data_type(dtype)
    if code is None:
        raise Unsupported(f"ONNX has no data type for {dtype.__name__}")
    return code


def boundary(axis: int, rank: int) -> int:
    """The number of dimensions before an axis that divides a shape in two: 0 to rank. Unsupported."""
    if not -rank <= axis <= rank:
        raise Unsupported(f"axis {axis} is out of range for rank {rank}")
    return axis + rank if axis < 0 else axis
