"""Writes a graph of the NNEF dialect to a model folder or archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError, NnefToolsError, UsageError
from ...language.expressions import FRAGMENTS_EXTENSION, OPERATORS_EXTENSION
from ...language.parser import parse_fragments
from ...language.printer import format_graph
from ...language.quant_file import format_quantization
from ...language.stdlib import standard_fragments
from ...language.tensor_file import describe_tensor, write_tensor
from ...model import Graph, Operation, Tensor
from ...model.dtypes import is_integer
from ...model.facts import unknown_extensions
from ...model.widths import with_double_facts
from ..files import is_stream
from .checks import check_writable
from .declarations import custom_types, known_texts, needed_declarations
from .generated import generated_fragments
from .labels import label_file, label_key
from .model_files import GRAPH, QUANTIZATION, SIDECAR, PathLike
from .sidecar import format_facts
from .store import NewFile, write_archive, write_folder

Array = NDArray[Any]

ARCHIVE_SUFFIXES = (".tgz", ".tar.gz")


class Writer:
    """Writes NNEF models; the same graph gives the same bytes.

    compression: None for a folder, 0 to 9 for an archive. extensions: to be declared, besides those that are needed.
    fragments: operation -> declaration, written if the operation occurs, or is one of the fragment_dependencies
    (operation -> operations) of one that does. What the model itself declared and our own custom operations are
    declared as needed. generate_custom_fragments: declare all other custom operations without a body, one version for
    each call (version_custom_fragments) or one for all. annotate_shapes: put shapes into comments.

    `warnings` are those of the last model.
    """

    def __init__(
        self,
        compression: int | None = None,
        extensions: Iterable[str] | None = None,
        fragments: Mapping[str, str] | None = None,
        fragment_dependencies: Mapping[str, Sequence[str]] | None = None,
        generate_custom_fragments: bool = False,
        version_custom_fragments: bool = True,
        annotate_shapes: bool = False,
    ) -> None:
        if compression is not None and compression not in range(10):
            raise UsageError(f"the compression level is 0 to 9, not {compression}")
        self._compression = compression
        self._extensions = tuple(extensions or ())
        self._fragments = dict(fragments or {})
        self._dependencies = dict(fragment_dependencies or {})
        self._generate = generate_custom_fragments
        self._version = version_custom_fragments
        self._annotate_shapes = annotate_shapes
        self.warnings: list[str] = []

    def __call__(self, graph: Graph, path: PathLike) -> Path:
        """Writes the folder `path`, or the archive `path` + '.tgz' (unless it ends so, or is a stream); returns which.

        FormatError if the graph has no NNEF text, or a variable no data that fits; FileError if writing fails. Then
        what was there before is still there.
        """
        self.warnings = []
        check_writable(graph)
        files = {GRAPH: NewFile.of(self._text(graph).encode("utf-8", "surrogateescape"))}
        if quantization := _quantization(graph):
            files[QUANTIZATION] = NewFile.of(format_quantization(quantization).encode("utf-8"))
        if facts := format_facts(with_double_facts(graph)):
            files[SIDECAR] = NewFile.of(facts)
        files.update(_variable_files(graph))
        if self._compression is None:
            target = Path(path)
            write_folder(target, files)
        else:
            target = Path(path)
            if not target.name.endswith(ARCHIVE_SUFFIXES) and not is_stream(target):
                target = target.with_name(f"{target.name}.tgz")
            write_archive(target, files, self._compression)
        return target

    def _text(self, graph: Graph) -> str:
        types = custom_types(graph)
        texts = known_texts(graph, self._fragments) if types else {}
        declared, missing = needed_declarations(types, texts, self._dependencies)
        if missing and self._generate:
            taken = {*types, *texts, *standard_fragments()}
            with generated_fragments(graph, missing, taken, self._version) as generated:
                return self._format(graph, "\n".join(filter(None, (declared, generated))))
        if missing:
            self.warnings.append(f"custom operations without declaration: {', '.join(missing)}")
        return self._format(graph, declared)

    def _format(self, graph: Graph, fragments: str) -> str:
        needed = (FRAGMENTS_EXTENSION, OPERATORS_EXTENSION) if fragments else ()
        extensions = dict.fromkeys((*self._extensions, *unknown_extensions(graph.metadata), *needed))
        return format_graph(
            graph,
            extensions=extensions,
            fragments=fragments,
            annotate_shapes=self._annotate_shapes,
            signatures=parse_fragments(fragments, "fragments"),
        )


def _quantization(graph: Graph) -> dict[str, dict[str, Any]]:
    entries = {}
    for op in graph.operations:
        for tensor in op.outputs:
            if tensor.quant:
                if not tensor.quant.get("op-name"):
                    raise FormatError(f"the quantization of tensor '{tensor.name}' has no operation ('op-name')")
                entries[str(tensor.name)] = {
                    key: _plain(value) for key, value in tensor.quant.items() if value is not None
                }
    return entries


def _plain(value: Any) -> Any:
    """Plain numbers and lists, also of arrays of numpy or torch."""
    return value.tolist() if hasattr(value, "tolist") else value


def _variable_files(graph: Graph) -> dict[str, NewFile]:
    files: dict[str, NewFile] = {}
    shared: dict[str, tuple[Array, Tensor]] = {}
    for op in graph.operations:
        if op.type != "variable":
            continue
        tensor = op.output
        try:
            label = str(op.attribs.get("label", ""))
            array = _data(op)
            first, _ = shared.setdefault(label_key(label), (array, tensor))
            if not _same(first, array):
                raise FormatError(f"another variable with label '{label}' has other data")
            files[label_file(label)] = _tensor_file(array, tensor)
        except UsageError as error:  # a mistake of the caller there is a mistake in the model here
            raise FormatError(
                error.message, error.details, where=f"variable '{tensor.name}'", hint=error.hint
            ) from error
        except NnefToolsError as error:
            error.where = error.where or f"variable '{tensor.name}'"
            raise
    folders = {parent.as_posix().lower() for name in files for parent in PurePosixPath(name).parents}
    for name in files:
        if name.lower() in folders:
            raise FormatError(f"the label of file '{name}' is also the folder of another label")
    return files


def _tensor_file(array: Array, tensor: Tensor) -> NewFile:
    quant = tensor.quant or {}
    quantized = bool(quant) and is_integer(array.dtype)
    signed = quant.get("signed") if quantized and isinstance(quant.get("signed"), bool) else None
    bits = _code_width(array, quant, signed) if quantized else None
    header = describe_tensor(array, quantized=quantized, signed=signed, bits=bits)
    size = header.data_offset + header.data_length
    return NewFile(size, partial(write_tensor, array=array, quantized=quantized, signed=signed, bits=bits))


def _code_width(array: Array, quant: Mapping[str, Any], signed: bool | None) -> int | None:
    """The width of 2-bit and 4-bit codes that were read as bytes; None for that of the array."""
    bits = quant.get("bits")
    if bits not in (2, 4) or array.dtype not in (np.int8, np.uint8) or not array.size:
        return None
    is_signed = array.dtype.kind == "i" if signed is None else signed
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return bits if low <= array.min() and array.max() <= high else None


def _data(op: Operation) -> Array:
    data = op.output.data
    if data is None:
        raise FormatError("it has no data", hint="a model that was read without variables cannot be written")
    if not isinstance(data, np.ndarray):
        data = data.detach() if hasattr(data, "detach") else data
        data = data.numpy() if hasattr(data, "numpy") else np.asarray(data)
    array: Array = data
    shape = list(op.attribs.get("shape", ()))
    if list(array.shape) != shape:
        raise FormatError(f"its data has shape {list(array.shape)}, but its 'shape' is {shape}")
    return array


def _same(a: Array, b: Array) -> bool:
    if a is b:
        return True
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(_raw(a), _raw(b))


def _raw(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
