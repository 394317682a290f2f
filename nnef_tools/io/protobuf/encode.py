"""From messages to bytes, without a copy of large values."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Union

import numpy as np

from ...model.memory import blocks
from .schema import Field, Message
from .wire import BYTES, FIXED32, FIXED64, VARINT, tag, varint

# An array is written as the bytes of its items in C order, whatever its strides.
Chunk = Union[bytes, memoryview, "np.ndarray[Any, Any]"]


def encode(message: Message) -> list[Chunk]:
    """The serialized message in pieces, with the values of `bytes` fields as they are; fields in order of numbers."""
    chunks: list[Chunk] = []
    small = bytearray()

    def flush() -> None:
        if small:
            chunks.append(bytes(small))
            small.clear()

    for part in _parts(message):
        if isinstance(part, bytes):
            small.extend(part)
        else:
            flush()
            chunks.append(part)
    flush()
    return chunks


def size(chunks: Iterable[Chunk]) -> int:
    """Number of bytes."""
    return sum(len(chunk) if isinstance(chunk, bytes) else chunk.nbytes for chunk in chunks)


def write(file: BinaryIO, chunks: Iterable[Chunk]) -> None:
    """Writes the pieces; of an array that is not contiguous, a part at a time is copied."""
    for chunk in chunks:
        if isinstance(chunk, np.ndarray):
            for block in blocks(chunk):
                file.write(block.view(np.uint8).data)
        else:
            file.write(chunk)


def _parts(message: Message) -> Iterator[Chunk]:
    for field in sorted((message.type.by_name[name] for name in message), key=lambda field: field.number):
        value = message[field.name]
        if field.is_map:
            assert field.message is not None
            for key in sorted(value):
                yield from _item(field, field.message(key=key, value=value[key]))
        elif not field.repeated:
            yield from _item(field, value)
        elif field.item_type is not None:
            if len(value):
                payload = _packed(field, value)
                yield tag(field.number, BYTES) + varint(len(payload)) + payload
        else:
            for item in value:
                yield from _item(field, item)


def _item(field: Field, value: Any) -> Iterator[Chunk]:
    if field.kind == "message":
        chunks = encode(value)
        yield tag(field.number, BYTES) + varint(size(chunks))
        yield from chunks
    elif field.kind in ("string", "bytes"):
        data: Chunk = value.encode() if isinstance(value, str) else value
        yield tag(field.number, BYTES) + varint(size([data]))
        yield data
    elif field.kind in ("float", "double"):
        wire, form = (FIXED32, "<f") if field.kind == "float" else (FIXED64, "<d")
        yield tag(field.number, wire) + struct.pack(form, value)
    else:
        yield tag(field.number, VARINT) + varint(int(value) & 0xFFFFFFFFFFFFFFFF)


def _packed(field: Field, values: Any) -> bytes:
    if field.kind in ("float", "double"):
        return np.asarray(values, field.item_type).tobytes()
    return b"".join(varint(int(value) & 0xFFFFFFFFFFFFFFFF) for value in values)
