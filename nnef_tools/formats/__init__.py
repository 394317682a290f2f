"""The model formats: their names, how to recognise them, and which class reads, writes, optimises or converts them.

A format that a later version reads or writes is one more entry in `FORMATS`, a conversion one more in `CONVERTERS`.
Classes are named as `module:class` and imported when they are needed, since some of them need optional packages.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import FileError, FormatError, MissingPackageError, UsageError
from ..io.files import check_path, is_stream
from .foreign import HEAD, check_file

if TYPE_CHECKING:
    from ..model import Graph

PACKAGE = __package__.partition(".")[0]

InputShapes = Mapping[str, Sequence[int]]


class Reader(Protocol):
    """Makes a graph in the dialect of its format from a file or folder."""

    def __call__(self, path: str, input_shapes: InputShapes | None = None) -> Graph: ...


class Writer(Protocol):
    """Writes a graph in the dialect of its format."""

    def __call__(self, graph: Graph, path: str) -> Any: ...


class Optimizer(Protocol):
    """Optimises a graph in place; with `only_required`, makes it only fit for writing and converting.

    results: what each pass did the last time, with `name`, `count` and `difference`.
    """

    results: Sequence[Any]

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph: ...


class Converter(Protocol):
    """Makes a graph of another dialect."""

    def __call__(self, graph: Graph) -> Graph: ...

    def tensor_mapping(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Format:
    """A model format. dialect: the kind of operations its graphs hold. extra: the optional dependencies it needs.

    The first suffix is the one that a new file gets; files with `read_suffixes` are only read. reader, writer,
    optimizer: `module:class`, None if there is none.
    """

    name: str
    title: str
    dialect: str
    suffixes: tuple[str, ...]
    read_suffixes: tuple[str, ...] = ()
    extra: str | None = None
    reader: str | None = None
    writer: str | None = None
    optimizer: str | None = None


FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            name="nnef",
            title="NNEF",
            dialect="nnef",
            suffixes=(".nnef", ".tgz", ".tar.gz", ".tar"),
            reader="io.nnef:Reader",
            writer="io.nnef:Writer",
            optimizer="optimization.nnef_optimizer:Optimizer",
        ),
        Format(
            name="onnx",
            title="ONNX",
            dialect="onnx",
            suffixes=(".onnx",),
            extra="onnx",
            reader="io.onnx:Reader",
            writer="io.onnx:Writer",
            optimizer="optimization.onnx_optimizer:Optimizer",
        ),
        Format(
            name="tf",
            title="TensorFlow GraphDef",
            dialect="tf",
            suffixes=(".pb",),
            read_suffixes=(".pbtxt", ".keras", ".h5", ".hdf5"),
            extra="tf",
            reader="io.tf.graphdef:Reader",
            writer="io.tf.graphdef:Writer",
            optimizer="optimization.tf_optimizer:Optimizer",
        ),
        Format(name="tflite", title="TFLite", dialect="tflite", suffixes=(".tflite",), extra="tflite"),
        Format(name="caffe", title="Caffe", dialect="caffe", suffixes=(".prototxt", ".caffemodel"), extra="caffe"),
        Format(name="caffe2", title="Caffe2", dialect="caffe2", suffixes=(".caffe2",), extra="caffe"),
    )
}

CONVERTERS: Mapping[tuple[str, str], str] = {
    ("onnx", "nnef"): "conversion.onnx_to_nnef:Converter",
    ("nnef", "onnx"): "conversion.nnef_to_onnx:Converter",
    ("tf", "nnef"): "conversion.tf_to_nnef:Converter",
    ("nnef", "tf"): "conversion.nnef_to_tf:Converter",
}

_FOLDER_MARKS = {"graph.nnef": "nnef", "predict_net.pb": "caffe2", "saved_model.pb": "tf"}


def find_format(name: str) -> Format:
    """The format of that name. UsageError if there is none."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(f"unknown format '{name}'", hint=f"known formats: {', '.join(FORMATS)}") from None


def detect_input(path: Path, name: str | None = None) -> Format:
    """The format of an existing model: that of the name, or else by its content, then by its suffix.

    FileError if there is nothing at that path, or what can be read only once, as a pipe; FormatError if it is not
    recognised, or is something else; UsageError for an unknown name.
    """
    check_path(path)
    if is_stream(path) and not path.is_file():
        raise FileError("a model is read from a file or folder, not from a stream", where=str(path))
    if name is None:
        return _detected(path)
    found = find_format(name)
    if path.is_file():
        check_file(path, _first_bytes(path))
    return found


def _detected(path: Path) -> Format:
    if path.is_dir():
        for mark, name in _FOLDER_MARKS.items():
            if (path / mark).is_file():
                return FORMATS[name]
        models = [file for file in sorted(path.iterdir()) if file.is_file() and _name_by_suffix(file, reading=True)]
        hint = f"give the file '{models[0]}'" if models else "an NNEF model folder has a file graph.nnef"
        raise FormatError("the folder holds no model", where=str(path), hint=hint)
    head = _first_bytes(path)
    check_file(path, head)
    found = _name_by_content(head) or _name_by_suffix(path, reading=True)
    if found is None:
        raise FormatError(
            "cannot tell the format of the model",
            where=str(path),
            hint="name it with --input-format (execute: --format)",
        )
    return FORMATS[found]


