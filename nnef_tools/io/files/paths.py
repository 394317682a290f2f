"""Paths that are written, and errors that name them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Union

from ...errors import FileError, NnefToolsError

PathLike = Union[str, "os.PathLike[str]"]

_STANDARD_STREAMS = ("stdin", "stdout", "stderr")
_OPEN_FILE = re.compile(r"/dev/(?P<name>stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(?P<number>[0-9]{1,9})")


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


def check_writable(target: Path) -> None:
    """FileError if the target exists and is read-only."""
    if target.exists() and not os.access(target, os.W_OK):
        raise FileError("cannot write: it is read-only", where=str(target))


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
def file_errors(target: Path) -> Iterator[None]:
    """Makes FileErrors of the OSErrors of a block that writes the target."""
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
