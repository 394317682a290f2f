"""Writes TensorFlow Lite files, without TensorFlow."""

from __future__ import annotations

import base64
import binascii
import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError, UsageError
from ....model.graph import Graph, Operation, Tensor
from ...files import replace_file
from .flatbuffer import Table, encode
from .reader import IDENTIFIER, VERSION
from .schema import tflite_schema
from .types import ITEM_TYPES, PACKED, TYPE_NAMES, packed
from .versions import operator_version, runtime_version

Array = NDArray[Any]

MAX_SIZE = (1 << 31) - 1
"""Largest FlatBuffer, in bytes. Values of larger models are behind it."""

_MISSING = -1
_NO_BUFFER = 0
_OLD_CODES = 127
_PLACEHOLDER = 1  # an offset and size that say: the value is elsewhere
_RUNTIME_VERSION = "min_runtime_version"
_RUNTIME_VERSION_SIZE = 16
_TYPE_NUMBERS = {name: number for number, name in enumerate(ITEM_TYPES)}


class Writer:
    """Writes a Graph of the TFLite dialect, see `Reader`; the same graph gives the same bytes.

    Operators get the lowest version that is sufficient; `min_runtime_version` is that of the runtime that has them all.
    """

    def __call__(self, graph: Graph, filename: str | os.PathLike[str]) -> None:
        """Writes all or nothing. FormatError if the graph has no such file, FileError."""
        model = _Model(graph)
        files = _archive(graph.metadata.get("associated_files"))
        with replace_file(Path(filename)) as stream:
            model.write(stream)
            stream.write(files)


@dataclass(frozen=True)
class _Value:
    """The bytes of a constant, written from where they are."""

    array: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def write(self, stream: BinaryIO) -> object:
        return stream.write(self.array.data)


