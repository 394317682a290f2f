"""ONNX's element types and the classes that stand for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ...errors import FormatError

STRING = 8

NEWEST_OPSET = 28
"""The newest version of the standard operators that models may have."""


class ElementType(NamedTuple):
    """dtype: the class of items, np.str_ for strings. bits: of an item in raw data (of a string: of a reference).

    ir_version, opset: the versions of the file format and of the standard operators (of Cast) that the type came with,
    as far as they matter: 3 and 13 for all that are older.
    """

    dtype: type
    bits: int
    ir_version: int
    opset: int

    @property
    def itemsize(self) -> int:
        """Bytes of an item in an array, which does not pack."""
        return -(-self.bits // 8)


def _element(dtype: type, bits: int | None = None, ir_version: int = 3, opset: int = 13) -> ElementType:
    return ElementType(dtype, np.dtype(dtype).itemsize * 8 if bits is None else bits, ir_version, opset)


ELEMENT_TYPES: dict[int, ElementType] = {
    1: _element(np.float32),
    2: _element(np.uint8),
    3: _element(np.int8),
    4: _element(np.uint16),
    5: _element(np.int16),
    6: _element(np.int32),
    7: _element(np.int64),
    STRING: _element(np.str_, 64),
    9: _element(np.bool_),
    10: _element(np.float16),
    11: _element(np.float64),
    12: _element(np.uint32),
    13: _element(np.uint64),
    14: _element(np.complex64),
    15: _element(np.complex128),
    16: _element(ml_dtypes.bfloat16, ir_version=4),
    17: _element(ml_dtypes.float8_e4m3fn, ir_version=9, opset=19),
    18: _element(ml_dtypes.float8_e4m3fnuz, ir_version=9, opset=19),
    19: _element(ml_dtypes.float8_e5m2, ir_version=9, opset=19),
    20: _element(ml_dtypes.float8_e5m2fnuz, ir_version=9, opset=19),
    21: _element(ml_dtypes.uint4, 4, ir_version=10, opset=21),
    22: _element(ml_dtypes.int4, 4, ir_version=10, opset=21),
    23: _element(ml_dtypes.float4_e2m1fn, 4, ir_version=11, opset=23),
    24: _element(ml_dtypes.float8_e8m0fnu, ir_version=12, opset=24),
    25: _element(ml_dtypes.uint2, 2, ir_version=13, opset=25),
    26: _element(ml_dtypes.int2, 2, ir_version=13, opset=25),
    27: _element(ml_dtypes.float6_e2m3fn, 6, ir_version=14, opset=28),
    28: _element(ml_dtypes.float6_e3m2fn, 6, ir_version=14, opset=28),
}
"""TensorProto.DataType -> what is known of it (onnx.proto)."""

_CODES: dict[type, int] = {element.dtype: code for code, element in ELEMENT_TYPES.items()}
_CODES |= {np.bytes_: STRING, np.object_: STRING}


def element_type(code: int) -> ElementType:
    """What is known of a TensorProto.DataType. FormatError if it is undefined or unknown."""
    if code not in ELEMENT_TYPES:
        raise FormatError(f"unknown element type {code}", hint="a newer version of the onnx package may know it")
    return ELEMENT_TYPES[code]


def find_data_type(dtype: Any) -> int | None:
    """The TensorProto.DataType of a class or `np.dtype`, None if ONNX has none. Arrays of objects hold strings."""
    return _CODES.get(dtype if isinstance(dtype, type) else np.dtype(dtype).type)