def detect_output(path: Path) -> Format:
    """Recognises the format that a file to be written is to have, by its suffix. UsageError if that says nothing."""
    name = _name_by_suffix(path)
    if name is None:
        suffixes = ", ".join(suffix for format in FORMATS.values() for suffix in format.suffixes)
        raise UsageError(
            f"cannot tell the format to write from the name '{path}'",
            hint=f"use one of the suffixes {suffixes}, or name the format with --output-format",
        )
    return FORMATS[name]


def make_reader(format: Format, **options: Any) -> Reader:
    """The reader of a format. UsageError if the format cannot be read (yet) or has no such option."""
    reader: Reader = _make(format, format.reader, options, "read")
    return reader


def make_writer(format: Format, **options: Any) -> Writer:
    """The writer of a format. UsageError if the format cannot be written (yet) or has no such option."""
    writer: Writer = _make(format, format.writer, options, "written")
    return writer


def make_optimizer(format: Format, **options: Any) -> Optimizer | None:
    """The optimiser of a format's dialect, None if there is none; options that it does not take are left out."""
    if format.optimizer is None:
        return None
    factory = _load(format.optimizer, format)
    optimizer: Optimizer = factory(**accepted_options(factory, options))
    return optimizer


def find_converter(source: Format, target: Format) -> Any:
    """The converter class from one format to another, None if both have the same dialect.

    UsageError if there is no such conversion.
    """
    if source.dialect == target.dialect:
        return None
    try:
        path = CONVERTERS[source.dialect, target.dialect]
    except KeyError:
        pairs = ", ".join(f"{a} to {b}" for a, b in CONVERTERS)
        raise UsageError(
            f"unsupported conversion: {source.name} to {target.name}", hint=f"supported conversions: {pairs}"
        ) from None
    return _load(path, source)


def check_dialect(graph: Graph, format: Format) -> None:
    """UsageError if the operations of the graph are clearly those of another format."""
    dialect = _dialect(graph)
    if dialect is None or dialect == format.dialect:
        return
    types = ", ".join(list(dict.fromkeys(str(operation.type) for operation in graph.operations))[:3])
    converter = CONVERTERS.get((dialect, format.dialect), "").partition(":")[0]
    raise UsageError(
        f"the graph holds {FORMATS[dialect].title} operations ({types}), not {format.title} ones",
        hint=f"convert it first: {PACKAGE}.{converter}.Converter()(graph)" if converter else None,
    )


def _dialect(graph: Graph) -> str | None:
    """The dialect that a graph is in, told by how it declares its inputs; None if that is not clear."""
    types = {str(operation.type) for operation in graph.operations if not operation.custom}
    if "external" in types:
        return "nnef"
    if types & {"Placeholder", "PlaceholderV2"}:
        return "tf"
    undeclared = bool(graph.inputs) and not any(tensor.has_producer for tensor in graph.inputs)
    return "onnx" if undeclared and types and all(type[0].isupper() for type in types if type) else None


def accepted_options(factory: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that the factory has a parameter for."""
    parameters = inspect.signature(factory).parameters
    return {name: value for name, value in options.items() if name in parameters}


def _make(format: Format, path: str | None, options: Mapping[str, Any], action: str) -> Any:
    if path is None:
        usable = ", ".join(f.name for f in FORMATS.values() if (f.reader if action == "read" else f.writer))
        raise UsageError(
            f"{format.title} models cannot be {action} by this version", hint=f"formats that can be {action}: {usable}"
        )
    factory = _load(path, format)
    unknown = sorted(options.keys() - accepted_options(factory, options).keys())
    if unknown:
        raise UsageError(f"unknown option for {format.title} models: {', '.join(unknown)}")
    return factory(**options)


def _load(path: str, format: Format) -> Any:
    """The class `module:class` of this package. MissingPackageError if it needs a package that is not installed."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(f"{PACKAGE}.{module}"), attribute)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == PACKAGE or format.extra is None:
            raise
        raise MissingPackageError(package, f"for {format.title} models", format.extra) from error


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise FileError(f"cannot read the model: {error.strerror}", where=str(path)) from error


def _name_by_content(head: bytes) -> str | None:
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return "nnef"
    return None


def _name_by_suffix(path: Path, reading: bool = False) -> str | None:
    if path.name in _FOLDER_MARKS:
        return _FOLDER_MARKS[path.name]
    for format in FORMATS.values():
        if has_suffix(path, format.suffixes) or (reading and has_suffix(path, format.read_suffixes)):
            return format.name
    return None


def has_suffix(path: Path, suffixes: Iterable[str]) -> bool:
    """Does the name end with one of the suffixes, in upper or lower case, after at least one more character?"""
    name = path.name.lower()
    return any(name.endswith(suffix) and len(name) > len(suffix) for suffix in suffixes)
