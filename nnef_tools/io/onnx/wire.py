"""A protobuf walker that shrinks an ONNX file to a skeleton without its weights.

Parsing a whole ONNX file makes two copies of the weights (the bytes of the file and the message), and protobuf cannot
parse more than 2 GB. Here the few message types that may hold tensors are walked on the bytes of the (memory-mapped)
file; whatever is small is copied as it is, and the values of large tensors are replaced by external data entries that
point back into the file. Only that skeleton is parsed.

Wire format: https://protobuf.dev/programming-guides/encoding. Field numbers: onnx.proto of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...errors import FormatError

# Not a possible path (it has a NUL), so no file can be meant by it.
THIS_FILE = "\0this file"

# Values of at most this many bytes stay in the skeleton: whatever carries shapes and axes is seen by shape inference.
LARGE = 4096

# A tensor whose values are in more pieces than that is copied; protobuf joins the pieces.
MAX_SPANS = 16

# Protobuf's own limit for nested messages.
MAX_DEPTH = 100

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# TensorProto: field number of values -> wire type of a single (unpacked) item.
VALUE_FIELDS = {4: FIXED32, 5: VARINT, 7: VARINT, 9: BYTES, 10: FIXED64, 11: VARINT}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1


@dataclass(frozen=True, eq=False)
class Message:
    """A message type: the fields that hold messages in which tensors occur."""

    name: str
    children: dict[int, Message] = field(default_factory=dict)


TENSOR = Message("TensorProto")
_SPARSE = Message("SparseTensorProto", {1: TENSOR, 2: TENSOR})
_GRAPH = Message("GraphProto")
_ATTRIBUTE = Message("AttributeProto", {5: TENSOR, 6: _GRAPH, 10: TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE})
_NODE = Message("NodeProto", {5: _ATTRIBUTE})
_GRAPH.children.update({1: _NODE, 5: TENSOR, 15: _SPARSE})
_TRAINING = Message("TrainingInfoProto", {1: _GRAPH, 2: _GRAPH})
_FUNCTION = Message("FunctionProto", {7: _NODE, 11: _ATTRIBUTE})
MODEL = Message("ModelProto", {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION})


def skeleton(data: memoryview, message: Message = MODEL) -> bytes:
    """The serialized message without the values of its large tensors.

    data: the bytes of the file. A tensor of which some value field has more than `LARGE` bytes gets `data_location`
    EXTERNAL and the `external_data` entries `location` = `THIS_FILE` and, for each piece of a value field, the number
    of the field -> `offset:length` of the payload in the file. Raises FormatError if the bytes are malformed.
    """
    return _shrink(data, message, 0, len(data), 0)


def _shrink(data: memoryview, message: Message, start: int, end: int, depth: int) -> bytes:
    if end - start <= LARGE:
        return bytes(data[start:end])
    if message is TENSOR:
        return _shrink_tensor(data, start, end)
    if depth > MAX_DEPTH:
        raise FormatError(f"messages are nested more than {MAX_DEPTH} deep", where=f"byte {start}")
    result = bytearray()
    copied = start
    for number, wire, begin, payload, stop in _fields(data, message, start, end):
        child = message.children.get(number)
        if child is not None and wire == BYTES and stop - payload > LARGE:
            result += data[copied:begin]
            result += _delimited(number, _shrink(data, child, payload, stop, depth + 1))
            copied = stop
    result += data[copied:end]
    return bytes(result)


def _shrink_tensor(data: memoryview, start: int, end: int) -> bytes:
    result = bytearray()
    copied = start
    spans: list[tuple[int, int, int]] = []
    for number, wire, begin, payload, stop in _fields(data, TENSOR, start, end):
        if number == _DATA_LOCATION and wire == VARINT and data[payload] == _EXTERNAL:
            return bytes(data[start:end])  # its values are in another file
        if number in VALUE_FIELDS and wire in (BYTES, VALUE_FIELDS[number]):
            spans.append((number, payload, stop - payload))
            if len(spans) > MAX_SPANS:
                return bytes(data[start:end])
            result += data[copied:begin]
            copied = stop
    if all(length <= LARGE for _, _, length in spans):
        return bytes(data[start:end])
    result += data[copied:end]
    result += tag(_DATA_LOCATION, VARINT) + varint(_EXTERNAL)
    result += _entry("location", THIS_FILE)
    for number, offset, length in spans:
        result += _entry(str(number), f"{offset}:{length}")
    return bytes(result)


def _fields(data: memoryview, message: Message, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, and the offsets of the tag, of the payload and of its end, for each field of a message."""
    position = start
    while position < end:
        begin = position
        key, position = _read_varint(data, position, end, message)
        number, wire = key >> 3, key & 7
        payload = position
        if wire == VARINT:
            _, position = _read_varint(data, position, end, message)
        elif wire == BYTES:
            length, payload = _read_varint(data, position, end, message)
            position = payload + length
        elif wire == FIXED32:
            position += 4
        elif wire == FIXED64:
            position += 8
        if number == 0 or wire not in (VARINT, BYTES, FIXED32, FIXED64):
            raise FormatError(f"no valid {message.name}: unexpected tag {key}", where=f"byte {begin}", hint=_HINT)
        if position > end:
            raise FormatError(
                f"field {number} of {message.name} runs past the end of its message", where=f"byte {begin}", hint=_HINT
            )
        yield number, wire, begin, payload, position


_HINT = "the file is damaged or truncated, or no ONNX model"


def _read_varint(data: memoryview, position: int, end: int, message: Message) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = 0
    for k, byte in enumerate(data[position : min(position + 10, end)]):
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return value, position + k + 1
    raise FormatError(f"no valid {message.name}: unterminated number", where=f"byte {position}", hint=_HINT)


def varint(value: int) -> bytes:
    """A number in the encoding of protobuf."""
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def tag(number: int, wire: int) -> bytes:
    """What a field starts with."""
    return varint(number << 3 | wire)


def _delimited(number: int, payload: bytes) -> bytes:
    return tag(number, BYTES) + varint(len(payload)) + payload


def _entry(key: str, value: str) -> bytes:
    return _delimited(_EXTERNAL_DATA, _delimited(1, key.encode()) + _delimited(2, value.encode()))
