"""TensorFlow's item types and the classes that stand for them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ...errors import FormatError


class Resource(np.void):  # type: ignore[misc]
    """Item type of handles to variables, tables and the like."""


class Variant(np.void):  # type: ignore[misc]
    """Item type of lists of tensors, data sets and the like."""


class QInt8(np.void):  # type: ignore[misc]
    """TensorFlow's qint8."""


class QUInt8(np.void):  # type: ignore[misc]
    """TensorFlow's quint8."""


class QInt32(np.void):  # type: ignore[misc]
    """TensorFlow's qint32."""


class QInt16(np.void):  # type: ignore[misc]
    """TensorFlow's qint16."""


class QUInt16(np.void):  # type: ignore[misc]
    """TensorFlow's quint16."""


CODES: dict[type, type] = {QInt8: np.int8, QUInt8: np.uint8, QInt16: np.int16, QUInt16: np.uint16, QInt32: np.int32}
"""Quantized type -> the integers that its values are stored as."""

_TYPES: tuple[tuple[int, str, type], ...] = (
    (1, "float", np.float32),
    (2, "double", np.float64),
    (3, "int32", np.int32),
    (4, "uint8", np.uint8),
    (5, "int16", np.int16),
    (6, "int8", np.int8),
    (7, "string", np.str_),
    (8, "complex64", np.complex64),
    (9, "int64", np.int64),
    (10, "bool", np.bool_),
    (11, "qint8", QInt8),
    (12, "quint8", QUInt8),
    (13, "qint32", QInt32),
    (14, "bfloat16", ml_dtypes.bfloat16),
    (15, "qint16", QInt16),
    (16, "quint16", QUInt16),
    (17, "uint16", np.uint16),
    (18, "complex128", np.complex128),
    (19, "half", np.float16),
    (20, "resource", Resource),
    (21, "variant", Variant),
    (22, "uint32", np.uint32),
    (23, "uint64", np.uint64),
    (24, "float8_e5m2", ml_dtypes.float8_e5m2),
    (25, "float8_e4m3fn", ml_dtypes.float8_e4m3fn),
    (26, "float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz),
    (27, "float8_e4m3b11fnuz", ml_dtypes.float8_e4m3b11fnuz),
    (28, "float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz),
    (29, "int4", ml_dtypes.int4),
    (30, "uint4", ml_dtypes.uint4),
    (31, "int2", ml_dtypes.int2),
    (32, "uint2", ml_dtypes.uint2),
    (33, "float4_e2m1fn", ml_dtypes.float4_e2m1fn),
)

# Name as in the .proto file, in lower case and without DT_ -> number (types.proto of TensorFlow). References, used by
# graphs of TensorFlow 1 with variables, have the number of what they refer to plus 100.
_REF = 100
DATA_TYPES: dict[str, int] = {"invalid": 0}
DATA_TYPES |= {name: number for number, name, _ in _TYPES}
DATA_TYPES |= {f"{name}_ref": number + _REF for number, name, _ in _TYPES}

_CLASSES: dict[int, type] = {number: type_class for number, _, type_class in _TYPES}
_NUMBERS: dict[type, int] = {type_class: number for number, _, type_class in _TYPES}
_NUMBERS |= {np.bytes_: 7, np.object_: 7, str: 7, bytes: 7, bool: 10, int: 9, float: 1, object: 7}
_NAMES: dict[type, str] = {type_class: name for _, name, type_class in _TYPES}


def dtype_class(number: int) -> type | None:
    """The class of a DataType, of what it refers to for a reference; None for DT_INVALID. Raises FormatError."""
    base = number - _REF if number > _REF else number
    if number == 0:
        return None
    if base not in _CLASSES:
        raise FormatError(f"unknown data type {number}")
    return _CLASSES[base]


def stored_class(dtype: type) -> type:
    """The class of what values of a type are stored as: integers for quantized types, else the type itself."""
    return CODES.get(dtype, dtype)


def dtype_number(dtype: Any) -> int:
    """The DataType of a class or `np.dtype`; Python's int is int64, float is float32. Raises FormatError."""
    found = _NUMBERS.get(dtype) if isinstance(dtype, type) else None
    if found is None:
        try:
            found = _NUMBERS.get(np.dtype(dtype).type)
        except TypeError:
            found = None
    if found is None:
        raise FormatError(f"{getattr(dtype, '__name__', dtype)} is not a data type of TensorFlow")
    return found


def dtype_name(dtype: type | None) -> str:
    """TensorFlow's name of a class."""
    return _NAMES.get(dtype, getattr(dtype, "__name__", "unknown")) if dtype is not None else "unknown"
