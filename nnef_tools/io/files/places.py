"""The names of what stands beside a target while it is written, so that each run finds what a killed one left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MAX_NAME = 150
"""Bytes of the longest name of a target that is part of other names; file systems have 255."""

_STAGING = re.compile(r"\.(?P<name>.*)\.[0-9a-f]{12}\.nnef-tools-(?:new|old)", re.DOTALL)


def place_of(path: Path) -> Path:
    """The absolute path that is replaced: where a link to a folder leads, but a link to a file itself."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def staging_path(place: Path, *, old: bool = False, token: str | None = None) -> Path:
    """A new path beside a place, for its next version, or for what was there before.

    token: 12 hexadecimal digits, which the paths of one run may share.
    """
    return place.parent / f".{_short(place.name)}.{token or os.urandom(6).hex()}.nnef-tools-{'old' if old else 'new'}"


def staging_root(path: Path) -> Path | None:
    """The part of a path that ends with a name of `staging_path`; None if there is none, or several."""
    found = [part for part in (path, *path.parents) if _STAGING.fullmatch(part.name)]
    return found[0] if len(found) == 1 else None


def journal_path(place: Path) -> Path:
    """The journal for a place: in the folder, or beside the file."""
    if place.is_dir():
        return place / ".nnef-tools-journal"
    return place.parent / f".{_short(place.name)}.nnef-tools-journal"


def lock_paths(place: Path) -> Iterator[Path]:
    """Where the lock of a place may be: beside it, and for folders that cannot have files beside them, inside."""
    near = next((folder for folder in place.parents if folder.is_dir()), place.parent)
    yield near / f".{_short('+'.join(place.relative_to(near).parts))}.nnef-tools-lock"
    if place.is_dir():
        yield place / ".nnef-tools-lock"


def remove_leftovers(place: Path) -> None:
    """Removes what killed runs left beside a place, and in it; nobody may be writing it, and there is no journal."""
    near = next((folder for folder in place.parents if folder.is_dir()), place.parent)
    for folder in (near, place):
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                found = _STAGING.fullmatch(entry.name)
                if found and found["name"] == _short(place.name):
                    remove(Path(entry.path))


def remove(path: Path) -> None:
    """Removes a file or a folder, as far as possible."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # many modules, for what is rare

        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _short(name: str) -> str:
    raw = os.fsencode(name)
    if len(raw) <= _MAX_NAME:
        return name
    import hashlib  # many modules, for what is rare

    return hashlib.blake2b(raw, digest_size=16).hexdigest()
