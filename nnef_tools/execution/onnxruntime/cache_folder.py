"""The folder that compiled models are cached in: one of its own, for one user, in which only own files are touched.

Entries are files with a key as name. Whoever can write to the folder could make runs compute something else, so it is
used only if it belongs to this user and nobody else can write to it; the same holds for each file in it. Only plain
files are opened, and links not followed. If the folder cannot be read or written, nothing is cached.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import FileError

VARIABLE = "NNEF_TOOLS_MODEL_CACHE"
"""The environment variable with another folder for the cache, or 'off'."""

DEFAULT_LIMIT = 500_000_000
"""The size in bytes up to which the cache grows, unless the user sets another one."""

_FOLDER = "compiled-models"
_LIMIT_FILE = "limit"
_ENTRY = re.compile(r"[0-9a-f]{40}\.compiled")
_UNFINISHED = re.compile(rf"(?:{_ENTRY.pattern}|{_LIMIT_FILE})\.[0-9a-f]{{12}}\.tmp")
_MAX_ENTRY = 1 << 26  # bytes
_MAX_NUMBER = 20  # digits
_ABANDONED = 3600  # seconds after which an unfinished file is that of a process that ended
_PRIVATE = 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
READ_PLAIN = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""The flags for opening what may not be a plain file: a link is an error, a pipe does not wait for its other end."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY"))


class CacheWarning(RuntimeWarning):
    """The cache of compiled models is not used, since others could change it."""


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache. used: when it was written or read last, in seconds since the epoch."""

    path: Path
    size: int
    used: float


class CacheFolder:
    """The folder at a path, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_user(cls) -> CacheFolder | None:
        """The folder that the environment chooses; None if the cache is off."""
        chosen = os.environ.get(VARIABLE)
        base = Path(chosen) if chosen else _default_base()
        return None if chosen == "off" or base is None else cls(base / _FOLDER)

    def problem(self) -> str | None:
        """Why the folder must not be used; None if it may, or is not there."""
        try:
            status = self.path.lstat()
        except OSError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            return "it is not a folder"
        if not _is_own(status):
            return "it belongs to another user"
        return None if _is_private(status) else "other users can write to it"

    def check(self) -> None:
        """FileError if the folder must not be used."""
        problem = self.problem()
        if problem is not None:
            hint = f"remove it, or name another folder in {VARIABLE}"
            raise FileError(f"the cache is not used: {problem}", where=str(self.path), hint=hint)

    def read(self, key: str) -> bytes | None:
        """The content of an entry; None if there is none that can be trusted."""
        return self._read(f"{key}.compiled", _MAX_ENTRY)

    def write(self, key: str, content: bytes) -> None:
        """Writes an entry, unless it is too large, and removes those that were not used for longest to make room."""
        with suppress(OSError):
            self._create()
            limit = self.limit
            if len(content) <= min(_MAX_ENTRY, limit):
                self._make_room(limit - len(content))
                self._write(f"{key}.compiled", content)

    def remove(self, key: str) -> None:
        """Removes an entry, if it is a plain file."""
        with suppress(OSError):
            path = self.path / f"{key}.compiled"
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink()

    def entries(self) -> list[CachedFile]:
        """All entries, in the order of their last use. OSError if the folder cannot be read."""
        return list(self._files(_ENTRY))

    def clear(self) -> list[CachedFile]:
        """Removes all entries and what is left of unfinished ones; returns the entries. FileError, OSError."""
        self.check()
        removed = self.entries()
        for file in (*removed, *self._files(_UNFINISHED)):
            file.path.unlink(missing_ok=True)
        return removed

    @property
    def limit(self) -> int:
        """The size in bytes up to which the cache grows."""
        text = self._read(_LIMIT_FILE, _MAX_NUMBER) or b""
        return int(text) if text.isdigit() else DEFAULT_LIMIT

    @limit.setter
    def limit(self, size: int) -> None:
        """Keeps the limit in the folder, and removes what goes beyond it. FileError, OSError."""
        self._create()
        self._write(_LIMIT_FILE, str(size).encode())
        self._make_room(size)

    def _create(self) -> None:
        self.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        self.check()

    def _read(self, name: str, most: int) -> bytes | None:
        try:
            with os.fdopen(os.open(self.path / name, READ_PLAIN), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                trusted = stat.S_ISREG(status.st_mode) and _is_own(status) and _is_private(status)
                if not trusted or status.st_size > most:
                    return None
                content: bytes = file.read(status.st_size)
                os.utime(file.fileno() if os.utime in os.supports_fd else self.path / name)
                return content
        except OSError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        temporary = self.path / f"{name}.{os.urandom(6).hex()}.tmp"
        try:
            with os.fdopen(os.open(temporary, _CREATE, 0o600), "wb") as file:
                file.write(content)
            temporary.replace(self.path / name)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _make_room(self, most: int) -> None:
        """Removes the entries that were not used for longest until the others take at most so many bytes."""
        self._remove(file for file in self._files(_UNFINISHED) if time.time() - file.used > _ABANDONED)
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total <= most:
                break
            self._remove([entry])
            total -= entry.size

    def _remove(self, files: Iterable[CachedFile]) -> None:
        for file in files:
            with suppress(OSError):
                file.path.unlink()

    def _files(self, names: re.Pattern[str]) -> Iterator[CachedFile]:
        """The plain files with such names, in the order of their last use."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                if names.fullmatch(entry.name):
                    with suppress(FileNotFoundError):  # another process removed it
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            found.append(CachedFile(Path(entry.path), status.st_size, status.st_mtime))
        return iter(sorted(found, key=lambda file: (file.used, file.path.name)))


def _default_base() -> Path | None:
    """The folder for caches of this package; None if there is no home folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    else:
        caches = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(caches) / "nnef_tools"


def _is_own(status: os.stat_result) -> bool:
    return sys.platform == "win32" or status.st_uid == os.geteuid()


def _is_private(status: os.stat_result) -> bool:
    return sys.platform == "win32" or not status.st_mode & _OTHERS_WRITE
