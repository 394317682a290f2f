"""Reading a model of several files while it may be replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...errors import FileError, NnefToolsError
from .journal import complete
from .places import journal_path

T = TypeVar("T")

_ATTEMPTS = 8


def read_consistently(path: Path, read: Callable[[], T], main: str | None = None) -> T:
    """The result of `read`, which opens all files of the model at a path: all of them of one version.

    main: the file in a folder that is replaced with the others; None for a model that is a file, with others beside it.
    FileError if it is replaced over and over.
    """
    first = path if main is None else path / main
    for attempt in range(1, _ATTEMPTS + 1):
        complete(path)
        before = _state(first)
        try:
            result = read()
        except (OSError, NnefToolsError):
            being_moved = os.path.lexists(journal_path(path)) and attempt < _ATTEMPTS
            if _state(first) == before and not being_moved:
                raise
        else:
            if _state(first) == before:
                return result
    raise FileError(
        "the model is replaced over and over while it is read", where=str(path), hint="read it when its writer is done"
    )


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
