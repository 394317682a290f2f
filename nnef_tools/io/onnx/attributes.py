"""Values of node attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import FormatError
from .storage import Storage
from .tensors import to_array, to_dense

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto

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


def attribute_value(attribute: AttributeProto, storage: Storage, nested: Callable[[GraphProto], Any]) -> Any:
    """The Python value of an attribute.

    FLOAT, INT -> float, int; STRING -> str (bytes if it is not UTF-8); TENSOR -> ndarray; SPARSE_TENSOR -> dense
    ndarray; GRAPH -> what `nested` makes of it; TYPE_PROTO -> the message itself. Plural types -> list of those.
    """
    if attribute.ref_attr_name:
        raise FormatError(f"attribute '{attribute.name}' refers to an attribute of a function, outside of a function")
    field = FIELDS.get(attribute.type) if attribute.type else _used_field(attribute)
    if field is None:
        raise FormatError(f"attribute '{attribute.name}' has the unknown type {attribute.type}")
    value = getattr(attribute, field)
    decode = _decoder(field, storage, nested)
    return decode(value) if field in ("f", "i", "s", "t", "g", "sparse_tensor", "tp") else [decode(v) for v in value]


def _used_field(attribute: AttributeProto) -> str:
    """The field that has the value in old files, which do not tell the type. For an empty list, any field will do."""
    return next((field.name for field, _ in attribute.ListFields() if field.name in FIELDS.values()), "ints")


def _decoder(field: str, storage: Storage, nested: Callable[[GraphProto], Any]) -> Callable[[Any], Any]:
    if field in ("s", "strings"):
        return _text
    if field in ("t", "tensors"):
        return lambda tensor: to_array(tensor, storage)
    if field in ("sparse_tensor", "sparse_tensors"):
        return lambda tensor: to_dense(tensor, storage)
    if field in ("g", "graphs"):
        return nested
    return lambda value: value


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
