"""Values of TensorProto and SparseTensorProto messages as numpy arrays, without a copy where the encoding allows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...budget import ask_constant, ask_rank
from ...dialects.onnx.types import ELEMENT_TYPES, STRING, ElementType, element_type
from ...errors import FormatError
from ..mapped import Bytes
from ..protobuf import Message
from ..protobuf.wire import packed_varints
from .storage import Storage
from .wire import THIS_FILE

Array = npt.NDArray[Any]

_EXTERNAL = 1


# Class of items -> the field where TensorProto keeps values that are not raw; int32_data for all others (onnx.proto).
_VALUE_FIELDS: dict[type, str] = {
    np.float32: "float_data",
    np.complex64: "float_data",
    np.float64: "double_data",
    np.complex128: "double_data",
    np.int64: "int64_data",
    np.uint32: "uint64_data",
    np.uint64: "uint64_data",
}

# TensorProto field -> its number, and the type of its items.
_FIELDS: dict[str, tuple[int, type]] = {
    "float_data": (4, np.float32),
    "int32_data": (5, np.int32),
    "int64_data": (7, np.int64),
    "double_data": (10, np.float64),
    "uint64_data": (11, np.uint64),
}
_RAW = 9


def element_class(data_type: int) -> type | None:
    """The numpy scalar class of a TensorProto.DataType; None for undefined. Raises FormatError for unknown ones."""
    return None if data_type == 0 else element_type(data_type).dtype


def value_field(element: ElementType) -> str:
    """The field of TensorProto that has values which are neither raw nor strings."""
    return _VALUE_FIELDS.get(element.dtype, "int32_data")


def to_array(tensor: Message, storage: Storage) -> Array:
    """The value of a tensor message: a read-only view of the storage if it is raw (or packed floats), else a new array.

    Strings give an object array of str. Raises FormatError if the data does not match type and shape; nothing is
    allocated before that is known.
    """
    try:
        return _to_array(tensor, storage)
    except FormatError as error:
        raise FormatError(error.message, where=f"tensor '{tensor['name']}'", hint=error.hint) from error


def _to_array(tensor: Message, storage: Storage) -> Array:
    data_type = tensor["data_type"]
    if data_type not in ELEMENT_TYPES:
        raise FormatError(f"unknown element type {data_type}")
    if "segment" in tensor:
        raise FormatError("segmented tensors are not supported")
    element = ELEMENT_TYPES[data_type]
    shape = _checked_shape(tensor["dims"], element.itemsize)
    count = math.prod(shape)
    if data_type == STRING:
        return _strings(tensor, count).reshape(shape)
    if tensor["data_location"] == _EXTERNAL:
        raw, values = _stored(tensor, element, count, storage)
    elif "raw_data" in tensor:
        raw, values = np.frombuffer(tensor["raw_data"], np.uint8), None
    else:
        raw, values = None, tensor[value_field(element)]
    array = _from_raw(raw, element, count) if raw is not None else _from_values(values, element, count)
    array.flags.writeable = False
    return array.reshape(shape)


def _checked_shape(dims: Any, itemsize: int) -> tuple[int, ...]:
    shape = tuple(dims)
    ask_rank(len(shape), "the tensor")
    if any(dim < 0 for dim in shape):
        raise FormatError(f"negative extent in shape {list(shape)}")
    if math.prod(dim for dim in shape if dim) * itemsize >= 1 << 63:
        raise FormatError(f"shape {list(shape)} is too large")
    return shape


def _check_size(found: int, expected: int, unit: str) -> None:
    if found != expected:
        raise FormatError(f"data has {found} {unit}, but shape and element type need {expected}")


def _stored(tensor: Message, element: ElementType, count: int, storage: Storage) -> tuple[Bytes | None, Array | None]:
    """Raw bytes, or else the items of the value field, of a tensor whose data is outside of the message."""
    entries = [(entry["key"], entry["value"]) for entry in tensor["external_data"]]
    location = dict(entries).get("location", "")
    if location != THIS_FILE:
        size = _raw_size(element, count)
        length = _entry_int(entries, "length", size)
        _check_size(length, size, "bytes")
        return storage.external(location, _entry_int(entries, "offset", 0), size), None
    if "raw_data" in tensor or any(len(tensor[field]) for field in _FIELDS):
        raise FormatError("the value is given twice")
    pieces: dict[int, list[Bytes]] = {}
    for key, value in entries:
        if key.isdigit():
            offset, _, length_text = value.partition(":")
            pieces.setdefault(int(key), []).append(storage.piece(_as_int(offset), _as_int(length_text)))
    if _RAW in pieces:
        return pieces[_RAW][-1], None
    field = value_field(element)
    number, dtype = _FIELDS[field]
    parts = pieces.get(number, [])
    if dtype in (np.float32, np.float64):
        for part in parts:
            if len(part) % np.dtype(dtype).itemsize:
                raise FormatError(f"{field} has {len(part)} bytes, not a whole number of items")
        return None, _joined([part.view(dtype) for part in parts], dtype)
    return None, _joined([packed_varints(part).astype(dtype) for part in parts], dtype)


def _joined(parts: list[Array], dtype: type) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])


def _entry_int(entries: list[tuple[str, str]], key: str, default: int) -> int:
    text = dict(entries).get(key, "")
    return _as_int(text) if text else default


def _as_int(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise FormatError(f"external data entry {text[:40]!r} is not a number")
    return int(text)


def _raw_size(element: ElementType, count: int) -> int:
    return -(-count * element.bits // 8)


def _from_raw(raw: Bytes, element: ElementType, count: int) -> Array:
    """Items from little-endian bytes, items of less than a byte packed from the low bits up."""
    _check_size(len(raw), _raw_size(element, count), "bytes")
    if element.bits < 8:
        return _unpack(raw, element.bits, count).view(element.dtype)
    if element.dtype == np.bool_:
        return raw.view(np.bool_) if not raw.size or raw.max() <= 1 else raw != 0
    return raw.view(element.dtype)


def _from_values(values: Array | None, element: ElementType, count: int) -> Array:
    """Items from the items of a value field: bit patterns for small floats, two items for a complex number, and packed
    bytes for items of 2 and 4 bits."""
    assert values is not None
    dtype, field = np.dtype(element.dtype), value_field(element)
    if element.bits in (2, 4):
        _check_size(len(values), _raw_size(element, count), f"items in {field}")
        return _unpack(values.astype(np.uint8), element.bits, count).view(dtype)
    if dtype.kind == "c":
        _check_size(len(values), 2 * count, f"items in {field}")
        return values.view(dtype)
    _check_size(len(values), count, f"items in {field}")
    if dtype == np.bool_:
        return np.not_equal(values, 0)
    if dtype.kind in "iu" or values.dtype == dtype:
        return values.astype(dtype, copy=False)
    pattern = values.astype(np.uint16 if dtype.itemsize == 2 else np.uint8)
    if element.bits == 6:
        pattern &= 0x3F
    return pattern.view(dtype)


def _strings(tensor: Message, count: int) -> Array:
    _check_size(len(tensor["string_data"]), count, "strings")
    array = np.empty(count, np.object_)
    try:
        array[:] = [str(item, "utf-8") for item in tensor["string_data"]]
    except UnicodeDecodeError as error:
        raise FormatError(f"a string is not UTF-8: {error}") from error
    return array


_CHUNK = 3 << 16  # bytes; a whole number of items of 2, 4 and 6 bits


def _unpack(data: Bytes, bits: int, count: int) -> Bytes:
    """Items of less than 8 bits, a byte each. A chunk at a time, since each bit becomes a byte in between."""
    result = np.empty(count, np.uint8)
    step = _CHUNK * 8 // bits
    for k, start in enumerate(range(0, len(data), _CHUNK)):
        part = result[k * step : (k + 1) * step]
        single = np.unpackbits(data[start : start + _CHUNK], count=len(part) * bits, bitorder="little")
        part[:] = np.packbits(single.reshape(-1, bits), axis=1, bitorder="little")[:, 0]
    return result


def to_dense(tensor: Message, storage: Storage) -> Array:
    """The dense array of a sparse tensor: values [n], indices [n] (into the flat array) or [n, rank].

    Raises FormatError if they do not fit together ; LimitError if the dense array is too large.
    """
    if "values" not in tensor or "indices" not in tensor:
        raise FormatError("a sparse tensor has no values or no indices")
    values = to_array(tensor["values"], storage)
    indices = to_array(tensor["indices"], storage)
    where = f"sparse tensor '{tensor['values']['name']}'"
    shape = _checked_shape(tensor["dims"], values.dtype.itemsize)
    count = math.prod(shape)
    ask_constant(count, where)
    if (
        values.ndim != 1
        or indices.dtype != np.int64
        or indices.shape not in ((len(values),), (len(values), len(shape)))
    ):
        raise FormatError(f"values {values.shape} and indices {indices.shape} do not fit together", where=where)
    limits = np.array(shape if indices.ndim == 2 else (count,), np.int64)
    if np.any(indices < 0) or np.any(indices >= limits):
        raise FormatError("index out of range", where=where)
    dense = np.full(shape, "", np.object_) if values.dtype == np.object_ else np.zeros(shape, values.dtype)
    if indices.ndim == 2:
        dense[tuple(indices.T)] = values
    else:
        dense.reshape(-1)[indices] = values
    return dense
