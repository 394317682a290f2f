"""The contents of tensors and metadata: in buffers of the file, behind its tables, or in files beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError
from ...mapped import read_file
from .budget import Budget
from .flatbuffer import Table, as_array

Bytes = NDArray[np.uint8]


class Buffers:
    """The contents that a model refers to. budget: what may be made of them; more files allow more."""

    def __init__(self, model: Table, content: Bytes, path: Path, budget: Budget) -> None:
        self._buffers = model["buffers"] or []
        self._external = {item["id"]: item for item in model["external_buffers"] or []}
        self._groups = [group["name"] or "" for group in model["external_buffer_groups"] or []]
        self._content = content
        self._path = path
        self._budget = budget
        self._files: dict[str, Bytes] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were read."""
        return (self._path, *(self._path.with_name(name) for name in self._files))

    def of_tensor(self, table: Table) -> Bytes | None:
        """The contents for a tensor; None if it has none. FormatError, FileError."""
        if table["external_buffer"]:
            return self._outside(table["external_buffer"])
        # the first buffer is that of what has no value
        content = self.numbered(table["buffer"]) if table["buffer"] else None
        return content if content is not None and content.size else None

    def numbered(self, index: int) -> Bytes:
        """A buffer by its number."""
        if not 0 <= index < len(self._buffers):
            raise FormatError(f"there is no buffer {index}")
        buffer = self._buffers[index]
        if buffer["offset"] > 1:  # smaller ones are placeholders
            return self.part(buffer["offset"], buffer["size"])
        return as_array(buffer["data"])

    def part(self, offset: int, size: int) -> Bytes:
        """A part of the file."""
        return _part(self._content, offset, size)

    def _outside(self, number: int) -> Bytes:
        item = self._external.get(number)
        if item is None or not 0 <= item["group"] < len(self._groups):
            raise FormatError(f"there is no external buffer {number}")
        if item["packing"]:
            raise FormatError(f"an external buffer is packed as '{item['packing']}', which is not supported")
        name = self._groups[item["group"]]
        if not name or name in (".", "..") or any(sign in name for sign in "/\\\0:"):
            raise FormatError(f"the external file '{name}' is not beside the model")
        if name not in self._files:
            self._files[name] = read_file(self._path.with_name(name))
            self._budget.allow(self._files[name].size)
        return _part(self._files[name], item["offset"], item["length"])


def _part(content: Bytes, offset: int, size: int) -> Bytes:
    if offset + size > content.size:
        raise FormatError(f"{size} bytes at {offset} are outside of the file")
    return content[offset : offset + size]
