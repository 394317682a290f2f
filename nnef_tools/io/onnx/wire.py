"""A protobuf walker that shrinks an ONNX file to a skeleton without its weights.

Parsing a whole ONNX file makes two copies of the weights (the bytes of the file and the message), and protobuf cannot
parse more than 2 GB. Here the few message types that may hold tensors are walked on the bytes of the (memory-mapped)
file; whatever is small is copied as it is, and the values of large tensors are replaced by external data entries that
point back into the file. Only that skeleton is decoded.

Field numbers: onnx.proto of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

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
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 9, 13, 14, 1
_EXTERNAL_LOCATION = tag(_DATA_LOCATION, VARINT) + varint(_EXTERNAL)


Shrink = Callable[[memoryview, int, int], bytes]
"""Shrinks the message between two offsets."""


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of messages: the fields that hold messages in which tensors occur. shrink: of tensors."""

    name: str
    children: dict[int, Kind] = field(default_factory=dict)
    shrink: Shrink | None = None


def _shrink_tensor(data: memoryview, start: int, end: int) -> bytes:
    found = _without_values(data, start, end)
    if found is None or all(length <= MAX_INLINE_BYTES for _, _, length in found[1]):
        return bytes(data[start:end])
    entries = [_entry(str(number), f"{offset}:{length}") for number, offset, length in found[1]]
    return found[0] + _EXTERNAL_LOCATION + _entry("location", THIS_FILE) + b"".join(entries)


TENSOR = Kind("TensorProto", shrink=_shrink_tensor)
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


def with_external_data(data: memoryview, file: str) -> bytes:
    """The serialized model with its large initializers as external data in a file, which is where the bytes are from.

    Those that are stored in another form than runtimes read external data in stay. FormatError as in `skeleton`.
    """
    initializer = Kind("TensorProto", shrink=partial(_externalized, file=file))
    return skeleton(data, Kind("ModelProto", {7: Kind("GraphProto", {5: initializer})}))


def _externalized(data: memoryview, start: int, end: int, *, file: str) -> bytes:
    found = _without_values(data, start, end)
    if found is None or [number for number, _, _ in found[1]] != [_RAW_DATA]:
        return bytes(data[start:end])
    _, offset, length = found[1][0]
    entries = _entry("location", file) + _entry("offset", str(offset)) + _entry("length", str(length))
    return found[0] + _EXTERNAL_LOCATION + entries


def _shrink(data: memoryview, kind: Kind, start: int, end: int, depth: int) -> bytes:
    if end - start <= MAX_INLINE_BYTES:
        return bytes(data[start:end])
    if kind.shrink is not None:
        return kind.shrink(data, start, end)
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


def _without_values(data: memoryview, start: int, end: int) -> tuple[bytes, list[tuple[int, int, int]]] | None:
    """A tensor without its values, and field number, offset and length of their pieces.

    None if its values are in another file, or in too many pieces.
    """
    result = bytearray()
    copied = start
    spans: list[tuple[int, int, int]] = []
    for number, wire, begin, payload, stop in _fields(data, TENSOR, start, end):
        if number == _DATA_LOCATION and wire == VARINT and data[payload] == _EXTERNAL:
            return None
        if number in VALUE_FIELDS and wire in (BYTES, VALUE_FIELDS[number]):
            spans.append((number, payload, stop - payload))
            if len(spans) > MAX_SPANS:
                return None
            result += data[copied:begin]
            copied = stop
    result += data[copied:end]
    return bytes(result), spans


def _fields(data: memoryview, kind: Kind, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    return fields(data, kind.name, start, end, "the file is damaged or truncated, or not an ONNX model")


def _entry(key: str, value: str) -> bytes:
    return delimited(_EXTERNAL_DATA, delimited(1, key.encode()) + delimited(2, value.encode()))
