"""Reads ONNX files. The onnx package is imported only for models that define functions."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from ...errors import FormatError, MissingPackageError, NnefToolsError
from ...model.graph import Graph
from ..files import read_consistently
from .build import build_graph
from .schema import parse_model, parse_tensor
from .storage import Storage
from .tensors import Array, to_array
from .wire import MODEL, TENSOR, Kind, skeleton

if TYPE_CHECKING:
    from onnx import ModelProto

T = TypeVar("T")
InputShapes = Mapping[str, Sequence[Any]]

# The most that protobuf can parse; without its weights, no real model comes near.
_MAX_SKELETON = 1 << 30

_HINT = "the file is damaged or truncated, or not an ONNX file"


class Reader:
    """Reads an ONNX file into a Graph of the ONNX dialect.

    simplify: run the onnxsim package on the model first (this loads all of it into memory); optimize: whether onnxsim
    also fuses operators (default True).

    In the Graph, `op.type` is the operator type, `op.domain` its domain ('' for ai.onnx), `op.attribs` the attributes
    that are present. Constants are tensors with `.data` (read-only arrays on the memory-mapped file), also the outputs
    of Constant nodes, which stay. A missing optional input is one shared tensor named '' and an omitted output a tensor
    of that name of its own; missing ones at the end are absent. Graph attributes are nested Graphs, in which operations
    use tensors of the enclosing graphs directly. Model-local functions are inlined, nodes sorted. Tensors have the
    types and shapes that the model declares; `inference.infer_shapes` finds others.
    `graph.metadata` has opset {domain: version}, ir_version, producer, producer_version, doc, metadata_props and
    symbolic {tensor: extents, a name where the extent is open}. `files` are those of the last model.
    """

    def __init__(self, simplify: bool = False, optimize: bool | None = None) -> None:
        self._simplify = simplify
        self._optimize = optimize
        self.files: tuple[Path, ...] = ()

    def __call__(self, filename: str | os.PathLike[str], input_shapes: InputShapes | None = None) -> Graph:
        """input_shapes: input name -> extents, which count more than those of the file (None keeps one).

        Raises FileError, FormatError if the file is not a valid model, UsageError for impossible input shapes,
        MissingPackageError without the onnx package for a model that defines functions.
        """
        path = Path(filename)
        self.files = (path,)
        if self._simplify:
            return _located(lambda: _read_model(_simplified(path, input_shapes, self._optimize), input_shapes), path)
        graph, external = read_consistently(path, lambda: _located(lambda: _read_file(path, input_shapes), path))
        self.files += external
        return graph

    def onnx_model_to_graph(self, model: ModelProto) -> Graph:
        """The Graph of a model in memory, which stays as it is. Its external data must be loaded."""
        return onnx_model_to_graph(model)

    def read_tensor(self, file: str | os.PathLike[str] | BinaryIO) -> Array:
        """See the function of that name."""
        return read_tensor(file)


def onnx_model_to_graph(model: ModelProto) -> Graph:
    """The Graph of a model in memory, which stays as it is. Raises FormatError if it is invalid."""
    return _read_model(Storage(np.frombuffer(model.SerializeToString(), np.uint8)), None)


def read_tensor(file: str | os.PathLike[str] | BinaryIO) -> Array:
    """The array of a file with a serialized TensorProto, given by its path or open in binary mode.

    Raises FileError, FormatError.
    """
    if isinstance(file, (str, os.PathLike)):
        path = Path(file)
        return _located(lambda: _read_tensor(Storage.open(path)), path)
    return _read_tensor(Storage(np.frombuffer(file.read(), np.uint8)))


def _located(read: Callable[[], T], path: Path) -> T:
    """The result of reading; the path is added to errors in the file."""
    try:
        return read()
    except FormatError as error:
        where = f"{path}: {error.where}" if error.where else str(path)
        raise FormatError(error.message, error.details, where=where, hint=error.hint) from error


def _read_file(path: Path, input_shapes: InputShapes | None) -> tuple[Graph, tuple[Path, ...]]:
    """The graph in a file, and the files of its external data."""
    storage = Storage.open(path)
    return _read_model(storage, input_shapes), storage.external_files


def _read_model(storage: Storage, input_shapes: InputShapes | None) -> Graph:
    data = _skeleton(storage, MODEL)
    try:
        model = parse_model(data)
        if "functions" in model:
            model = parse_model(_without_functions(data))
    except FormatError as error:
        raise FormatError(error.message, where=error.where, hint=error.hint or _HINT) from error
    return build_graph(model, storage, input_shapes)


def _read_tensor(storage: Storage) -> Array:
    return to_array(parse_tensor(_skeleton(storage, TENSOR)), storage)


def _skeleton(storage: Storage, kind: Kind) -> bytes:
    data = skeleton(storage.data.data, kind)
    if len(data) > _MAX_SKELETON:
        raise FormatError(f"the model has {len(data)} bytes without its large tensors, more than can be parsed")
    return data


def _without_functions(data: bytes) -> bytes:
    """The model with the calls of its functions replaced by their bodies."""
    try:
        from onnx import ModelProto
    except ImportError as error:
        raise MissingPackageError("onnx", "to read ONNX models that define functions", "onnx") from error
    from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped, unused-ignore]

    from .inline import inline_functions

    try:
        model = ModelProto.FromString(data)
        inline_functions(model)
        inlined: bytes = model.SerializeToString()
    except (DecodeError, EncodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not a valid ModelProto: {error}") from error
    return inlined


def _simplified(path: Path, input_shapes: InputShapes | None, optimize: bool | None) -> Storage:
    import onnx

    try:
        onnxsim = importlib.import_module("onnxsim")
    except ImportError as error:
        missing = MissingPackageError("onnxsim", "to simplify ONNX models", "onnx")
        missing.hint = "pip install onnxsim"  # no extra of this package installs it
        raise missing from error
    shapes = {name: list(shape) for name, shape in input_shapes.items()} if input_shapes else None
    try:
        model, _ = onnxsim.simplify(
            onnx.load(path), overwrite_input_shapes=shapes, perform_optimization=optimize is not False
        )
    except NnefToolsError:
        raise
    except Exception as error:  # onnxsim documents no classes of errors
        raise FormatError(f"onnxsim cannot simplify the model: {error}") from error
    return Storage(np.frombuffer(model.SerializeToString(), np.uint8))
