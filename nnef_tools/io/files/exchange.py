"""Folders that are exchanged as a whole, by one call of the operating system."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

_AT_FDCWD = -100  # of Linux: paths are relative to the current folder
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS

_MAX_KEPT = 1000
"""Foreign files and folders that are linked into the new folder; with more, files are exchanged one by one."""


def exchange(first: Path, second: Path) -> None:
    """Makes each of two paths the other, at once. OSError if that is not possible."""
    call = _system_call()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(second))
    number = call(os.fsencode(first), os.fsencode(second))
    if number:
        raise OSError(number, os.strerror(number), str(second))


@cache
def _system_call() -> Callable[[bytes, bytes], int] | None:
    """Exchanges two paths and gives an error number, 0 for none. None if the system cannot do that."""
    import ctypes

    try:
        if sys.platform == "linux":
            at = ctypes.CDLL(None, use_errno=True).renameat2
            at.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
            return lambda a, b: ctypes.get_errno() if at(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE) else 0
        if sys.platform == "darwin":
            named = ctypes.CDLL(None, use_errno=True).renamex_np
            named.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda a, b: ctypes.get_errno() if named(a, b, _EXCHANGE) else 0
    except (OSError, AttributeError):
        pass
    return None


def can_exchange(folder: Path) -> bool:
    """May another folder take the place of this one? Not where a process works, or where something is mounted."""
    with suppress(OSError):
        if Path.cwd().resolve().is_relative_to(folder):
            return False
    parent = os.access(folder.parent, os.W_OK | os.X_OK)
    return parent and _system_call() is not None and not os.path.ismount(folder)


def keep_others(old: Path, new: Path, replaced: Collection[str], owned: Collection[str]) -> None:
    """Links everything in `old` that is not replaced or owned into `new`, and gives `new` the mode of `old`.

    OSError if that is not possible.
    """
    import shutil  # many modules, for what is rare

    if (old.stat().st_uid, old.stat().st_gid) != (new.stat().st_uid, new.stat().st_gid):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(old))
    emptied = {str(parent) for name in (*replaced, *owned) for parent in PurePosixPath(name).parents}
    folders = []
    for count, (name, is_folder) in enumerate(entries(old)):
        if count > _MAX_KEPT + len(replaced) + len(owned):
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), str(old))
        if is_folder:
            if not os.access(old / name, os.W_OK | os.X_OK) or os.path.ismount(old / name):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(old / name))
            folders.append(name)
            if name not in emptied:
                (new / name).mkdir(parents=True, exist_ok=True)
        elif name not in replaced and name not in owned:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(old / name, new / name, follow_symlinks=False)
    for name in reversed(folders):
        if (new / name).is_dir():
            shutil.copystat(old / name, new / name)
    times = new.stat()
    shutil.copystat(old, new)
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))


def entries(folder: Path | str, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Relative names of all files and folders below a folder, and whether they are folders; links are files."""
    with os.scandir(folder) as found:
        for entry in found:
            is_folder = entry.is_dir(follow_symlinks=False)
            yield prefix + entry.name, is_folder
            if is_folder:
                yield from entries(entry.path, f"{prefix}{entry.name}/")


def rescue_others(old: Path, new: Path, owned: Collection[str]) -> None:
    """Moves files that others have put into `old` while it was exchanged to `new`."""
    for name, is_folder in list(entries(old)):
        if is_folder or name in owned:
            continue
        kept = new / name
        if not os.path.lexists(kept) or not os.path.samestat(kept.lstat(), (old / name).lstat()):
            kept.parent.mkdir(parents=True, exist_ok=True)
            (old / name).replace(kept)
