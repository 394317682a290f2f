"""Values of node attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import FormatError, MissingPackageError
from ..protobuf import Message
from .storage import Storage
from .tensors import to_array, to_dense

# AttributeProto.AttributeType -> the field with the value (onnx.proto).
FIELDS = {
    1: "f",
    2: "i",
    3: "s",
    4: "t",
    5: "g",
    6: "floats",
    7: "ints",
    8: "strings",
    9: "tensors",
    10: "graphs",
    11: "sparse_tensor",
    12: "sparse_tensors",
    13: "tp",
    14: "type_protos",
}

_NUMBERS = frozenset({"f", "i", "floats", "ints"})
_SINGLE = frozenset({"f", "i", "s", "t", "g", "sparse_tensor", "tp"})


def attribute_value(attribute: Message, storage: Storage, nested: Callable[[Message], Any]) -> Any:
    """The Python value of an attribute.

    FLOAT, INT -> float, int; STRING -> str (bytes if it is not UTF-8); TENSOR -> ndarray; SPARSE_TENSOR -> dense
    ndarray; GRAPH -> what `nested` makes of it; TYPE_PROTO -> the message of the onnx package. Plural types -> list of
    those.
    """
    if attribute.get("ref_attr_name"):
        name = attribute["name"]
        raise FormatError(f"attribute '{name}' refers to an attribute of a function, outside of a function")
    type = attribute["type"]
    field = FIELDS.get(type) if type else _used_field(attribute)
    if field is None:
        raise FormatError(f"attribute '{attribute['name']}' has the unknown type {type}")
    value = attribute[field]
    if field in _NUMBERS:
        return value if field in _SINGLE else list(value)
    decode = _decoder(field, storage, nested)
    if field not in _SINGLE:
        return [decode(item) for item in value]
    if value is None:
        raise FormatError(f"attribute '{attribute['name']}' has no value")
    return decode(value)


def _used_field(attribute: Message) -> str:
    """The field that has the value in old files, which do not tell the type. For an empty list, any field will do."""
    by_name = attribute.type.by_name
    used = [name for name in FIELDS.values() if name in attribute]
    return min(used, key=lambda name: by_name[name].number, default="ints")


def _decoder(field: str, storage: Storage, nested: Callable[[Message], Any]) -> Callable[[Any], Any]:
    if field in ("s", "strings"):
        return _text
    if field in ("t", "tensors"):
        return lambda tensor: to_array(tensor, storage)
    if field in ("sparse_tensor", "sparse_tensors"):
        return lambda tensor: to_dense(tensor, storage)
    if field in ("tp", "type_protos"):
        return _type
    return nested


def _text(value: memoryview) -> str | bytes:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        return bytes(value)


def _type(value: memoryview) -> Any:
    try:
        from onnx import TypeProto
    except ImportError as error:
        raise MissingPackageError("onnx", "to read types in attributes of ONNX models", "onnx") from error
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]

    try:
        return TypeProto.FromString(bytes(value))
    except DecodeError as error:
        raise FormatError(f"not a valid TypeProto: {error}") from error
