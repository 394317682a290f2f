"""Output that is all or nothing: written beside the target, moved into place when it is complete.

Whatever happens before that (an error, a full disk, Ctrl-C), the target stays as it was and nothing is left beside it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Union

from ..errors import FileError, NnefToolsError

PathLike = Union[str, "os.PathLike[str]"]

_STANDARD_STREAMS = ("stdin", "stdout", "stderr")
_OPEN_FILE = re.compile(r"/dev/(?P<name>stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(?P<number>[0-9]{1,9})")


@contextmanager
def replace_file(path: PathLike) -> Iterator[BinaryIO]:
    """Gives a binary file object; its contents become the file at `path` when the block ends without an error.

    Missing parent folders are created. A pipe, a device or an open file (`/dev/stdout`) is written directly, a symbolic
    link is replaced and not followed. FileError if that is not possible; OSErrors of the block become FileErrors.
    """
    target = Path(path)
    with _file_errors(target):
        number = open_file(target)
        if number is not None:
            with os.fdopen(os.dup(number), "wb") as stream:
                yield stream
            return
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            if stat.S_ISDIR(mode):
                raise FileError("cannot write: there is a folder of that name", where=str(target))
            with target.open("wb") as stream:
                yield stream
            return
        _check_writable(target)
        with _parents(target):
            temporary = _beside(target)
            try:
                with named_as(temporary, target):
                    with temporary.open("xb") as stream:
                        yield stream
                    if mode is not None:
                        temporary.chmod(stat.S_IMODE(mode))
                    temporary.replace(target)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise


def open_file(path: PathLike) -> int | None:
    """The number of the open file of this process that a path stands for, as `/dev/stdout` does; None for others."""
    found = _OPEN_FILE.fullmatch(Path(path).as_posix())
    return None if found is None else int(found["number"] or _STANDARD_STREAMS.index(found["name"]))


def is_stream(path: PathLike) -> bool:
    """Does the path stand for something that is written directly: an open file, a pipe or a device?"""
    path = Path(path)
    return open_file(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def check_path(path: PathLike) -> None:
    """FileError for a path that the operating system cannot have: with NUL, or with half a surrogate pair."""
    try:
        valid = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise FileError("the path has characters that no path can have", where=os.fspath(path))


@contextmanager
def json_file(path: PathLike, value: Any) -> Iterator[None]:
    """Writes the value as JSON if the block ends without an error, see `replace_file`."""
    with replace_file(path) as file:
        file.write((json.dumps(value, indent=4) + "\n").encode())
        yield


@contextmanager
def replace_folder(path: PathLike, owned: Iterable[str] = ()) -> Iterator[Path]:
    """Gives an empty folder; its files become those of the folder at `path` when the block ends without an error.

    In a folder that exists, files of the same names are replaced, and the files `owned` (relative names: what the
    previous version of the content consisted of) are removed if they are not part of it any more. Everything else in
    it is never touched. Missing parent folders are created. FileError as for `replace_file`.
    """
    target = Path(path)
    with _file_errors(target):
        if target.exists() and not target.is_dir():
            raise FileError("cannot write: there is a file of that name", where=str(target))
        _check_writable(target)
        # A new folder is moved as a whole; in an existing one (which may be the current folder, or a mount point) the
        # files are exchanged one by one.
        exists = target.is_dir()
        with _parents(target):
            staging = target / _beside(target).name if exists else _beside(target)
            new, old = staging / "new", staging / "old"
            try:
                with named_as(staging, target), named_as(new, target):
                    staging.mkdir()
                    new.mkdir()
                    yield new
                    if exists:
                        _exchange(new, target, old, owned)
                    else:
                        new.rename(target)
            except BaseException:
                if not old.exists():  # previous files that could not be moved back are still in there
                    shutil.rmtree(staging, ignore_errors=True)
                raise
            shutil.rmtree(staging, ignore_errors=True)


def _exchange(staging: Path, target: Path, backup: Path, owned: Iterable[str]) -> None:
    """Moves all files of `staging` into `target`, and what they replace to `backup`; undoes it all on an error."""
    new = sorted(file.relative_to(staging).as_posix() for file in staging.rglob("*") if not file.is_dir())
    names = [*new, *sorted(set(owned) - set(new))]
    for name in names:
        _check_inside(target, name)
    undo: list[Callable[[], object]] = []
    try:
        for name in names:
            old = target / name
            if old.is_symlink() or old.is_file():
                _move(old, backup / name, undo)
            if name in new:
                _move(staging / name, old, undo)
    except BaseException:
        for step in reversed(undo):
            with suppress(OSError):
                step()
        raise
    emptied = {parent for name in names[len(new) :] for parent in PurePosixPath(name).parents if parent.name}
    for folder in sorted(emptied, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):  # not empty
            (target / folder).rmdir()


def _move(source: Path, destination: Path, undo: list[Callable[[], object]]) -> None:
    for parent in reversed([destination.parent, *destination.parent.parents]):
        if not parent.exists():
            parent.mkdir()
            undo.append(parent.rmdir)
    source.rename(destination)
    undo.append(lambda: destination.rename(source))


def _check_inside(target: Path, name: str) -> None:
    """The folders on the way to a file must be real folders of the target: a link may lead anywhere."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise FileError(f"'{name}' is outside of the folder", where=str(target))
    for parent in relative.parents:
        if parent.name and (target / parent).is_symlink():
            raise FileError(f"cannot write '{name}': '{parent}' is a symbolic link", where=str(target))
    if (target / relative).is_dir():
        raise FileError(f"cannot write '{name}': there is a folder of that name", where=str(target))


def _beside(target: Path) -> Path:
    return target.parent / f".{target.name[:100]}.{os.urandom(6).hex()}.tmp"


def _check_writable(target: Path) -> None:
    if target.exists() and not os.access(target, os.W_OK):
        raise FileError("cannot write: it is read-only", where=str(target))


@contextmanager
def _parents(target: Path) -> Iterator[None]:
    """Creates the missing parent folders, and removes them again if the block fails."""
    missing = [parent for parent in target.absolute().parents if not parent.exists()]
    try:
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
        yield
    except BaseException:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise


@contextmanager
def create_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a new file in a folder of `replace_folder` for writing; errors of the block name this file."""
    try:
        with path.open("xb") as stream:
            yield stream
    except FileError as error:
        error.where = error.where or str(path)
        raise
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def named_as(temporary: Path, target: Path) -> Iterator[None]:
    """Errors of the block that name a temporary file, or one in a temporary folder, name what it stands for instead.

    temporary: a path of a random name, which nothing else in a message can be confused with.
    """

    def renamed(text: str) -> str:
        return text.replace(str(temporary), str(target))

    try:
        yield
    except NnefToolsError as error:
        error.message = renamed(error.message)
        error.details = tuple(map(renamed, error.details))
        error.where = error.where and renamed(error.where)
        raise
    except OSError as error:
        if error.filename is not None:
            error.filename = renamed(os.fsdecode(error.filename))
        raise


@contextmanager
def _file_errors(target: Path) -> Iterator[None]:
    check_path(target)
    try:
        yield
    except FileError as error:
        error.where = error.where or str(target)
        raise
    except NnefToolsError:
        raise
    except OSError as error:
        name = str(target) if error.filename is None else os.fsdecode(error.filename)
        inside = Path(name).is_relative_to(target)
        where, place = (name, "") if inside else (str(target), f" ('{name}')")
        if error.errno == errno.ENOSPC:
            raise FileError("cannot write: no space is left on the device", where=where) from error
        raise FileError(f"cannot write: {error.strerror or error}{place}", where=where) from error
