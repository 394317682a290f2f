"""Opens files for reading that are what they seem to be."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError, NnefToolsError
from .files import open_file


@contextmanager
def plain_file(path: Path, *, or_open_file: bool = False) -> Iterator[BinaryIO]:
    """Opens a file for reading. FileError for anything else, at once: a pipe or device may wait or go on for ever.

    or_open_file: also what this process has open already, such as `/dev/stdin`, of whatever kind it is. OSErrors of
    the block become FileErrors.
    """
    is_open = or_open_file and open_file(path) is not None
    try:
        with io.BufferedReader(io.FileIO(str(path), opener=None if is_open else _open_at_once)) as file:
            if not is_open and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileError("not a plain file, but a pipe or device", where=str(path))
            yield file
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, NnefToolsError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FileError(f"cannot read the file: {reason}", where=str(path)) from error


def _open_at_once(path: str, flags: int) -> int:
    """Opening a named pipe would wait for a writer, and what a file is can be told for certain when it is open."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
