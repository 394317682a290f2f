"""Writes graphs of the ONNX dialect, with their weights straight from the arrays to the file.

Only a skeleton without initializers is built as a message and serialized by protobuf; the initializers are put around
it on the level of the wire format, so that there is never a second copy of the weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ... import __version__
from ...errors import FileError, FormatError, MissingPackageError
from ...model.graph import Graph
from ..files import is_stream, replace_file, transaction
from ..protobuf.wire import BYTES, tag, varint
from .encode import Array, is_text, raw_parts, raw_size, tensor_header, tensor_message

if TYPE_CHECKING:
    from onnx import ModelProto

    from .messages import ModelMessage

MAX_MESSAGE = (1 << 31) - 1
"""Largest message that protobuf can parse, in bytes."""

ALIGNMENT = 4096
"""Alignment of tensors in external data files: that of memory pages, so that they can be mapped."""

MAX_EMBEDDED_BYTES = 1024
"""Values of at most so many bytes stay in the model, where shape inference sees them."""

# Tags of the fields of onnx.proto that are written by hand.
_GRAPH, _INITIALIZER, _RAW_DATA = tag(7, BYTES), tag(5, BYTES), tag(9, BYTES)


class Writer:
    """Writes a Graph of the ONNX dialect. Its tensors must have names.

    ir_version, opset_version: of the file format and the operator set where the graph does not tell; opset_version
    must not contradict it. external_data: put large initializers into a file `<name>.data` beside the model; done in
    any case where the model would exceed 2 GB. check: run the checker of onnx on its structure.

    The bytes are the same for the same graph. producer is this package, operators without definition get a domain.
    `files` are those of the last model.
    """

    def __init__(
        self,
        ir_version: int | None = None,
        opset_version: int | None = None,
        *,
        external_data: bool = False,
        check: bool = True,
    ) -> None:
        self._ir_version = ir_version
        self._opset_version = opset_version
        self._external_data = external_data
        self._check = check
        self.files: tuple[Path, ...] = ()

    def __call__(self, graph: Graph, filename: str | os.PathLike[str]) -> None:
        """Writes all or nothing. Raises FormatError if the graph is not valid, FileError, MissingPackageError."""
        path = Path(filename)
        self.files = ()
        message = build_message(graph, ir_version=self._ir_version, opset_version=self._opset_version)
        if self._check:
            check_message(message, path)
        inside = Layout(message, {})
        if not self._external_data and inside.size <= MAX_MESSAGE:
            with replace_file(path) as file:
                inside.write(file)
            self.files = (path,)
            return
        if is_stream(path) or path.is_dir():
            raise FileError("external data needs a regular file to stand beside", where=str(path))
        data_name = f"{path.name}.data"
        offsets = external_offsets(message.initializers)
        outside = Layout(message, {name: (data_name, offset) for name, offset in offsets.items()})
        if outside.size > MAX_MESSAGE:
            raise FormatError("the model exceeds 2 GB without its large initializers", where=str(path))
        with transaction(path):
            if offsets:
                with replace_file(path.with_name(data_name)) as data:
                    _write_data(data, offsets, message.initializers)
            with replace_file(path) as file:
                outside.write(file)
        self.files = (path, path.with_name(data_name)) if offsets else (path,)


def build_message(
    graph: Graph, *, ir_version: int | None = None, opset_version: int | None = None, describe_results: bool = True
) -> ModelMessage:
    """The message of a graph, see `ModelMessage`. FormatError; MissingPackageError without the onnx package."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("onnx", "to write ONNX models", "onnx") from error
    from .messages import ModelMessage

    return ModelMessage(
        graph,
        producer_version=__version__,
        ir_version=ir_version,
        opset_version=opset_version,
        describe_results=describe_results,
    )


