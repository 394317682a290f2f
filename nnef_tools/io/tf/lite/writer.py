"""Writes TensorFlow Lite files, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ....dialects.tflite.schema import tflite_schema
from ....errors import FormatError
from ....model.facts import OPEN_EXTENTS
from ....model.graph import Graph, Operation, Tensor
from ....model.state import VARIABLES
from ...files import replace_file
from .build import CUSTOM_OPTIONS, CUSTOM_VERSION, ORIGINAL_NAMES
from .calls import graphs_of, option_field
from .flatbuffer import Table, encode
from .metadata import as_list, as_mapping, from_text, write_archive
from .quantization import quantization_table
from .reader import IDENTIFIER, VERSION
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
        with replace_file(Path(filename)) as stream:
            model.write(stream)
            write_archive(stream, graph.metadata.get("associated_files"))


@dataclass(frozen=True)
class _Value:
    """The bytes of a constant, written from where they are. owner: the array that they are the items of, if any."""

    array: NDArray[np.uint8]
    owner: Any = None

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
        self._places: dict[tuple[Any, ...], int] = {}
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
            "signature_defs": _signatures(graph),
        }

    def write(self, stream: BinaryIO) -> None:
        """Writes the FlatBuffer; where it would be too large, constants follow it."""
        inside: list[Table] = [{}, *({"data": value} for value in self._values)]
        result = encode({**self._tables, "buffers": inside}, self._schema, "Model", IDENTIFIER)
        if result.size <= MAX_SIZE:
            result.write(stream)
            return
        sizes = [value.nbytes for value in self._values]
        # the tables take the same space, wherever the values are
        size = encode({**self._tables, "buffers": _outside(sizes, 0)}, self._schema, "Model", IDENTIFIER).size
        if size > MAX_SIZE:
            raise FormatError(
                f"the model takes {size} bytes without its constants, TFLite files have at most {MAX_SIZE}"
            )
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
            for nested in (nested for value in op.attribs.values() for nested in graphs_of(value)):
                if nested not in self._graphs:
                    self._collect(nested)

    def _subgraph(self, graph: Graph) -> Table:
        index = _numbered(graph)
        variables = as_list(graph.metadata.get(VARIABLES))
        names = as_mapping(graph.metadata.get(ORIGINAL_NAMES))
        open_axes = as_mapping(graph.metadata.get(OPEN_EXTENTS))
        return {
            "tensors": [
                {
                    **self._tensor(tensor, as_list(open_axes.get(tensor.name or ""))),
                    "name": _original(tensor.name, names),
                    "is_variable": tensor.name in variables,
                }
                for tensor in index
            ],
            "inputs": [index[tensor] for tensor in graph.inputs],
            "outputs": [index[tensor] for tensor in graph.outputs],
            "operators": [self._operator(op, index) for op in graph.operations],
            "name": graph.name,
        }

    def _tensor(self, tensor: Tensor, open_axes: Sequence[int]) -> Table:
        type = TYPE_NAMES.get(tensor.dtype)
        if type is None:
            raise FormatError(f"tensor '{tensor.name}' has a type that TFLite does not have: {tensor.dtype}")
        if tensor.shape is None:
            raise FormatError(f"the rank of tensor '{tensor.name}' is not known")
        signature = [-1 if extent is None or k in open_axes else extent for k, extent in enumerate(tensor.shape)]
        return {
            "shape": [1 if extent is None else extent for extent in tensor.shape],
            "shape_signature": signature if -1 in signature else None,
            "type": _TYPE_NUMBERS[type],
            "buffer": _NO_BUFFER if tensor.data is None else self._buffer(tensor, type),
            "quantization": quantization_table(tensor),
            "has_rank": True,
        }

    def _buffer(self, tensor: Tensor, type: str) -> int:
        """The number of the buffer with the value; the same memory is written once."""
        array = np.asarray(tensor.data)
        if tuple(array.shape) != tensor.shape:
            raise FormatError(
                f"the value of '{tensor.name}' has shape {list(array.shape)}, not {list(tensor.shape or ())}"
            )
        layout = array.nbytes if array.flags.c_contiguous else (array.shape, array.strides)
        key = (array.__array_interface__["data"][0], layout, type)
        if key not in self._places or not array.nbytes:
            try:
                # the value keeps the array, so that no other one comes to be at its place
                self._values.append(_Value(_stored(array, type), array))
            except FormatError as error:
                error.where = f"tensor '{tensor.name}'"
                raise
            self._places[key] = len(self._values)
        return self._places[key]

    # operations

    def _operator(self, op: Operation, index: Mapping[Tensor, int]) -> Table:
        type = str(op.type)
        attribs = {key: value for key, value in op.attribs.items() if not key.startswith("_")}
        version = attribs.pop(CUSTOM_VERSION, 1) if op.custom else operator_version(op)
        result: Table = {
            "opcode_index": self._codes.setdefault((type, op.custom, version), len(self._codes)),
            "inputs": [
                _MISSING if tensor.name == "" and tensor not in index else index[tensor] for tensor in op.inputs
            ],
            "outputs": [index[tensor] for tensor in op.outputs],
            "intermediates": [index[tensor] for tensor in op.attribs.get("_intermediates", ())] or None,
        }
        if op.custom:
            result["custom_options"] = _custom_options(type, attribs, op.attribs.get(CUSTOM_OPTIONS))
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
            called = option_field(key, value)
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
        if graphs_of(value):
            return [self._graphs[item] for item in value]
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
        kept = {key: from_text(value) for key, value in as_mapping(graph.metadata.get("tflite_metadata")).items()}
        version = runtime_version((type, number) for type, custom, number in self._codes if not custom)
        kept[_RUNTIME_VERSION] = version.encode("ascii").ljust(_RUNTIME_VERSION_SIZE, b"\0")
        tables = []
        for name, content in sorted(kept.items()):
            self._values.append(_Value(np.frombuffer(content, np.uint8)))
            tables.append({"name": name, "buffer": len(self._values)})
        return tables


def _signatures(graph: Graph) -> list[Table] | None:
    """The signature of the model, with all inputs and outputs; those that it does not name have names of tensors."""
    key = graph.metadata.get("signature")
    if not isinstance(key, str):
        return None
    index = _numbered(graph)
    maps = {}
    for role, bound in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        by_name = {tensor.name: tensor for tensor in bound}
        pairs = as_mapping(graph.metadata.get(f"signature_{role}")).items()
        named = {name: by_name[tensor] for name, tensor in pairs if isinstance(tensor, str) and tensor in by_name}
        rest = [tensor for tensor in by_name.values() if tensor not in named.values()]
        named.update((tensor.name or f"tensor_{index[tensor]}", tensor) for tensor in rest)
        maps[role] = [{"name": name, "tensor_index": index[tensor]} for name, tensor in named.items()]
    return [{"signature_key": key, **maps, "subgraph_index": 0}]


def _original(name: str | None, originals: Mapping[str, Any]) -> str | None:
    """The name in the file that a tensor is from."""
    found = originals.get(name or "", name)
    return found if found is None or isinstance(found, str) else name


def _numbered(graph: Graph) -> dict[Tensor, int]:
    """The tensors with their numbers; one that stands for a missing input has none."""
    tensors = (tensor for tensor in graph.tensors if tensor.name != "" or tensor.producer is not None)
    return {tensor: k for k, tensor in enumerate(tensors)}


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
    dtype = np.dtype(ITEM_TYPES[type])
    plain = np.ascontiguousarray(array, dtype.newbyteorder("<"))
    if array.dtype != dtype and not np.array_equal(plain, array, equal_nan=array.dtype.kind in "fc"):
        raise FormatError(f"values of type {array.dtype} are no {type}")
    return plain.reshape(-1).view(np.uint8)


def _strings(array: Array) -> NDArray[np.uint8]:
    texts = [item if isinstance(item, bytes) else str(item).encode() for item in array.reshape(-1)]
    ends = np.cumsum([4 * (len(texts) + 2), *map(len, texts)])
    head = np.asarray([len(texts), *ends], "<i4").tobytes()
    return np.frombuffer(head + b"".join(texts), np.uint8)


def _custom_options(type: str, attribs: Mapping[str, Any], original: bytes | None) -> bytes | None:
    """The options in bytes: those of the file that the operation is from, unless they have changed."""
    from .flexbuffer import decode_map, encode_map

    raw = attribs.get("custom_options")
    if isinstance(raw, (bytes, str)) and len(attribs) == 1:
        try:
            return raw if isinstance(raw, bytes) else bytes.fromhex(raw)
        except ValueError as error:
            raise FormatError(f"the options of the custom operator '{type}' are no hexadecimal number") from error
    if original is not None and decode_map(original) == attribs:
        return original
    if not attribs:
        return None
    try:
        return encode_map(attribs)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(
            f"the options of the custom operator '{type}' have no place in a FlexBuffer: {error}"
        ) from error


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
