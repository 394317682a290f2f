"""Conversions between Python values and numpy ones."""

from __future__ import annotations

from typing import Any

import numpy as np

PyTypeFromNumpyDtype: dict[type, type] = {
    np.bool_: bool,
    np.int8: int,
    np.int16: int,
    np.int32: int,
    np.int64: int,
    np.uint8: int,
    np.uint16: int,
    np.uint32: int,
    np.uint64: int,
    np.float16: float,
    np.float32: float,
    np.float64: float,
    np.str_: str,
    np.bytes_: str,
}
"""The Python type for each numpy scalar class."""

PyTypeToNumpyDtype: dict[type, type] = {bool: np.bool_, int: np.int32, float: np.float32, str: np.str_}
"""The numpy scalar class that a Python type becomes."""


def as_str(value: bytes | str) -> str:
    """Text, decoded from UTF-8 if it is bytes."""
    return value.decode("utf-8") if isinstance(value, bytes) else value


def cast(value: Any, type: Any) -> Any:
    """Applies a type to a value, or to each item of (nested) lists and tuples."""
    if isinstance(value, list):
        return [cast(item, type) for item in value]
    if isinstance(value, tuple):
        return tuple(cast(item, type) for item in value)
    return type(value)


def from_numpy(array: Any, type: Any = None) -> Any:
    """An array as nested Python lists, one of rank 0 or a numpy scalar as a Python scalar.

    type: what items are converted to; by default the Python type that the array's dtype corresponds to.
    """
    if type is None:
        type = PyTypeFromNumpyDtype.get(array.dtype.type)
    items = array.tolist()
    return items if type is None else cast(items, as_str if type is str else type)


def to_numpy(value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A Python scalar or (nested) list as an array; an array stays one.

    dtype: of the result; by default int32, float32, bool or str by the first item, float32 if there is none.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value, dtype)
    if dtype is None:
        first = _first_item(value)
        dtype = np.float32 if first is None else PyTypeToNumpyDtype.get(type(first))
    return np.array(value, dtype)


def _first_item(value: Any) -> Any:
    while isinstance(value, (list, tuple)):
        if not value:
            return None
        value = value[0]
    return value
