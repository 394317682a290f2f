"""The bytes of a model: the memory-mapped file itself, and the external data files in its folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ...errors import FormatError
from ..mapped import Bytes, read_file


class Storage:
    """data: the bytes of the model (a serialized message). path: the file that they are in; None if in memory only.

    External data files are opened once each, and only within the folder of the model.
    """

    def __init__(self, data: Bytes, path: Path | None = None) -> None:
        self.data = data
        self.path = path
        self._files: dict[str, Bytes] = {}

    @classmethod
    def open(cls, path: Path) -> Storage:
        return cls(read_file(path), path)

    def piece(self, offset: int, length: int) -> Bytes:
        """A part of the model itself."""
        return _slice(self.data, offset, length, "the model file")

    def external(self, location: str, offset: int, length: int) -> Bytes:
        """A part of an external data file. Raises FormatError if it lies outside of the folder or of the file."""
        if location not in self._files:
            self._files[location] = read_file(self._resolve(location))
        return _slice(self._files[location], offset, length, f"the external data file '{location}'")

    @property
    def external_files(self) -> tuple[Path, ...]:
        """The external data files that were opened."""
        return () if self.path is None else tuple(self.path.parent / location for location in self._files)

    def _resolve(self, location: str) -> Path:
        if self.path is None:
            raise FormatError(
                f"the model refers to the external data file '{location}', but has no folder",
                hint="read the model from its file, or load the external data into the message first",
            )
        relative = PurePosixPath(location)
        if not location or "\0" in location or "\\" in location or relative.is_absolute() or ".." in relative.parts:
            raise FormatError(f"external data location {location!r} is not a file in the model's folder")
        try:
            target = (self.path.parent / relative).resolve()
            # If the model itself is a symbolic link (download caches do so), the files beside it may be links as well.
            folders = (self.path.parent.resolve(), self.path.resolve().parent)
        except (OSError, RuntimeError) as error:
            raise FormatError(f"external data location {location!r} cannot be resolved: {error}") from error
        if not any(target.is_relative_to(folder) for folder in folders):
            raise FormatError(
                f"external data location {location!r} is a link out of the model's folder",
                hint="replace the link by a copy of the file",
            )
        if target.exists() and not target.is_file():
            raise FormatError(f"external data location {location!r} is not a regular file")
        return target


def _slice(data: Bytes, offset: int, length: int, name: str) -> Bytes:
    if offset < 0 or length < 0 or offset + length > len(data):
        raise FormatError(f"{length} bytes at offset {offset} are outside of {name}, which has {len(data)} bytes")
    return data[offset : offset + length]
