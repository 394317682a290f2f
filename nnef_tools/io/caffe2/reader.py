"""Reads Caffe2 models, without protobuf and without Caffe2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...dialects.onnx.types import ELEMENT_TYPES, STRING
from ...errors import FormatError, ParseError
from ...model.graph import Graph
from ..files import read_consistently
from ..json_object import parse_object
from ..mapped import read_file
from ..protobuf import Message, decode, parse_text
from .build import Info, build_graph
from .schema import NET

PREDICT, INIT, VALUE_INFO = "predict_net.pb", "init_net.pb", "value_info.json"
TEXT = ".pbtxt"

_HINT = "the file is damaged or truncated, or not a net of Caffe2"
_MAX_RANK = 32


class Reader:
    """Reads a Caffe2 model into a Graph of its dialect.

    A model is a folder with `predict_net.pb`, `init_net.pb` and `value_info.json`, or the path of the first of these
    files; `.pbtxt` in place of `.pb` is text. Without `value_info.json`, inputs have the shapes that are given, and
    float32 items. legacy: has no effect; nets of all versions of Caffe2 are read.

    In the Graph, `op.type` is the type of the operator, `op.attribs` its arguments as they are in the file: engine and
    device are left out. A blob that is overwritten is one tensor for each version, the last of which has its name
    (unless an input has it); what operators fill with given values is constant. Tensors of the Int8 operators are
    codes, with `quant` = {scale, zero_point}. `files` are those of the last model.
    """

    def __init__(self, legacy: bool = False) -> None:
        self.files: tuple[Path, ...] = ()

    def __call__(
        self, filename: str | os.PathLike[str], input_shapes: Mapping[str, Sequence[Any]] | None = None
    ) -> Graph:
        """input_shapes: input name -> extents (None keeps one open), which count more than those of the file.

        Raises FileError, FormatError if a file is not valid, UsageError for impossible input shapes.
        """
        path = Path(filename)
        folder, main = (path, None) if path.is_dir() else (path.parent, path)
        predict = main or _either(folder, PREDICT)
        return read_consistently(folder, lambda: self._read(folder, predict, input_shapes), main=predict.name)

    def _read(self, folder: Path, predict: Path, input_shapes: Mapping[str, Sequence[Any]] | None) -> Graph:
        init = _either(folder, predict.name.replace("predict", "init")) if "predict" in predict.name else None
        info = folder / VALUE_INFO
        files = [predict, *(file for file in (init, info) if file is not None and file.is_file())]
        nets = [_parse(file) for file in files if file != info]
        try:
            graph = build_graph(
                nets[0], nets[1] if len(nets) > 1 else None, _info(info) if info in files else None, input_shapes
            )
        except FormatError as error:
            raise _located(error, folder) from error
        self.files = tuple(files)
        return graph


def _either(folder: Path, name: str) -> Path:
    """The file in a folder, or the one that is the same as text, if only that is there."""
    text = (folder / name).with_suffix(TEXT)
    return text if text.is_file() and not (folder / name).is_file() else folder / name


def _parse(path: Path) -> Message:
    data = read_file(path)
    try:
        if path.suffix.lower() != TEXT:
            return decode(data.data, NET)
        return parse_text(bytes(data).decode(), NET, str(path))
    except UnicodeDecodeError as error:
        raise FormatError(f"the text is not UTF-8: {error}", where=str(path), hint=_HINT) from error
    except ParseError:
        raise
    except FormatError as error:
        raise _located(error, path) from error


def _located(error: FormatError, path: Path) -> FormatError:
    where = f"{path}: {error.where}" if error.where else str(path)
    return FormatError(error.message, error.details, where=where, hint=error.hint or _HINT)


def _info(path: Path) -> Info:
    """The inputs by `{"name": [code of ONNX's data type, [extents]]}`. FormatError."""
    try:
        entries, repeated = parse_object(bytes(read_file(path)))
        if repeated:
            raise FormatError(f"'{repeated[0]}' is given twice")
        return {name: _entry(name, entry) for name, entry in entries.items()}
    except FormatError as error:
        raise FormatError(
            error.message, where=str(path), hint='{"name": [1, [1, 3, 224, 224]]}, 1 for float'
        ) from error


def _entry(name: str, entry: Any) -> tuple[Any, tuple[int, ...]]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], list):
        raise FormatError(f"'{name}' has not a data type and a shape, but {str(entry)[:80]}")
    code, dims = entry
    if not isinstance(code, int) or code not in ELEMENT_TYPES or code == STRING:
        raise FormatError(f"'{name}' has the unknown data type {str(code)[:40]}")
    if len(dims) > _MAX_RANK or not all(type(dim) is int and 0 <= dim < 1 << 63 for dim in dims):
        raise FormatError(f"'{name}' has an impossible shape {str(dims)[:80]}")
    return ELEMENT_TYPES[code].dtype, tuple(dims)
