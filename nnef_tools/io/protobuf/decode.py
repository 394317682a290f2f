"""From bytes to messages."""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

import numpy as np

from ...errors import FormatError
from .schema import Field, Message, MessageType
from .wire import BYTES, FIXED32, FIXED64, MAX_DEPTH, VARINT, end_of_value, packed_varints, read_varint

Unknown: TypeAlias = "set[str] | None"


def decode(data: memoryview, type: MessageType, unknown: Unknown = None) -> Message:
    """The message in a buffer of bytes, of which `bytes` fields and packed floats are views.

    Fields that the schema does not know are skipped; `unknown` gets their names, `Message.7`. Of a field that is given
    several times the last one counts, and messages given several times are merged, as protobuf does. Raises
    FormatError, also for a known field that has the wire type of another kind.
    """
    return _decode(data, type, 0, len(data), 0, unknown)


def _decode(data: memoryview, type: MessageType, position: int, end: int, depth: int, unknown: Unknown) -> Message:
    if depth > MAX_DEPTH:
        raise FormatError(f"messages are nested more than {MAX_DEPTH} deep", where=f"byte {position}")
    message, by_tag = Message(type), type.by_tag
    numbers: dict[Field, list[Any]] = {}
    while position < end:
        begin = position
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, begin, end, type.name)
        value: Any = None
        wire = tag & 7
        if wire == BYTES:
            length = data[position] if position < end else 0x80
            position += 1
            if length >= 0x80:
                length, position = read_varint(data, position - 1, end, type.name)
            stop = position + length
        elif wire == VARINT:
            value = data[position] if position < end else 0x80
            stop = position + 1
            if value >= 0x80:
                value, stop = read_varint(data, position, end, type.name)
        else:
            stop = end_of_value(data, type.name, tag, begin, position, end)
        if stop > end or tag < 8:
            raise _invalid(type, f"field {tag >> 3} runs past its end", begin)
        if tag in by_tag:
            field, name, kind, form = by_tag[tag]
            if kind == "string":  # without a call, as large models have some 100,000 strings
                try:
                    value = str(data[position:stop], "utf-8")
                except UnicodeDecodeError:
                    raise _invalid(type, f"'{name}' is not UTF-8", begin) from None
            elif kind == "message":
                assert field.message is not None
                value = _decode(data, field.message, position, stop, depth + 1, unknown)
            elif kind == "bytes":
                value = data[position:stop]
            else:
                part = data[position:stop]
                value = _packed(part, field) if kind == "packed" else _number(part, value, kind)
            if form == "list":
                message.setdefault(name, []).append(value)
            elif form == "numbers":
                if wire in (FIXED32, FIXED64) and tag < 0x80 and stop < end and data[stop] == tag:
                    value, stop = _run(data, tag, begin, end, field)
                numbers.setdefault(field, []).append(value)
            elif form == "map":
                message.setdefault(name, {})[value["key"]] = value["value"]
            elif kind == "message" and name in message:
                merge(message[name], value)
            else:
                message[name] = value
        else:
            _note_unknown(type, tag, begin, unknown)
        position = stop
    message.update({field.name: _joined(parts, field) for field, parts in numbers.items()})
    return message


def _note_unknown(type: MessageType, tag: int, begin: int, unknown: Unknown) -> None:
    """Notes a field that the schema does not know. FormatError if it does, with another wire type."""
    if tag >> 3 in type.by_number:
        raise _invalid(type, f"field '{type.by_number[tag >> 3].name}' has the wrong wire type {tag & 7}", begin)
    if unknown is not None:
        unknown.add(f"{type.name}.{tag >> 3}")


def _invalid(type: MessageType, reason: str, begin: int) -> FormatError:
    return FormatError(f"not a valid {type.name}: {reason}", where=f"byte {begin}")


def merge(target: Message, source: Message) -> None:
    """Adds the fields of a message to another one of its type: lists are continued, other values replaced."""
    for name, value in source.items():
        field = target.type.by_name[name]
        if name not in target:
            target[name] = value
        elif field.is_map:
            target[name].update(value)
        elif field.repeated:
            is_array = field.item_type is not None and not field.is_list
            target[name] = np.concatenate([target[name], value]) if is_array else [*target[name], *value]
        elif field.kind == "message":
            merge(target[name], value)
        else:
            target[name] = value


def _number(data: memoryview, value: int | None, kind: str) -> Any:
    if value is None:
        return struct.unpack("<f" if kind == "float" else "<d", data)[0]
    if kind == "bool":
        return value != 0
    if value < 0x80:
        return value
    if kind in ("int32", "enum"):
        return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
    if kind == "int64":
        return ((value & 0xFFFFFFFFFFFFFFFF) ^ (1 << 63)) - (1 << 63)
    return value & (0xFFFFFFFF if kind == "uint32" else 0xFFFFFFFFFFFFFFFF)


def _run(data: memoryview, tag: int, begin: int, end: int, field: Field) -> tuple[np.ndarray[Any, Any], int]:
    """The numbers of fixed size that follow each other, each behind the same tag of one byte, and the end of the last.

    Weights of files from before fields were packed are such runs.
    """
    item = np.dtype(np.uint32 if tag & 7 == FIXED32 else np.uint64).newbyteorder("<")
    row = np.dtype([("tag", np.uint8), ("item", item)])  # without padding
    parts, count = [], 64
    while True:
        count = min(count, (end - begin) // row.itemsize)
        rows = np.frombuffer(data[begin : begin + count * row.itemsize], row)
        others = np.flatnonzero(rows["tag"] != tag)
        length = int(others[0]) if len(others) else count
        parts.append(np.ascontiguousarray(rows["item"][:length]))
        begin += length * row.itemsize
        if length < count or count == 0:
            return np.concatenate(parts).view(field.item_type), begin
        count *= 4


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


def _joined(parts: list[Any], field: Field) -> Any:
    """One array, or list, of packed pieces and single numbers."""
    if not any(isinstance(part, np.ndarray) for part in parts):
        return parts if field.is_list else np.array(parts, field.item_type)
    pieces = [np.atleast_1d(np.asarray(part, field.item_type)) for part in parts]
    array = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return array.tolist() if field.is_list else array
