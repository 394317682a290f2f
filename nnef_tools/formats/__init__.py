"""The model formats: how they are recognized, and which classes read, write, optimize and convert them.

Each module that `PAGES` names defines a tuple `FORMATS`; to add a format, add such a module and its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError, FormatError, MissingPackageError, UsageError
from ..io.files import check_path, complete, is_stream
from ..io.plain_file import plain_file
from .foreign import HEAD, check_file
from .format import Dialect, Format, InputShapes, Optimizer, Reader, Writer

if TYPE_CHECKING:
    from ..model import Graph

__all__ = [
    "DIALECTS",
    "FORMATS",
    "NNEF",
    "Dialect",
    "Format",
    "InputShapes",
    "Optimizer",
    "Reader",
    "Writer",
    "check_dialect",
    "converters",
    "detect_input",
    "detect_output",
    "find_format",
    "has_suffix",
    "load",
    "make_optimizer",
    "make_reader",
    "make_writer",
]

PAGES = ("nnef", "onnx", "tf", "tflite", "caffe", "caffe2")
PACKAGE = __package__.partition(".")[0]

FORMATS: Mapping[str, Format] = {
    format.name: format for page in PAGES for format in import_module(f"{__package__}.{page}").FORMATS
}
DIALECTS: Mapping[str, Dialect] = {format.dialect.name: format.dialect for format in FORMATS.values()}

NNEF = FORMATS["nnef"]
"""The format that every conversion passes through, and that is written if no other is asked for."""


def find_format(name: str) -> Format:
    """The format with the given name. UsageError if there is none."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(f"unknown format '{name}'", hint=f"known formats: {', '.join(FORMATS)}") from None


def detect_input(path: Path, name: str | None = None) -> Format:
    """The format of an existing model: the named one, or else recognized by content, then by suffix.

    FileError if the path does not exist or can be read only once, like a pipe; FormatError if the file is not
    recognized, or is known not to be a model; UsageError for an unknown name.
    """
    check_path(path)
    complete(path)
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
        for format in FORMATS.values():
            if any((path / mark).is_file() for mark in format.folder_marks):
                return format
        for format in FORMATS.values():
            if any((path / part).is_file() for part in format.folder_parts):
                raise _incomplete(format, path)
        models = [file for file in sorted(path.iterdir()) if file.is_file() and _by_suffix(file, reading=True)]
        hint = f"give the file '{models[0]}'" if models else f"an NNEF model folder has a file {NNEF.folder_marks[0]}"
        raise FormatError("the folder holds no model", where=str(path), hint=hint)
    head = _first_bytes(path)
    check_file(path, head)
    for format in FORMATS.values():
        if path.name in format.folder_parts:
            raise _incomplete(format, path)
    by_content = (format for format in FORMATS.values() if format.is_magic(head))
    found = next(by_content, None) or _by_suffix(path, reading=True)
    if found is None:
        raise FormatError(
            "cannot tell the format of the model",
            where=str(path),
            hint="name it with --input-format (execute: --format)",
        )
    return found


def _incomplete(format: Format, path: Path) -> FormatError:
    """The error for a part of a model without the file that makes it one."""
    what = "the folder holds only a part of a model" if path.is_dir() else "the file is only a part of a model"
    return FormatError(what, where=str(path), hint=f"a {format.title} model folder has a file {format.folder_marks[0]}")


def detect_output(path: Path) -> Format:
    """The format in which a file is to be written, by its suffix. UsageError if the suffix is not known."""
    found = _by_suffix(path)
    if found is None:
        suffixes = ", ".join(suffix for format in FORMATS.values() for suffix in format.suffixes)
        raise UsageError(
            f"cannot tell the format to write from the name '{path}'",
            hint=f"use one of the suffixes {suffixes}, or name the format with --output-format",
        )
    return found


def make_reader(format: Format, **options: Any) -> Reader:
    """The reader of a format. UsageError if the format cannot be read (yet) or has no such option."""
    reader: Reader = _make(format, format.reader, options, "read")
    return reader


def make_writer(format: Format, **options: Any) -> Writer:
    """The writer of a format. UsageError if the format cannot be written (yet) or has no such option."""
    writer: Writer = _make(format, format.writer, options, "written")
    return writer


def make_optimizer(dialect: Dialect, **options: Any) -> Optimizer | None:
    """The optimizer of a dialect, None if there is none; options that it does not know are left out."""
    if dialect.optimizer is None:
        return None
    followed = {name: value for name, value in options.items() if name in dialect.optimizer_options}
    optimizer: Optimizer = load(dialect.optimizer)(**followed)
    return optimizer


def check_dialect(graph: Graph, format: Format) -> None:
    """Raises UsageError if the operations of the graph clearly belong to another format."""
    owners = [dialect for dialect in DIALECTS.values() if dialect.owns(graph)]
    if not owners or format.dialect in owners:  # some dialects cannot be told apart
        return
    dialect = owners[0]
    types = ", ".join(list(dict.fromkeys(str(operation.type) for operation in graph.operations))[:3])
    name = dialect.to_nnef if format is NNEF else format.dialect.from_nnef if dialect is NNEF.dialect else None
    module = name.partition(":")[0] if name else None
    raise UsageError(
        f"the graph holds {dialect.title} operations ({types}), not {format.title} ones",
        hint=f"convert it first: {PACKAGE}.{module}.Converter()(graph)" if module else None,
    )


def converters() -> dict[tuple[str, str], str]:
    """(source dialect, target dialect) -> the converter between them, in the form that `load` takes."""
    hub = NNEF.dialect.name
    named = [
        item
        for dialect in DIALECTS.values()
        for item in (((dialect.name, hub), dialect.to_nnef), ((hub, dialect.name), dialect.from_nnef))
    ]
    return {pair: name for pair, name in named if name is not None}


def load(name: str, format: Format | None = None) -> Any:
    """Imports what `module:name` refers to in this package; a module alone is possible too.

    format: the one whose models need it, for messages. MissingPackageError if it needs a package that is not installed.
    """
    module, _, attribute = name.partition(":")
    try:
        found = import_module(f"{PACKAGE}.{module}")
        return getattr(found, attribute) if attribute else found
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == PACKAGE or format is None or format.extra is None:
            raise
        raise MissingPackageError(package, f"for {format.title} models", format.extra) from error


def _make(format: Format, name: str | None, options: Mapping[str, Any], action: str) -> Any:
    if name is None:
        usable = ", ".join(f.name for f in FORMATS.values() if (f.reader if action == "read" else f.writer))
        raise UsageError(
            f"{format.title} models cannot be {action} by this version", hint=f"formats that can be {action}: {usable}"
        )
    factory = load(name, format)
    unknown = sorted(options.keys() - inspect.signature(factory).parameters.keys())
    if unknown:
        raise UsageError(f"unknown option for {format.title} models: {', '.join(unknown)}")
    return factory(**options)


def _first_bytes(path: Path) -> bytes:
    with plain_file(path) as file:
        return file.read(HEAD)


def _by_suffix(path: Path, reading: bool = False) -> Format | None:
    for format in FORMATS.values():
        if path.name in format.folder_marks:
            return format
    for format in FORMATS.values():
        if has_suffix(path, format.suffixes) or (reading and has_suffix(path, format.read_suffixes)):
            return format
    return None


def has_suffix(path: Path, suffixes: Iterable[str]) -> bool:
    """Does the name end with one of the suffixes, in upper or lower case, after at least one more character?"""
    name = path.name.lower()
    return any(name.endswith(suffix) and len(name) > len(suffix) for suffix in suffixes)
