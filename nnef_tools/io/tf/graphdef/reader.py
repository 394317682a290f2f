"""Reads GraphDef files, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ....errors import FileError, FormatError, MissingPackageError, UsageError
from ....model.graph import Graph
from ...files import read_consistently
from ...input_values import Array, Values
from ...mapped import Bytes, read_file
from ...protobuf import Message, decode, parse_text
from .build import InputShapes, build_graph
from .placeholders import set_placeholders
from .schema import SCHEMA

T = TypeVar("T")

# Protobuf's limit, so no GraphDef can be larger.
MAX_SIZE = (1 << 31) - 1

_HINT = "the file is damaged or truncated, or not a TensorFlow graph"
_SAVED_MODEL = "saved_model.pb"


class Reader:
    """Reads a GraphDef (`.pb`, or `.pbtxt` as text) into a Graph of the TensorFlow dialect.

    SavedModel folders, `.keras` and `.h5` files are read by TensorFlow, which must be installed. fold_constants:
    evaluate what does not depend on inputs by TensorFlow, if that is installed and knows all operators of the graph
    (the conversion does so for those that it has rules for).

    In the Graph, `op.type` is the operator and `op.name` the name of the node; inputs and outputs are lists; tensors
    are named `node` or, for further results, `node:1`. `op.attribs` has the attributes of the node and TensorFlow's
    defaults for others: int, float, bool, str, list; a type is a numpy class, a shape a tuple, a tensor an array. A
    Const has its value, a read-only view of the memory-mapped file, as attribute and as `.data` of its output. The
    graph's inputs are the outputs of Placeholder operations, its outputs those of a signature, or of operations of
    which nothing is used (except for operations with effects only).

    set_inputs: name -> value of placeholders (also of those with a default) that become constants before control flow
    is looked at, so that only the branches that are taken are left; `values` are those of the last file as arrays.
    signature: the one to read, of a SavedModel with several.

    Functions are put in where they are called; the bodies of (Stateless)While, If and Case are nested Graphs. Loops
    of TensorFlow 1 become StatelessWhile, its conditionals StatelessIf. Composites (PyFunc) have the name of their
    function as type, `custom` set, and only their own attributes. Control inputs are dropped, and what no output needs
    (NoOp, Assert, ..); `warnings` then names what has effects. Operators that pass on their input (Identity,
    StopGradient, CheckNumerics, ..) are resolved; one that names an output of the graph gives its name to that tensor,
    and is kept for inputs and constants. `graph.metadata` has producer, versions and aliases {name of a resolved or
    renamed tensor: name in the Graph}.
    """

    def __init__(
        self, fold_constants: bool = False, set_inputs: Values | None = None, signature: str | None = None
    ) -> None:
        self._fold_constants = fold_constants
        self._signature = signature
        self._set_inputs = set_inputs or {}
        self.values: dict[str, Array] = {}
        self.warnings: list[str] = []

    def __call__(self, filename: str | os.PathLike[str], input_shapes: InputShapes | None = None) -> Graph:
        """input_shapes: input name -> extents (None keeps one open).

        Raises FileError, FormatError if the file is not a valid graph, UsageError for impossible input shapes and
        values, MissingPackageError for files that need TensorFlow without it.
        """
        path = Path(filename)
        graph, self.warnings = _located(lambda: self._built(path, input_shapes), path)
        return graph

    def _built(self, path: Path, input_shapes: InputShapes | None) -> tuple[Graph, list[str]]:
        message, outputs = parse_file(path, self._signature)
        if self._set_inputs:
            self.values = set_placeholders(message, self._set_inputs, input_shapes or {})
            input_shapes = {name: shape for name, shape in (input_shapes or {}).items() if name not in self.values}
        graph, warnings = build_graph(message, input_shapes, outputs)
        if not self._fold_constants:
            return graph, warnings
        try:
            from .folding import folded

            message = parse(np.frombuffer(folded(encoded(message), input_shapes), np.uint8))
        except MissingPackageError:
            return graph, warnings
        except FormatError as error:
            return graph, [*warnings, f"constants are not folded by TensorFlow: {error.message}"]
        return build_graph(message, input_shapes, outputs)[0], warnings


def encoded(message: Message) -> bytes:
    """The serialized message."""
    from ...protobuf import encode

    return b"".join(chunk.tobytes() if isinstance(chunk, np.ndarray) else bytes(chunk) for chunk in encode(message))


def parse_file(path: Path, signature: str | None = None) -> tuple[Message, list[str] | None]:
    """The message of a file, whose large values stay in it, and the names of its outputs, if the file tells them.

    signature: of a SavedModel. Raises FileError, FormatError, UsageError, MissingPackageError.
    """
    if path.name == _SAVED_MODEL and path.is_file():
        path = path.parent
    if signature is not None and not path.is_dir():
        raise UsageError(f"there is no signature '{signature}': only SavedModels have signatures", where=str(path))
    if path.is_dir() or path.suffix.lower() in (".keras", ".h5", ".hdf5"):
        from ..saved_model import freeze_file

        frozen, outputs = freeze_file(path, signature)
        return parse(np.frombuffer(frozen, np.uint8)), outputs
    data = read_consistently(path, lambda: read_file(path))
    return _parse_text(data, path) if path.suffix.lower() == ".pbtxt" else parse(data), None


def parse(data: Bytes) -> Message:
    """The message of a serialized GraphDef. Raises FormatError."""
    if len(data) > MAX_SIZE:
        raise FormatError(
            f"the file has {len(data)} bytes, but a TensorFlow graph can have {MAX_SIZE} at most",
            hint="split the model, or store its weights with half precision",
        )
    try:
        return decode(data.data, SCHEMA["GraphDef"])
    except FormatError as error:
        raise FormatError(error.message, where=error.where, hint=_HINT) from error


def _parse_text(data: Bytes, path: Path) -> Message:
    if len(data) > MAX_SIZE:
        raise FormatError(f"the file has {len(data)} bytes, more than a TensorFlow graph can have")
    try:
        text = bytes(data).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"the text is not UTF-8: {error}", hint=_HINT) from error
    return parse_text(text, SCHEMA["GraphDef"], str(path), skip_unknown=True)


def _located(read: Callable[[], T], path: Path) -> T:
    """The result of reading; the path is added to errors in the file."""
    try:
        return read()
    except FormatError as error:
        if error.where and error.where.startswith(str(path)):
            raise
        where = f"{path}: {error.where}" if error.where else str(path)
        raise FormatError(error.message, error.details, where=where, hint=error.hint) from error
    except MemoryError as error:
        raise FileError("there is not enough memory to read the file", where=str(path)) from error
