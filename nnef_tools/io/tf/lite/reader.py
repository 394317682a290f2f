"""Reads TensorFlow Lite files, without TensorFlow."""

from __future__ import annotations

import base64
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError, UsageError, shape_text
from ....model.graph import Graph, Tensor
from ...mapped import read_file
from .build import GraphBuilder
from .flatbuffer import Table, decode
from .schema import tflite_schema

InputShapes = Mapping[str, Sequence[Any]]

IDENTIFIER = b"TFL3"
VERSION = 3

_HINT = "the file is damaged or truncated, or not a TensorFlow Lite model"


class Reader:
    """Reads a TensorFlow Lite model (`.tflite`) into a Graph of the TFLite dialect.

    signature: the key of the signature to read, for models that have several.

    In the Graph, `op.type` is the name of the builtin operator, as in the schema (`CONV_2D`), or that of a custom one,
    which has `op.custom` set. `op.attribs` are the options in snake case with their defaults, none if the file has
    none; `padding`, `fused_activation_function`, `weights_format`, `kernel_type` and `combiner` are names, other enums
    numbers; those of a custom operator are the items of its FlexBuffer, or `custom_options`, the bytes. Subgraphs are
    nested Graphs: `cond_subgraph`, `body_subgraph`, `then_subgraph`, `else_subgraph`, `init_subgraph`, `subgraph`,
    `decomposition_subgraph`; one that several operators use is one object. Inputs and outputs are tuples. A missing
    optional input is one shared tensor named ''.

    Constants are tensors with `.data`, read-only arrays on the memory-mapped file; sparse ones are dense (a DENSIFY of
    one is gone), those of 4 and 2 bits have items of such a type. Extents that the file leaves open have the value with
    which it was written, unless input_shapes has another one: then they are None for all other tensors. The `dtype` is
    that of the stored items; `quant` has min, max, scale, zero_point (numbers, or arrays per channel) and
    quantized_dimension.
    `graph.metadata` has, where the file has them: description, signature, signature_inputs and signature_outputs (name
    in the signature -> tensor), variables (names of tensors that keep their value from run to run), tflite_metadata
    (name -> contents) and associated_files (name -> contents), both in base64.
    """

    def __init__(self, signature: str | None = None) -> None:
        self._signature = signature
        self.warnings: list[str] = []

    def __call__(self, filename: str | os.PathLike[str], input_shapes: InputShapes | None = None) -> Graph:
        """input_shapes: input name -> extents, for those that the model leaves open (None keeps one open).

        Raises FileError, FormatError if the file is not a valid model, UsageError for impossible input shapes and
        unknown signatures.
        """
        path = Path(filename)
        try:
            graph, tables = self._read(path)
        except FormatError as error:
            where = f"{path}: {error.where}" if error.where else str(path)
            raise FormatError(error.message, error.details, where=where, hint=error.hint or _HINT) from error
        self.warnings = _set_input_shapes(graph, tables, input_shapes or {})
        return graph

    def _read(self, path: Path) -> tuple[Graph, Sequence[Table]]:
        """The graph, and the tables of its tensors."""
        content = read_file(path)
        model = decode(content.data, tflite_schema(), "Model", IDENTIFIER)
        if model["version"] != VERSION:
            raise FormatError(f"version {model['version']} of the format is not supported, only {VERSION}")
        if not model["subgraphs"]:
            raise FormatError("the model has no subgraph")
        signature = self._chosen(model, path)
        builder = GraphBuilder(model, _Buffers(model, content, path))
        graph = builder.graph(signature["subgraph_index"] if signature else 0)
        tables = model["subgraphs"][signature["subgraph_index"] if signature else 0]["tensors"] or []
        graph.metadata = {key: value for key, value in _facts(model, signature, tables, path).items() if value}
        return graph, tables

    def _chosen(self, model: Table, path: Path) -> Table | None:
        signatures = {item["signature_key"] or "": item for item in model["signature_defs"] or []}
        known = ", ".join(sorted(signatures)) or "none"
        if self._signature is not None:
            if self._signature not in signatures:
                raise UsageError(
                    f"the model has no signature '{self._signature}'", where=str(path), hint=f"it has {known}"
                )
            found: Table = signatures[self._signature]
            return found
        if len({item["subgraph_index"] for item in signatures.values()}) > 1:
            raise UsageError(
                f"the model has several signatures: {known}", where=str(path), hint="choose one with --signature"
            )
        return next(iter(signatures.values()), None)