class _Model:
    """The tables of a model, and the values of its constants."""

    def __init__(self, graph: Graph) -> None:
        self._schema = tflite_schema()
        self._numbers = {name: code for code, name in self._schema.operators.items()}
        self._graphs: dict[Graph, int] = {}
        self._values: list[_Value] = []
        self._places: dict[tuple[int, int, str, tuple[int, ...]], int] = {}
        self._codes: dict[tuple[str, bool, int], int] = {}
        self._collect(graph)
        subgraphs = [self._subgraph(item) for item in self._graphs]
        metadata = self._metadata(graph)
        self._tables: Table = {
            "version": VERSION,
            "operator_codes": [self._code(*key) for key in self._codes],
            "subgraphs": subgraphs,
            "description": _text(graph.metadata.get("description")),
            "metadata": metadata or None,
            "signature_defs": self._signatures(graph),
        }

    def write(self, stream: BinaryIO) -> None:
        """Writes the FlatBuffer; where it would be too large, constants follow it."""
        inside: list[Table] = [{}, *({"data": value} for value in self._values)]
        result = encode({**self._tables, "buffers": inside}, self._schema, "Model", IDENTIFIER)
        if result.size <= MAX_SIZE:
            result.write(stream)
            return
        sizes = [value.nbytes for value in self._values]
        size = encode({**self._tables, "buffers": _outside(sizes, 0)}, self._schema, "Model", IDENTIFIER).size
        result = encode({**self._tables, "buffers": _outside(sizes, size)}, self._schema, "Model", IDENTIFIER)
        result.write(stream)
        for value in self._values:
            value.write(stream)
            stream.write(bytes(-value.nbytes % _ALIGNMENT))

    # graphs

    def _collect(self, graph: Graph) -> None:
        """Numbers the graph and, after it, those that its operations have."""
        self._graphs.setdefault(graph, len(self._graphs))
        for op in graph.operations:
            for value in op.attribs.values():
                if isinstance(value, Graph) and value not in self._graphs:
                    self._collect(value)

    def _subgraph(self, graph: Graph) -> Table:
        tensors = [tensor for tensor in graph.tensors if tensor.name != "" or tensor.producer is not None]
        index = {tensor: k for k, tensor in enumerate(tensors)}
        variables = set(graph.metadata.get("variables") or ())
        return {
            "tensors": [self._tensor(tensor, tensor.name in variables) for tensor in tensors],
            "inputs": [index[tensor] for tensor in graph.inputs],
            "outputs": [index[tensor] for tensor in graph.outputs],
            "operators": [self._operator(op, index) for op in graph.operations],
            "name": graph.name,
        }

    def _tensor(self, tensor: Tensor, is_variable: bool) -> Table:
        type = TYPE_NAMES.get(tensor.dtype)
        if type is None:
            raise FormatError(f"tensor '{tensor.name}' has a type that TFLite does not have: {tensor.dtype}")
        if tensor.shape is None:
            raise FormatError(f"the rank of tensor '{tensor.name}' is not known")
        is_open = None in tensor.shape
        return {
            "shape": [1 if extent is None else extent for extent in tensor.shape],
            "shape_signature": [-1 if extent is None else extent for extent in tensor.shape] if is_open else None,
            "type": _TYPE_NUMBERS[type],
            "buffer": _NO_BUFFER if tensor.data is None else self._buffer(tensor, type),
            "name": tensor.name,
            "quantization": _quantization(tensor.quant or {}, tensor),
            "is_variable": is_variable,
            "has_rank": True,
        }

    def _buffer(self, tensor: Tensor, type: str) -> int:
        """The number of the buffer with the value; the same memory is written once."""
        array = np.asarray(tensor.data)
        if tuple(array.shape) != tensor.shape:
            raise FormatError(
                f"the value of '{tensor.name}' has shape {list(array.shape)}, not {list(tensor.shape or ())}"
            )
        key = (array.__array_interface__["data"][0], array.nbytes, type, array.strides)
        if key not in self._places or not array.nbytes:
            self._values.append(_Value(_stored(array, type)))
            self._places[key] = len(self._values)
        return self._places[key]

    # operations

    def _operator(self, op: Operation, index: Mapping[Tensor, int]) -> Table:
        type = str(op.type)
        attribs = {key: value for key, value in op.attribs.items() if not key.startswith("_")}
        version = 1 if op.custom else operator_version(op)
        result: Table = {
            "opcode_index": self._codes.setdefault((type, op.custom, version), len(self._codes)),
            "inputs": [
                _MISSING if tensor.name == "" and tensor not in index else index[tensor] for tensor in op.inputs
            ],
            "outputs": [index[tensor] for tensor in op.outputs],
            "intermediates": [index[tensor] for tensor in op.attribs.get("_intermediates", ())] or None,
        }
        if op.custom:
            result["custom_options"] = _custom_options(type, attribs)
            return result
        if type not in self._numbers:
            raise FormatError(f"TFLite has no operator '{type}'")
        if attribs or type in self._schema.options:
            result.update(self._options(type, attribs))
        return result

    def _options(self, type: str, attribs: Mapping[str, Any]) -> Table:
        name = self._schema.options.get(type)
        fields = {field.name: field for field in self._schema.tables[name]} if name else {}
        values: Table = {}
        for key, value in attribs.items():
            called = f"{key}_index" if isinstance(value, Graph) and key not in fields else key
            if called not in fields:
                raise FormatError(f"{type} has no option '{key}'")
            values[called] = self._option(value)
        if name is None:
            return {}
        union = "BuiltinOptions" if name in self._schema.unions["BuiltinOptions"] else "BuiltinOptions2"
        field = "builtin_options" if union == "BuiltinOptions" else "builtin_options2"
        return {f"{field}_type": self._schema.unions[union].index(name), field: values}

    def _option(self, value: Any) -> Any:
        if isinstance(value, Graph):
            return self._graphs[value]
        if value in TYPE_NAMES if isinstance(value, type) else False:
            return _TYPE_NUMBERS[TYPE_NAMES[value]]
        return value.item() if isinstance(value, np.generic) else value

    def _code(self, type: str, custom: bool, version: int) -> Table:
        number = self._numbers["CUSTOM"] if custom else self._numbers[type]
        return {
            "deprecated_builtin_code": min(number, _OLD_CODES),
            "builtin_code": number,
            "custom_code": type if custom else None,
            "version": version,
        }

    # facts

    def _metadata(self, graph: Graph) -> list[Table]:
        kept = {key: _bytes(value) for key, value in _mapping(graph.metadata.get("tflite_metadata")).items()}
        version = runtime_version((type, number) for type, custom, number in self._codes if not custom)
        kept[_RUNTIME_VERSION] = version.encode("ascii").ljust(_RUNTIME_VERSION_SIZE, b"\0")
        tables = []
        for name, content in sorted(kept.items()):
            self._values.append(_Value(np.frombuffer(content, np.uint8)))
            tables.append({"name": name, "buffer": len(self._values)})
        return tables

    def _signatures(self, graph: Graph) -> list[Table] | None:
        """The signature of the model, as far as its tensors are still there."""
        key = graph.metadata.get("signature")
        if not isinstance(key, str):
            return None
        tensors = [tensor for tensor in graph.tensors if tensor.name != "" or tensor.producer is not None]
        index = {tensor: k for k, tensor in enumerate(tensors)}
        maps = {}
        for role, bound in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            named = {tensor: name for name, tensor in _mapping(graph.metadata.get(f"signature_{role}")).items()}
            maps[role] = [{"name": str(named.get(t.name, t.name)), "tensor_index": index[t]} for t in bound]
        return [{"signature_key": key, **maps, "subgraph_index": 0}]


