"""A protobuf walker that shrinks an ONNX file to a skeleton without its weights.

Parsing a whole ONNX file makes two copies of the weights (the bytes of the file and the message), and protobuf cannot
parse more than 2 GB. Here the few message types that may hold tensors are walked on the bytes of the (memory-mapped)
file; whatever is small is copied as it is, and the values of large tensors are replaced by external data entries that
point back into the file. Only that skeleton is decoded.

Field numbers: onnx.proto of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...errors import FormatError
from ..protobuf.wire import BYTES, FIXED32, FIXED64, MAX_DEPTH, VARINT, delimited, fields, tag, varint

# Location of values in the model file itself. The NUL makes it an impossible path, so it never names another file.
THIS_FILE = "\0this file"

# Values of at most this many bytes stay in the skeleton: whatever carries shapes and axes is seen by shape inference.
MAX_INLINE_BYTES = 4096

# A tensor whose values are in more pieces than that is copied; protobuf joins the pieces.
MAX_SPANS = 16

# TensorProto: field number of values -> wire type of a single (unpacked) item.
VALUE_FIELDS = {4: FIXED32, 5: VARINT, 7: VARINT, 9: BYTES, 10: FIXED64, 11: VARINT}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of messages: the fields that hold messages in which tensors occur."""

    name: str
    children: dict[int, Kind] = field(default_factory=dict)


TENSOR = Kind("TensorProto")
_SPARSE = Kind("SparseTensorProto", {1: TENSOR, 2: TENSOR})
_GRAPH = Kind("GraphProto")
_ATTRIBUTE = Kind("AttributeProto", {5: TENSOR, 6: _GRAPH, 10: TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE})
_NODE = Kind("NodeProto", {5: _ATTRIBUTE})
_GRAPH.children.update({1: _NODE, 5: TENSOR, 15: _SPARSE})
_TRAINING = Kind("TrainingInfoProto", {1: _GRAPH, 2: _GRAPH})
_FUNCTION = Kind("FunctionProto", {7: _NODE, 11: _ATTRIBUTE})
MODEL = Kind("ModelProto", {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION})


def skeleton(data: memoryview, kind: Kind = MODEL) -> bytes:
    """The serialized message without the values of its large tensors.

    data: the bytes of the file. A tensor with more than `MAX_INLINE_BYTES` bytes in a value field gets `data_location`
    EXTERNAL and the `external_data` entries `location` = `THIS_FILE` and, for each piece of a value field, the number
    of the field -> `offset:length` of the payload in the file. Raises FormatError if the bytes are malformed.
    """
    return _shrink(data, kind, 0, len(data), 0)


def _shrink(data: memoryview, kind: Kind, start: int, end: int, depth: int) -> bytes:
    if end - start <= MAX_INLINE_BYTES:
        return bytes(data[start:end])
    if kind is TENSOR:
        return _shrink_tensor(data, start, end)
    if depth > MAX_DEPTH:
        raise FormatError(f"messages are nested more than {MAX_DEPTH} deep", where=f"byte {start}")
    result = bytearray()
    copied = start
    for number, wire, begin, payload, stop in _fields(data, kind, start, end):
        child = kind.children.get(number)
        if child is not None and wire == BYTES and stop - payload > MAX_INLINE_BYTES:
            result += data[copied:begin]
            result += delimited(number, _shrink(data, child, payload, stop, depth + 1))
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
    if all(length <= MAX_INLINE_BYTES for _, _, length in spans):
        return bytes(data[start:end])
    result += data[copied:end]
    result += tag(_DATA_LOCATION, VARINT) + varint(_EXTERNAL)
    result += _entry("location", THIS_FILE)
    for number, offset, length in spans:
        result += _entry(str(number), f"{offset}:{length}")
    return bytes(result)


def _fields(data: memoryview, kind: Kind, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    return fields(data, kind.name, start, end, "the file is damaged or truncated, or not an ONNX model")


def _entry(key: str, value: str) -> bytes:
    return delimited(_EXTERNAL_DATA, delimited(1, key.encode()) + delimited(2, value.encode()))