class _Buffers:
    """The contents of tensors: in buffers of the file, behind its tables, or in other files."""

    def __init__(self, model: Table, content: NDArray[np.uint8], path: Path) -> None:
        self._buffers = model["buffers"] or []
        self._external = {item["id"]: item for item in model["external_buffers"] or []}
        self._groups = [group["name"] or "" for group in model["external_buffer_groups"] or []]
        self._content = content
        self._path = path
        self._files: dict[str, NDArray[np.uint8]] = {}

    def __call__(self, tensor: Table) -> NDArray[np.uint8] | None:
        if tensor["external_buffer"]:
            return self._outside(tensor["external_buffer"])
        index = tensor["buffer"]
        if not index:  # the buffer of what has no value
            return None
        if index >= len(self._buffers):
            raise FormatError(f"there is no buffer {index}")
        buffer = self._buffers[index]
        if buffer["offset"] > 1:  # smaller ones are placeholders
            return _part(self._content, buffer["offset"], buffer["size"])
        data: NDArray[np.uint8] | None = buffer["data"]
        return data if data is not None and data.size else None

    def _outside(self, number: int) -> NDArray[np.uint8]:
        item = self._external.get(number)
        if item is None or not 0 <= item["group"] < len(self._groups):
            raise FormatError(f"there is no external buffer {number}")
        if item["packing"]:
            raise FormatError(f"an external buffer is packed as '{item['packing']}', which is not supported")
        name = self._groups[item["group"]]
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise FormatError(f"the external file '{name}' is not beside the model")
        if name not in self._files:
            self._files[name] = read_file(self._path.with_name(name))
        return _part(self._files[name], item["offset"], item["length"])


def _part(content: NDArray[np.uint8], offset: int, size: int) -> NDArray[np.uint8]:
    if offset + size > content.size:
        raise FormatError(f"{size} bytes at {offset} are outside of the file")
    return content[offset : offset + size]


def _facts(model: Table, signature: Table | None, tensors: Sequence[Table], path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {"description": model["description"]}
    if signature is not None:
        facts["signature"] = signature["signature_key"]
        for key in ("inputs", "outputs"):
            facts[f"signature_{key}"] = {
                item["name"] or "": tensors[item["tensor_index"]]["name"]
                for item in signature[key] or []
                if item["tensor_index"] < len(tensors)
            }
    facts["variables"] = [tensor["name"] for tensor in tensors if tensor["is_variable"] and tensor["name"]]
    buffers = model["buffers"] or []
    facts["tflite_metadata"] = {
        item["name"]: base64.b64encode(buffers[item["buffer"]]["data"]).decode("ascii")
        for item in model["metadata"] or []
        if item["name"] and item["buffer"] < len(buffers) and buffers[item["buffer"]]["data"] is not None
    }
    facts["associated_files"] = _associated_files(path)
    return facts


def _associated_files(path: Path) -> dict[str, str]:
    """The files, such as lists of labels, in the ZIP archive that may follow a model."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                item.filename: base64.b64encode(archive.read(item)).decode("ascii")
                for item in archive.infolist()
                if not item.is_dir() and item.file_size <= path.stat().st_size * _MAX_RATIO
            }
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return {}


_MAX_RATIO = 100


def _open_extents(table: Table) -> list[bool]:
    """For each extent: does the file leave it open?"""
    shape = table["shape"] or []
    signature = table["shape_signature"] or shape
    return [extent < 0 for extent in signature] if len(signature) == len(shape) else [False] * len(shape)


def _set_input_shapes(graph: Graph, tables: Sequence[Table], shapes: InputShapes) -> list[str]:
    """Gives extents to the inputs; if they differ from those of the file, those of other tensors are not known.

    Returns warnings about open extents of inputs that have not been given.
    """
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    for name in shapes.keys() - inputs.keys():
        known = ", ".join(f"'{item}'" for item in inputs)
        raise UsageError(f"the model has no input '{name}'", hint=f"its inputs are {known}")
    is_open = {tensor: _open_extents(table) for tensor, table in zip(graph.tensors, tables, strict=False)}
    warnings, changed = [], False
    for tensor in graph.inputs:
        before = tensor.shape
        given = shapes.get(str(tensor.name))
        if given is not None:
            _set_shape(tensor, is_open[tensor], given)
        elif any(is_open[tensor]):
            warnings.append(
                f"the shape of input '{tensor.name}' is open, and taken as {shape_text(tensor.shape)} as in the file"
            )
        changed |= tensor.shape != before
    for tensor, extents in is_open.items() if changed else ():
        if tensor not in graph.inputs and tensor.data is None:
            tensor.shape = tuple(
                None if unknown else extent for extent, unknown in zip(tensor.shape or (), extents, strict=True)
            )
    return warnings


def _set_shape(tensor: Tensor, is_open: Sequence[bool], given: Sequence[Any]) -> None:
    known = tensor.shape or ()
    wanted = tuple(a if b is None else b for a, b in zip(known, given, strict=False))
    fits = len(known) == len(given) and all(
        unknown or a in (None, b) for a, b, unknown in zip(known, wanted, is_open, strict=True)
    )
    if not fits:
        signature = tuple(None if unknown else extent for extent, unknown in zip(known, is_open, strict=True))
        text = shape_text(tuple(given))
        raise UsageError(f"input '{tensor.name}' has shape {shape_text(signature)}, it cannot get {text}")
    tensor.shape = wanted