_ALIGNMENT = 16


def _outside(sizes: Sequence[int], start: int) -> list[Table]:
    """The buffers of values that follow the FlatBuffer from there on."""
    tables: list[Table] = [{}]
    for size in sizes:
        tables.append({"offset": max(start, _PLACEHOLDER + 1), "size": size})
        start += -(-size // _ALIGNMENT) * _ALIGNMENT
    return tables


def _stored(array: Array, type: str) -> NDArray[np.uint8]:
    """The bytes of a value."""
    if type == "STRING":
        return _strings(array)
    if type in PACKED:
        return packed(array, PACKED[type])
    plain = np.ascontiguousarray(array, np.dtype(ITEM_TYPES[type]).newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8)


def _strings(array: Array) -> NDArray[np.uint8]:
    texts = [item if isinstance(item, bytes) else str(item).encode() for item in array.reshape(-1)]
    ends = np.cumsum([4 * (len(texts) + 2), *map(len, texts)])
    head = np.asarray([len(texts), *ends], "<i4").tobytes()
    return np.frombuffer(head + b"".join(texts), np.uint8)


def _quantization(quant: Mapping[str, Any], tensor: Tensor) -> Table | None:
    if not quant:
        return None
    surplus = quant.keys() - {"min", "max", "scale", "zero_point", "quantized_dimension"}
    if surplus:
        raise FormatError(f"tensor '{tensor.name}' is quantized with '{min(surplus)}', which TFLite does not have")
    lists = {
        key: None if quant.get(key) is None else np.atleast_1d(quant[key]).tolist() for key in ("min", "max", "scale")
    }
    zero_point = quant.get("zero_point")
    return {
        **lists,
        "zero_point": None if zero_point is None else np.atleast_1d(zero_point).tolist(),
        "quantized_dimension": int(quant.get("quantized_dimension") or 0),
    }


def _custom_options(type: str, attribs: Mapping[str, Any]) -> bytes | None:
    raw = attribs.get("custom_options")
    if not attribs:
        return None
    if isinstance(raw, bytes) and len(attribs) == 1:
        return raw
    from .flexbuffer import encode_map

    try:
        return encode_map(attribs)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(
            f"the options of the custom operator '{type}' have no place in a FlexBuffer: {error}"
        ) from error


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise UsageError("metadata of TFLite models is in base64") from error


def _archive(files: Any) -> bytes:
    """The ZIP archive with the associated files, without times; nothing if there are none."""
    named = _mapping(files)
    if not named:
        return b""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in sorted(named.items()):
            archive.writestr(zipfile.ZipInfo(name), _bytes(text))
    return content.getvalue()
