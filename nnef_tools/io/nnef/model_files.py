"""The files of an NNEF model by name, in a folder or an archive. Nothing outside of the model is ever read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, Union

from numpy.typing import NDArray

from ...errors import FileError, FormatError
from ...language.tensor_file import TensorHeader, parse_tensor, read_tensor

PathLike = Union[str, "os.PathLike[str]"]
Array = NDArray[Any]

GRAPH = "graph.nnef"
QUANTIZATION = "graph.quant"
SIDECAR = "nnef_tools.json"


class ModelFiles(Protocol):
    """Where the files of a model are. Names are relative, with `/`."""

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """The contents of a file, None if there is none of that name. FormatError for more bytes than the limit."""

    def tensor(self, name: str) -> tuple[Array, TensorHeader] | None:
        """The tensor in a file, not copied; the case of the name does not matter. None if there is none."""


def open_model(path: PathLike) -> ModelFiles:
    """The model at a path: a folder, or a tar archive, compressed or not, whatever its name is.

    FileError if there is nothing to read, FormatError if there is no graph.nnef in it or it cannot be trusted.
    """
    place = Path(path)
    try:
        if place.is_dir():
            files: ModelFiles = _Folder(place)
            found = (place / GRAPH).exists()
        elif not place.exists():
            raise FileError("there is no such file or folder", where=str(place))
        elif place.name == GRAPH:
            raise FileError("a model is a folder or an archive", where=str(place), hint=f"give '{place.parent}'")
        else:
            from ..archive import below_top_folder, read_archive  # imports many modules

            members = below_top_folder(read_archive(place), GRAPH)
            files = _Archive(members, str(place))
            found = GRAPH in members
    except OSError as error:
        raise _unreadable(error, place) from None
    if not found:
        raise FormatError(f"not an NNEF model: there is no {GRAPH} in it", where=str(place))
    return files


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = str(root / "_")[:-1]  # joining strings takes a tenth of the time of Path, and tensors are many
        self._inside: set[str] = set()  # folders that are known to be in the model

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        file = self._root / name
        try:
            if not file.exists():
                return None
            path = Path(self._checked(str(file)))
            _check_size(path.stat().st_size, limit, str(file))
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(error, file) from error

    def tensor(self, name: str) -> tuple[Array, TensorHeader] | None:
        path = self._prefix + name.replace("/", os.sep)
        try:
            file = path if os.path.lexists(path) else self._find(name)
            return None if file is None else read_tensor(self._checked(file))
        except OSError as error:
            raise _unreadable(error, self._root / name) from error

    def _find(self, name: str) -> str | None:
        """The file whose name only differs by case, looked up folder by folder."""
        place = self._root
        for part in PurePosixPath(name).parts:
            if not place.is_dir():
                return None
            entries = [entry.name for entry in place.iterdir() if entry.name.lower() == part.lower()]
            found = _only(entries, part, str(place))
            if found is None:
                return None
            place /= found
        return str(place)

    def _checked(self, file: str) -> str:
        """Refuses links that lead out of the model, and anything but plain files: a device or pipe may never end."""
        mode = os.lstat(file).st_mode
        if stat.S_ISLNK(mode):
            self._check_inside(file)
            mode = Path(file).stat().st_mode
        folder = file.rpartition(os.sep)[0]
        if folder not in self._inside:
            self._check_inside(folder)
            self._inside.add(folder)
        if not stat.S_ISREG(mode):
            raise FormatError("not a file", where=file)
        return file

    def _check_inside(self, path: str) -> None:
        if not Path(path).resolve().is_relative_to(self._root.resolve()):
            raise FormatError("the file is a link that leads out of the model folder", where=path)


class _Archive:
    def __init__(self, members: Mapping[str, memoryview], where: str) -> None:
        self._members = members
        self._where = where
        self._spellings: dict[str, list[str]] = {}
        for name in members:
            self._spellings.setdefault(name.lower(), []).append(name)

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        if name not in self._members:
            return None
        _check_size(len(self._members[name]), limit, f"{self._where}:{name}")
        return bytes(self._members[name])

    def tensor(self, name: str) -> tuple[Array, TensorHeader] | None:
        if name not in self._members:
            found = _only(self._spellings.get(name.lower(), []), name, self._where)
            if found is None:
                return None
            name = found
        return parse_tensor(self._members[name], f"{self._where}:{name}")


def _check_size(size: int, limit: int | None, where: str) -> None:
    if limit is not None and size > limit:
        raise FormatError(f"it has {size:,} bytes, more than {limit:,}", where=where)


def _only(names: list[str], wanted: str, where: str) -> str | None:
    if len(names) > 1:
        raise FormatError(f"'{wanted}' may be any of {', '.join(sorted(names))}", where=where)
    return names[0] if names else None


def _unreadable(error: OSError, file: Path) -> OSError:
    return error if isinstance(error, FileError) else FileError(f"cannot read: {error.strerror}", where=str(file))
