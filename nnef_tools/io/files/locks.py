"""A lock for writers of the same target. It ends with its process, however that ends; readers do not need it."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from ...errors import FileError
from .places import lock_paths, place_of

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class BusyError(FileError):
    """Another writer has the lock."""


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Keeps others from writing the path, while the block lasts. Gives False if the file system has no locks.

    A block within one that has the lock goes on. BusyError, a FileError, if another process or thread has it.
    """
    files = tuple(lock_paths(place_of(path)))
    if not _held.get().isdisjoint(files):
        yield True
        return
    found = _acquire(files, path)
    if found is None:
        yield False
        return
    file, number = found
    token = _held.set(_held.get() | {file})
    try:
        yield True
    finally:
        _held.reset(token)
        _release(file, number)


def _acquire(files: Iterable[Path], shown: Path) -> tuple[Path, int] | None:
    """The first lock file that can be, and its number; None if there can be none."""
    for file in files:
        while True:
            try:
                number = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            except OSError:
                break
            try:
                status = os.fstat(number)
                if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                    os.close(number)
                    return None  # not a lock file: it must not be written
                _lock(number)
                if os.path.samestat(status, file.stat()):
                    os.ftruncate(number, 0)
                    os.write(number, str(os.getpid()).encode())
                    return file, number
            except FileNotFoundError:
                pass  # the holder has just removed it
            except OSError as error:
                if error.errno in _BUSY:
                    holder = _holder(number)
                    os.close(number)
                    raise BusyError(
                        f"cannot write: another process{holder} is writing it",
                        where=str(shown),
                        hint="wait until it is done, or write to another place",
                    ) from error
                os.close(number)
                with suppress(OSError):
                    file.unlink()
                return None
            os.close(number)
    return None


def _holder(number: int) -> str:
    with suppress(OSError, ValueError):
        holder = int(os.pread(number, 20, 0)) if sys.platform != "win32" else os.getpid()
        return " (this one, in another thread)" if holder == os.getpid() else f" (pid {holder})"
    return ""


def _release(file: Path, number: int) -> None:
    """Removes the lock file while it is locked: who opened it meanwhile sees that it is not the one of its name."""
    if sys.platform == "win32":
        os.close(number)  # no open file can be removed; if another process has opened it, it stays for that one
    with suppress(OSError):
        file.unlink()
    if sys.platform != "win32":
        os.close(number)


def _lock(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
