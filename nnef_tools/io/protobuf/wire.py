"""The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding): numbers, tags and fields."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...errors import FormatError

VARINT, FIXED64, BYTES, START, END, FIXED32 = 0, 1, 2, 3, 4, 5

# Protobuf's own limit for nested messages.
MAX_DEPTH = 100


def fields(
    data: memoryview, name: str, start: int, end: int, hint: str | None = None
) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, and the offsets of the tag, of the payload and of its end, for each field of a message.

    name, hint: of the message type and the format, for errors. Raises FormatError if the bytes are malformed.
    """
    position = start
    while position < end:
        begin = position
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, begin, end, name, hint)
        payload = position
        if tag & 7 == BYTES:
            length = data[position] if position < end else 0x80
            payload += 1
            if length >= 0x80:
                length, payload = read_varint(data, position, end, name, hint)
            position = payload + length
        else:
            position = end_of_value(data, name, tag, begin, position, end, hint)
        if tag < 8:
            raise FormatError(f"not a valid {name}: unexpected tag {tag}", where=f"byte {begin}", hint=hint)
        if position > end:
            raise FormatError(
                f"field {tag >> 3} of {name} runs past the end of its message", where=f"byte {begin}", hint=hint
            )
        yield tag >> 3, tag & 7, begin, payload, position


def end_of_value(
    data: memoryview, name: str, tag: int, begin: int, position: int, end: int, hint: str | None = None
) -> int:
    """Where a field ends whose tag is at `begin` and its value at `position`; a group, which no format uses, is one."""
    wire = tag & 7
    if wire == VARINT:
        return read_varint(data, position, end, name, hint)[1]
    if wire in (FIXED32, FIXED64):
        return position + (4 if wire == FIXED32 else 8)
    if wire == BYTES:
        length, position = read_varint(data, position, end, name, hint)
        return position + length
    open_groups = [tag >> 3]
    if wire != START:
        raise FormatError(f"not a valid {name}: unexpected tag {tag}", where=f"byte {begin}", hint=hint)
    while open_groups and position < end and len(open_groups) <= MAX_DEPTH:
        tag, position = read_varint(data, position, end, name, hint)
        if tag & 7 == START:
            open_groups.append(tag >> 3)
        elif tag & 7 != END:
            position = end_of_value(data, name, tag, begin, position, end, hint)
        elif open_groups.pop() != tag >> 3:
            break
    else:
        if not open_groups:
            return position
    raise FormatError(f"not a valid {name}: a group does not end", where=f"byte {begin}", hint=hint)


def read_varint(data: memoryview, position: int, end: int, name: str, hint: str | None = None) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = 0
    for k, byte in enumerate(data[position : min(position + 10, end)]):
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return value, position + k + 1
    raise FormatError(f"not a valid {name}: unterminated number", where=f"byte {position}", hint=hint)


def varint(value: int) -> bytes:
    """The bytes of a number from 0 to 2**64 - 1."""
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def tag(number: int, wire: int) -> bytes:
    """What precedes the payload of a field."""
    return varint(number << 3 | wire)


def delimited(number: int, payload: bytes) -> bytes:
    """A whole field of wire type BYTES."""
    return tag(number, BYTES) + varint(len(payload)) + payload


def packed_varints(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The numbers of a packed field: 7 bits a byte, the low ones first; the high bit says that more follow."""
    last = np.flatnonzero(data < 0x80)
    if len(data) and (not len(last) or last[-1] != len(data) - 1):
        raise FormatError("unterminated number in packed data")
    sizes = np.diff(last, prepend=-1)
    if len(sizes) and sizes.max() > 10:
        raise FormatError("number of more than 10 bytes in packed data")
    first = last - sizes + 1
    result = np.zeros(len(last), np.uint64)
    for k in range(int(sizes.max(initial=0))):
        long = sizes > k
        result[long] |= (data[first[long] + k] & 0x7F).astype(np.uint64) << np.uint64(7 * k)
    return result
