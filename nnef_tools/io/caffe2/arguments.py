"""Arguments of operators as Python values, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import FormatError
from ..protobuf import Message, encode
from .schema import SCHEMA

LONG = 1024
"""Lists of numbers with more items than that are arrays."""


def arguments_of(op: Message) -> dict[str, Any]:
    """Name -> value: int, float, str (bytes if it is not UTF-8), or a list of those; an array for many numbers.

    What is neither, such as a nested net, is the bytes of its message. FormatError for a name that is given twice.
    """
    result: dict[str, Any] = {}
    for argument in op["arg"]:
        name = argument["name"]
        value = _value(argument)
        if name in result and not _same(result[name], value):
            raise FormatError(f"argument '{name}' of {op['type']} is given twice, with different values")
        result[name] = value
    return result


def _value(argument: Message) -> Any:
    for field in ("f", "i"):
        if field in argument:
            return argument[field]
    if "s" in argument:
        return _text(argument["s"])
    for field in ("floats", "ints"):
        if len(argument[field]):
            array = np.asarray(argument[field])
            return array if array.size > LONG else array.tolist()
    if argument["strings"]:
        return [_text(item) for item in argument["strings"]]
    for field in ("n", "t"):
        if field in argument:
            return _raw(argument[field])
    for field in ("nets", "tensors", "qtensors"):
        if argument[field]:
            return [_raw(item) for item in argument[field]]
    return []


def _text(value: Any) -> str | bytes:
    raw = bytes(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _raw(message: Message) -> bytes:
    return b"".join(bytes(chunk) for chunk in encode(message))


def _same(x: Any, y: Any) -> bool:
    return type(x) is type(y) and bool(np.array_equal(np.asarray(x), np.asarray(y)))


def argument(name: str, value: Any) -> Message:
    """The message of an argument. FormatError for a value that Caffe2 has no form for."""
    message = SCHEMA["Argument"](name=name)
    items = list(value) if isinstance(value, (list, tuple)) else None
    if isinstance(value, np.ndarray):
        message["floats" if value.dtype.kind == "f" else "ints"] = value.reshape(-1)
    elif items is not None and all(isinstance(item, (bool, int, np.integer)) for item in items):
        message["ints"] = np.asarray(items, np.int64)
    elif items is not None and all(isinstance(item, (bool, int, float, np.number)) for item in items):
        message["floats"] = np.asarray(items, np.float32)
    elif items is not None and all(isinstance(item, (str, bytes)) for item in items):
        message["strings"] = [_bytes(item) for item in items]
    elif isinstance(value, (bool, int, np.integer)):
        message["i"] = int(value)
    elif isinstance(value, (float, np.floating)):
        message["f"] = float(value)
    elif isinstance(value, (str, bytes)):
        message["s"] = _bytes(value)
    else:
        raise FormatError(f"argument '{name}' has a value that Caffe2 has no form for: {value!r}")
    return message


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
