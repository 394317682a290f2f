"""Caffe2's data types, and the operators that give blobs their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

DATA_TYPES: Mapping[int, Any] = {
    1: np.float32,
    2: np.int32,
    3: np.uint8,  # BYTE
    4: np.str_,
    5: np.bool_,
    6: np.uint8,
    7: np.int8,
    8: np.uint16,
    9: np.int16,
    10: np.int64,
    12: np.float16,
    13: np.float64,
}
"""TensorProto.DataType (caffe2.proto) -> class of items."""

DATA_TYPE_NAMES: Mapping[str, int] = {
    "FLOAT": 1,
    "INT32": 2,
    "BYTE": 3,
    "STRING": 4,
    "BOOL": 5,
    "UINT8": 6,
    "INT8": 7,
    "UINT16": 8,
    "INT16": 9,
    "INT64": 10,
    "FLOAT16": 12,
    "DOUBLE": 13,
}
"""Name of a data type, as arguments may have it -> its number."""

CODES: Mapping[Any, int] = {dtype: code for code, dtype in DATA_TYPES.items() if code != 3}
"""Class of items -> the data type."""

GIVEN: Mapping[str, Any] = {
    "GivenTensorFill": np.float32,
    "GivenTensorDoubleFill": np.float64,
    "GivenTensorIntFill": np.int32,
    "GivenTensorInt64Fill": np.int64,
    "GivenTensorInt16Fill": np.int16,
    "GivenTensorBoolFill": np.bool_,
    "GivenTensorStringFill": np.str_,
    "GivenTensorByteStringToUInt8Fill": np.uint8,
    "Int8GivenTensorFill": np.uint8,
    "Int8GivenIntTensorFill": np.int32,
}
"""Operators that give a blob the values of their argument -> class of its items."""

FILLERS: Mapping[Any, str] = {
    dtype: type for type, dtype in GIVEN.items() if not type.startswith("Int8") and dtype not in (np.str_, np.uint8)
}
"""Class of items -> the operator that gives a blob such values."""
