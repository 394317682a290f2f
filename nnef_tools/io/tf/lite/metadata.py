"""What a model tells about itself: named contents, and files, such as lists of labels, in a ZIP archive behind it.

In the metadata of a Graph, contents are in base64.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ....dialects.tflite.schema import Field, Schema
from ....errors import FormatError, UsageError
from .budget import Budget
from .buffers import Buffers
from .flatbuffer import Table, decode

_END = b"PK\x05\x06"
_END_SIZE = 22 + 0xFFFF  # of the record at the end of an archive, with a comment
_DESCRIPTION = "TFLITE_METADATA"
"""The name of the contents that describe a model (metadata_schema.fbs)."""

_SCHEMA = Schema(
    {},
    {},
    {
        "ModelMetadata": tuple(
            Field(slot, name, "string", False, None)
            for slot, name in ((0, "name"), (1, "description"), (2, "version"), (4, "author"), (5, "license"))
        )
    },
    {},
    {},
)
_COST = 4  # bytes that are held for one of a file, at most


def metadata(model: Table, buffers: Buffers, budget: Budget) -> dict[str, str]:
    """Name -> contents. FormatError."""
    found = {}
    for item in model["metadata"] or []:
        content = buffers.numbered(item["buffer"])
        budget.spend(_COST * content.size)
        if item["name"] and content.size:
            found[item["name"]] = _text(content.tobytes())
    return found


def model_texts(contents: Mapping[str, str]) -> dict[str, str]:
    """The texts of the metadata that models for mobile devices have: name, description, version, author, license.

    contents: what `metadata` gives. Nothing if there are none, or if they are damaged.
    """
    try:
        raw = base64.b64decode(contents.get(_DESCRIPTION, ""), validate=True)
        table = decode(memoryview(raw), _SCHEMA, "ModelMetadata", b"M001")
    except (FormatError, binascii.Error, ValueError):
        return {}
    return {field.name: str(table[field.name]) for field in _SCHEMA.tables["ModelMetadata"] if table[field.name]}


def associated_files(content: NDArray[np.uint8], budget: Budget) -> tuple[dict[str, str], str | None]:
    """Name -> contents of the files in the archive at the end of a file, and why they cannot be read if they cannot."""
    if _END not in content[-_END_SIZE:].tobytes():
        return {}, None
    files = {}
    try:
        with zipfile.ZipFile(_Stream(content)) as archive:
            for item in archive.infolist():
                if not item.is_dir():
                    budget.spend(_COST * item.file_size)
                    files[item.filename] = _text(archive.read(item))
    except Exception as error:  # zipfile, and the modules that decompress, raise errors of many kinds
        return {}, str(error) or type(error).__name__
    return files, None


class _Stream(io.RawIOBase):
    """Reads from an array: the archive may be at the end of a large file in memory."""

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self._content = content
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._content.size}[whence]
        if base + offset < 0:
            raise ValueError("a negative position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        part = self._content[self._position : self._position + len(buffer)]
        buffer[: part.size] = part.data
        self._position += part.size
        return int(part.size)


def write_archive(stream: BinaryIO, files: Any) -> None:
    """Writes the ZIP archive with the associated files, without times; nothing if there are none. UsageError."""
    contents = {name: from_text(text) for name, text in as_mapping(files).items()}
    if contents:
        with zipfile.ZipFile(stream, "w") as result:
            for name, content in sorted(contents.items()):
                result.writestr(zipfile.ZipInfo(name), content)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A value of the metadata of a Graph that should be a mapping; nothing if it is something else."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """The same for a list."""
    return value if isinstance(value, list) else []


def from_text(text: Any) -> bytes:
    """The contents in base64. UsageError if they are not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise UsageError("metadata of TFLite models is in base64") from error


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
