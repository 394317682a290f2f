"""Values of node attributes as Python values and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ....dialects.tf.types import dtype_class, dtype_number
from ....errors import FormatError
from ...protobuf import Message
from .schema import SCHEMA
from .tensors import shape_message, shape_value, tensor_message, tensor_value, text_or_bytes


class Func(NamedTuple):
    """A function of the library as a value: its name and the attributes that it is specialized by."""

    name: str
    attrs: dict[str, Any]


class Placeholder(NamedTuple):
    """Stands for an attribute of the function in which it occurs."""

    name: str


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "s": lambda value: text_or_bytes(bytes(value)),
    "i": int,
    "f": float,
    "b": bool,
    "type": dtype_class,
    "shape": shape_value,
    "tensor": tensor_value,
    "func": lambda value: Func(value["name"], attribute_values(value["attr"])),
    "placeholder": Placeholder,
}


def attribute_value(value: Message | None) -> Any:
    """The Python value of an AttrValue.

    int, float, bool, str (bytes if not UTF-8); a shape is a tuple with None for unknown extents, or None; a type is a
    numpy class; a tensor an ndarray; a function a `Func`; lists of those; None if it is not set. Raises FormatError.
    """
    if value is None:
        return None
    for name in value:
        if name == "list":
            return _list_value(value["list"])
        return _DECODERS[name](value[name])
    return None


def attribute_values(attributes: dict[str, Message | None]) -> dict[str, Any]:
    """The values of all attributes of a node or function. The name of a wrong one is added to the error."""
    values = {}
    for name, value in attributes.items():
        try:
            values[name] = attribute_value(value)
        except FormatError as error:
            raise FormatError(error.message, where=f"attribute '{name}'", hint=error.hint) from error
    return values


def _list_value(value: Message) -> list[Any]:
    for name, items in value.items():
        if len(items):
            plain = items.tolist() if isinstance(items, np.ndarray) else items
            return [_DECODERS[name](item) for item in plain]
    return []


_CLASSES: dict[str, type | tuple[type, ...]] = {
    "string": (str, bytes),
    "int": int,
    "float": float,
    "bool": bool,
    "type": type,
    "shape": tuple,
    "tensor": np.ndarray,
    "func": Func,
}


def is_of_kind(value: Any, kind: str) -> bool:
    """Does the value fit an attribute of a kind, as in an operator's signature? None, an unknown value, fits all."""
    if kind.startswith("list("):
        return isinstance(value, list) and all(is_of_kind(item, kind[5:-1]) for item in value)
    if value is None or kind not in _CLASSES:
        return True
    if isinstance(value, (bool, Func, Placeholder)):  # which are numbers and tuples to Python
        return isinstance(value, _CLASSES[kind]) and kind in ("bool", "func")
    return isinstance(value, _CLASSES[kind])


_ENCODERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string": ("s", lambda value: value.encode() if isinstance(value, str) else bytes(value)),
    "int": ("i", int),
    "float": ("f", float),
    "bool": ("b", bool),
    "type": ("type", dtype_number),
    "shape": ("shape", shape_message),
    "tensor": ("tensor", tensor_message),
    "func": ("func", lambda func: func_message(func)),
}


def attribute_message(value: Any, kind: str | None = None) -> Message:
    """The AttrValue of a Python value.

    kind: as in an operator's signature, such as 'int' or 'list(shape)'. Without it the type of the value tells: see
    `value_kind`. Raises FormatError if the value cannot be represented.
    """
    kind = kind or value_kind(value)
    try:
        if not kind.startswith("list("):
            field, encode = _ENCODERS[kind]
            return SCHEMA["AttrValue"](**{field: encode(_scalar(value, kind))})
        items = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]
        message = SCHEMA["ListValue"]()
        if items:
            field, encode = _ENCODERS[kind[5:-1]]
            message[field] = [encode(_scalar(item, kind[5:-1])) for item in items]
        return SCHEMA["AttrValue"](list=message)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{value!r} is not a value of type {kind}") from error


def _scalar(value: Any, kind: str) -> Any:
    """The value itself. FormatError where a number is needed and it is not one."""
    if kind in ("int", "float", "bool") and not isinstance(value, (bool, int, float, np.number, np.bool_)):
        raise FormatError(f"{value!r} is not a value of type {kind}")
    if kind == "int" and int(value) != value:
        raise FormatError(f"{value!r} is not an integer")
    return value


_PLAIN: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("bool", (bool,)),
    ("int", (int,)),
    ("float", (float,)),
    ("string", (str, bytes)),
)


def value_kind(value: Any) -> str:
    """The kind of attribute for a Python value of unknown purpose.

    bool, int, float, str or bytes; a class or `np.dtype` is a type; a tuple of int and None is a shape; an array or
    numpy scalar is a tensor; a list is a list of the kind of its items.
    """
    if isinstance(value, (np.dtype, type)):
        return "type"
    if isinstance(value, (np.ndarray, np.generic)):
        return "tensor"
    if isinstance(value, Func):
        return "func"
    if isinstance(value, list):
        kinds = list(dict.fromkeys(value_kind(item) for item in value))
        if kinds in (["int", "float"], ["float", "int"]):
            kinds = ["float"]
        if len(kinds) > 1 or (kinds and kinds[0].startswith("list")):
            raise FormatError(f"the list {value!r} has items of different types")
        return f"list({kinds[0] if kinds else 'int'})"
    if isinstance(value, tuple):
        is_shape = all(item is None or (isinstance(item, int) and not isinstance(item, bool)) for item in value)
        return "shape" if is_shape else value_kind(list(value))
    for kind, types in _PLAIN:
        if isinstance(value, types):
            return kind
    raise FormatError(f"a value of type {type(value).__name__} cannot be an attribute")


def func_message(func: Func) -> Message:
    """The NameAttrList of a function value."""
    return SCHEMA["NameAttrList"](
        name=func.name, attr={name: attribute_message(value) for name, value in func.attrs.items()}
    )
