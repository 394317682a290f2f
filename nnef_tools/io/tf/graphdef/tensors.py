"""Values of TensorProto messages as numpy arrays and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....budget import ask_constant, ask_rank
from ....dialects.tf.types import Resource, Variant, dtype_class, dtype_name, dtype_number, stored_class
from ....errors import FormatError
from ...protobuf import Message
from .schema import SCHEMA

Array = np.ndarray[Any, Any]
Shape = tuple[Any, ...]


# Kind or name of a type -> the field of TensorProto for values that are not raw (tensor.proto of TensorFlow).
_FIELDS = {
    "float": "float_val",
    "double": "double_val",
    "half": "half_val",
    "bfloat16": "half_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
}


def shape_value(shape: Message | None) -> Shape | None:
    """The extents, None for unknown ones; None for an unknown rank. Raises FormatError."""
    if shape is None:
        return ()
    if shape["unknown_rank"]:
        return None
    sizes = tuple(dim["size"] for dim in shape["dim"])
    if len(sizes) > 254:
        raise FormatError(f"rank {len(sizes)} is above 254")
    return tuple(size if size >= 0 else None for size in sizes)


def shape_message(shape: Shape | None) -> Message:
    """The message of a shape; see `shape_value`."""
    if shape is None:
        return SCHEMA["TensorShapeProto"](unknown_rank=True)
    dims = [SCHEMA["Dim"](size=-1 if dim is None else int(dim)) for dim in shape]
    return SCHEMA["TensorShapeProto"](dim=dims)


def tensor_value(tensor: Message) -> Array:
    """The value of a TensorProto, read-only: a view of the file where it is raw.

    Fewer values than the shape has are extended by the last one, none at all are zeros. Strings give an object array
    of str, or bytes where they are not UTF-8; quantized types give their codes. Raises FormatError if value, type and
    shape do not fit together.
    """
    dtype = dtype_class(tensor["dtype"])
    if dtype is None:
        raise FormatError("the tensor has no data type")
    name = dtype_name(dtype)
    if dtype in (Resource, Variant):
        raise FormatError(f"constants of type {name} cannot be read")
    dtype = stored_class(dtype)
    shape = _checked_shape(tensor)
    count = math.prod(shape)
    content = tensor["tensor_content"]
    if dtype is np.str_:
        return _strings(tensor, content, count).reshape(shape)
    if len(content):
        return _raw(np.frombuffer(content, np.uint8), np.dtype(dtype), count).reshape(shape)
    if name.startswith("float8"):
        values: Array = np.frombuffer(tensor["float8_val"], np.uint8).view(dtype)
    else:
        items = tensor[_FIELDS.get(name, "int_val")]
        if name in ("half", "bfloat16"):
            values = items.astype(np.uint16).view(dtype)
        elif name.startswith("complex"):
            values = _complex_items(items, dtype)
        else:
            values = items.astype(dtype, copy=False)
    return _extended(values, shape, count)


def _complex_items(items: Array, dtype: type) -> Array:
    """Complex numbers of their real and imaginary parts in turn."""
    if len(items) % 2:
        raise FormatError(f"data has {len(items)} parts of complex numbers, an odd number")
    return np.ascontiguousarray(items).view(dtype)


def _checked_shape(tensor: Message) -> tuple[int, ...]:
    shape = shape_value(tensor["tensor_shape"])
    if shape is None or None in shape:
        raise FormatError("the shape of the tensor is not fully known")
    ask_rank(len(shape), "the tensor")
    if math.prod(dim for dim in shape if dim) >= 1 << 60:
        raise FormatError(f"shape {list(shape)} is too large")
    return shape


def _raw(raw: Array, dtype: np.dtype[Any], count: int) -> Array:
    """Items from little-endian bytes; items of less than a byte have one each."""
    if len(raw) != count * dtype.itemsize:
        raise FormatError(f"data has {len(raw)} bytes, but shape and type need {count * dtype.itemsize}")
    if dtype == np.bool_ and len(raw) and raw.max() > 1:
        raw = np.not_equal(raw, 0)
        raw.flags.writeable = False
    return raw.view(dtype)


def _extended(values: Array, shape: tuple[int, ...], count: int) -> Array:
    result: Array
    if len(values) > count:
        raise FormatError(f"data has {len(values)} items, but the shape needs {count}")
    ask_constant(count, given=len(values))
    if len(values) == count:
        result = values.reshape(shape)
    elif len(values) < 2:
        # All items are the same, so they can share memory.
        result = np.broadcast_to(values[0] if len(values) else _zero(values.dtype), shape)
    else:
        result = np.full(count, values[-1], values.dtype)
        result[: len(values)] = values
        result = result.reshape(shape)
    result.flags.writeable = False
    return result


def _zero(dtype: np.dtype[Any]) -> Any:
    return np.array("", np.object_) if dtype == np.object_ else np.zeros((), dtype)


def _strings(tensor: Message, content: Any, count: int) -> Array:
    items = _string_list(bytes(content), count) if len(content) else [bytes(item) for item in tensor["string_val"]]
    values = np.empty(len(items), np.object_)
    values[:] = [text_or_bytes(item) for item in items]
    return _extended(values, (count,), count)


def _string_list(content: bytes, count: int) -> list[bytes]:
    """Strings in tensor_content: the lengths of all, as varints, then the strings."""
    lengths, position = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            if position >= len(content) or shift > 63:
                raise FormatError("strings of the tensor are truncated")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise FormatError("strings of the tensor do not fill its data")
    items = []
    for length in lengths:
        items.append(content[position : position + length])
        position += length
    return items


def text_or_bytes(value: bytes) -> str | bytes:
    """The text, or the bytes if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def tensor_message(value: Any, dtype: Any = None) -> Message:
    """The TensorProto of an array-like. The data is not copied: a message holds the array itself.

    dtype: class of its items, by default that of the array. Raises FormatError for types that TensorFlow lacks.
    """
    array = np.asarray(value)
    is_text = array.dtype.kind in "OUS"
    number = dtype_number(dtype if dtype is not None else np.str_ if is_text else array.dtype)
    tensor = SCHEMA["TensorProto"](dtype=number, tensor_shape=shape_message(array.shape))
    if is_text:
        items = array.reshape(-1).tolist()
        tensor["string_val"] = [item.encode() if isinstance(item, str) else bytes(item) for item in items]
        return tensor
    kind = dtype_class(number)
    target = np.dtype(None if kind is None else stored_class(kind))
    array = array if array.dtype == target else array.astype(target)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.size > 1 and not any(array.strides):
        tensor.update(_splat(array))
    elif array.size:
        tensor["tensor_content"] = array
    return tensor


def _splat(array: Array) -> dict[str, Any]:
    """The field with a single value, for an array whose items share memory."""
    value = np.ascontiguousarray(array.reshape(-1)[:1])
    name = dtype_name(array.dtype.type)
    if name.startswith("float8"):
        return {"float8_val": value.tobytes()}
    if name in ("half", "bfloat16"):
        return {"half_val": value.view(np.uint16)}
    if name.startswith("complex"):
        return {_FIELDS[name]: value.view(value.real.dtype)}
    return {_FIELDS.get(name, "int_val"): value.astype(np.int32) if name not in _FIELDS else value}
