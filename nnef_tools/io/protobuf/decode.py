"""From bytes to messages."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ...errors import FormatError
from .schema import Field, Message, MessageType
from .wire import BYTES, FIXED32, FIXED64, MAX_DEPTH, VARINT, packed_varints, read_varint

_WIRES = {"float": FIXED32, "double": FIXED64, "string": BYTES, "bytes": BYTES, "message": BYTES}


def decode(data: memoryview, type: MessageType) -> Message:
    """The message in a buffer of bytes, of which `bytes` fields and packed floats are views.

    Fields that the schema does not know are skipped; of a field that is given several times the last one counts, and
    messages given several times are merged, as protobuf does. Raises FormatError.
    """
    return _decode(data, type, 0, len(data), 0)


def _decode(data: memoryview, type: MessageType, position: int, end: int, depth: int) -> Message:
    if depth > MAX_DEPTH:
        raise FormatError(f"messages are nested more than {MAX_DEPTH} deep", where=f"byte {position}")
    message = Message(type)
    numbers: dict[Field, list[Any]] = {}
    by_number = type.by_number
    name = type.name
    while position < end:
        begin = position
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, begin, end, name)
        wire = tag & 7
        if wire == BYTES:
            # The usual case, a length of one byte, without a call.
            length = data[position] if position < end else 0x80
            position += 1
            if length >= 0x80:
                length, position = read_varint(data, position - 1, end, name)
            stop = position + length
            value: Any = None
        elif wire == VARINT:
            value, stop = read_varint(data, position, end, name)
        elif wire in (FIXED32, FIXED64):
            value, stop = None, position + (4 if wire == FIXED32 else 8)
        else:
            raise FormatError(f"not a valid {name}: unexpected tag {tag}", where=f"byte {begin}")
        if stop > end or tag < 8:
            raise FormatError(f"not a valid {name}: field {tag >> 3} runs past its end", where=f"byte {begin}")
        field = by_number.get(tag >> 3)
        if field is not None:
            kind = field.kind
            if field.repeated and field.item_type is not None:
                part = data[position:stop]
                numbers.setdefault(field, []).append(
                    _packed(part, field) if wire == BYTES else _number(part, value, wire, field, begin)
                )
            elif wire != _WIRES.get(kind, VARINT):
                raise FormatError(
                    f"not a valid {name}: field '{field.name}' has the wrong wire type {wire}", where=f"byte {begin}"
                )
            elif kind == "message":
                assert field.message is not None
                _add_message(message, field, _decode(data, field.message, position, stop, depth + 1))
            else:
                if kind == "string":
                    value = _text(data[position:stop], name, field, begin)
                elif kind == "bytes":
                    value = data[position:stop]
                else:
                    value = _number(data[position:stop], value, wire, field, begin)
                if field.repeated:
                    message.setdefault(field.name, []).append(value)
                else:
                    message[field.name] = value
        position = stop
    for field, parts in numbers.items():
        message[field.name] = _joined(parts, field)
    return message


def _add_message(message: Message, field: Field, value: Message) -> None:
    if field.is_map:
        message.setdefault(field.name, {})[value["key"]] = value["value"]
    elif field.repeated:
        message.setdefault(field.name, []).append(value)
    elif field.name in message:
        merge(message[field.name], value)
    else:
        message[field.name] = value


def merge(target: Message, source: Message) -> None:
    """Adds the fields of a message to another one of its type: lists are continued, other values replaced."""
    for name, value in source.items():
        field = target.type.by_name[name]
        if name not in target:
            target[name] = value
        elif field.is_map:
            target[name].update(value)
        elif field.repeated:
            target[name] = np.concatenate([target[name], value]) if field.item_type else [*target[name], *value]
        elif field.kind == "message":
            merge(target[name], value)
        else:
            target[name] = value


def _text(data: memoryview, name: str, field: Field, begin: int) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"not a valid {name}: '{field.name}' is not UTF-8", where=f"byte {begin}") from None


def _number(data: memoryview, value: int | None, wire: int, field: Field, begin: int) -> Any:
    kind = field.kind
    if wire != _WIRES.get(kind, VARINT):
        raise FormatError(f"field '{field.name}' has the wrong wire type {wire}", where=f"byte {begin}")
    if value is None:
        return struct.unpack("<f" if kind == "float" else "<d", data)[0]
    if kind == "bool":
        return value != 0
    if kind in ("int32", "enum"):
        return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
    if kind == "int64":
        return ((value & 0xFFFFFFFFFFFFFFFF) ^ (1 << 63)) - (1 << 63)
    return value & (0xFFFFFFFF if kind == "uint32" else 0xFFFFFFFFFFFFFFFF)


def _packed(data: memoryview, field: Field) -> np.ndarray[Any, Any]:
    item_type = field.item_type
    assert item_type is not None
    raw = np.frombuffer(data, np.uint8)
    if field.kind in ("float", "double"):
        if len(raw) % np.dtype(item_type).itemsize:
            raise FormatError(f"field '{field.name}' has {len(raw)} bytes, not a whole number of items")
        return raw.view(item_type)
    values = packed_varints(raw)
    return values != 0 if field.kind == "bool" else values.astype(item_type)


def _joined(parts: list[Any], field: Field) -> np.ndarray[Any, Any]:
    """One array of packed pieces and single numbers."""
    if len(parts) == 1 and isinstance(parts[0], np.ndarray):
        return parts[0]
    if not any(isinstance(part, np.ndarray) for part in parts):
        return np.array(parts, field.item_type)
    return np.concatenate([np.atleast_1d(np.asarray(part, field.item_type)) for part in parts])