class Layout:
    """The serialized model as a sequence of pieces: the skeleton, and the initializers around it.

    external: initializer -> file name and offset, for those whose data is elsewhere. size: of all pieces, in bytes.
    """

    def __init__(self, message: ModelMessage, external: Mapping[str, tuple[str, int]]) -> None:
        from onnx import ModelProto

        self._arrays = message.initializers
        frame = ModelProto()
        frame.CopyFrom(message.model)
        frame.ClearField("graph")
        skeleton = message.model.graph.SerializeToString(deterministic=True)
        self._heads: list[tuple[bytes, Array | None]] = []
        for name, array in message.initializers.items():
            self._heads.append(_initializer(name, array, external.get(name)))
        length = len(skeleton) + sum(len(head) + (0 if a is None else raw_size(a)) for head, a in self._heads)
        self._start = frame.SerializeToString(deterministic=True) + _GRAPH + varint(length) + skeleton
        self.size = len(self._start) - len(skeleton) + length

    def write(self, file: BinaryIO) -> None:
        """Writes the model."""
        for piece in self._pieces():
            file.write(piece)

    def to_bytes(self) -> bytes:
        """The model in memory."""
        return b"".join(self._pieces())

    def _pieces(self) -> Iterable[bytes | memoryview]:
        yield self._start
        for head, array in self._heads:
            yield head
            if array is not None:
                yield from raw_parts(array)


def _initializer(name: str, array: Array, external: tuple[str, int] | None) -> tuple[bytes, Array | None]:
    """The bytes of an initializer up to its data, and the array whose raw data follows, if any."""
    if is_text(array):
        return _framed(tensor_message(name, array).SerializeToString(deterministic=True), 0), None
    header = tensor_header(name, array)
    size = raw_size(array)
    if external is None:
        start = header.SerializeToString(deterministic=True) + _RAW_DATA + varint(size)
        return _framed(start, size), array
    header.data_location = header.EXTERNAL
    location, offset = external
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
        header.external_data.add(key=key, value=value)
    return _framed(header.SerializeToString(deterministic=True), 0), None


def _framed(start: bytes, rest: int) -> bytes:
    return _INITIALIZER + varint(len(start) + rest) + start


def external_offsets(arrays: Mapping[str, Array]) -> dict[str, int]:
    """Where the large arrays go in a data file, each at a page of its own."""
    offsets: dict[str, int] = {}
    end = 0
    for name, array in arrays.items():
        if not is_text(array) and raw_size(array) > MAX_EMBEDDED_BYTES:
            offsets[name] = -(-end // ALIGNMENT) * ALIGNMENT
            end = offsets[name] + raw_size(array)
    return offsets


def _write_data(file: BinaryIO, offsets: Mapping[str, int], arrays: Mapping[str, Array]) -> None:
    for name, offset in offsets.items():
        file.write(bytes(offset - file.tell()))
        for part in raw_parts(arrays[name]):
            file.write(part)


def light_model(message: ModelMessage) -> ModelProto:
    """The model without the values of large initializers, which are inputs in it."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(message.model)
    for name, array in message.initializers.items():
        if is_text(array) or raw_size(array) <= MAX_EMBEDDED_BYTES:
            model.graph.initializer.append(tensor_message(name, array))
        else:
            kind = tensor_header(name, array).data_type
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    return model


def check_message(message: ModelMessage, path: Path | None = None) -> None:
    """Runs onnx.checker on the structure; FormatError with what it says.

    Its full check is left to tests, since that runs the inference of onnx, which can crash.
    """
    import onnx

    model = light_model(message)
    _hide_runtime_operators(model)
    _fill_unknown_ranks(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise FormatError(
            "the graph is not a valid ONNX model",
            str(error).splitlines()[:20],
            where=None if path is None else str(path),
        ) from error


def _fill_unknown_ranks(model: ModelProto) -> None:
    """Gives inputs and outputs of unknown rank a shape: the checker wants one, while runtimes and exporters do not."""
    for info in (*model.graph.input, *model.graph.output):
        if info.type.HasField("tensor_type") and not info.type.tensor_type.HasField("shape"):
            info.type.tensor_type.shape.SetInParent()


def _hide_runtime_operators(model: ModelProto) -> None:
    """Gives operators of the default domain that only onnxruntime defines another domain, which is not checked."""
    from .messages import CUSTOM_DOMAIN, RUNTIME_OPERATORS

    found = False
    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            graphs += [item.g for item in node.attribute if item.HasField("g")]
            graphs += [graph for item in node.attribute for graph in item.graphs]
            if not node.domain and node.op_type in RUNTIME_OPERATORS:
                node.domain, found = CUSTOM_DOMAIN, True
    if found and all(entry.domain != CUSTOM_DOMAIN for entry in model.opset_import):
        model.opset_import.add(domain=CUSTOM_DOMAIN, version=1)
