"""Several moves as one: a journal says what is to be moved, until all of it is.

The journal of an interrupted run is completed by the next reader or writer. It only takes effect on the very files
that it was written for, known by number and time: one that came with a copied or downloaded folder does nothing.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .locks import BusyError, lock
from .paths import named_as
from .places import journal_path, place_of, remove, remove_leftovers, staging_path, staging_root

_MAX_BYTES = 1 << 26
_PATIENCE = 10.0  # seconds; moving takes milliseconds

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """What a file or folder is known by, wherever it is moved; None if there is nothing."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


class Move(NamedTuple):
    """A file or folder that is to be renamed. Doing or undoing it twice is the same as once."""

    source: Path
    target: Path
    identity: Identity

    @classmethod
    def of(cls, source: Path, target: Path) -> Move:
        """The move of what is at `source` now."""
        return cls(source, target, identity(source) or (0, 0))

    def do(self) -> None:
        """Renames source to target. OSError, also if there is something else at the target."""
        self._rename(self.source, self.target)

    def undo(self) -> None:
        """Renames target to source. OSError."""
        self._rename(self.target, self.source)

    def _rename(self, source: Path, target: Path) -> None:
        if identity(source) != self.identity:
            return
        if os.path.lexists(target):
            raise FileExistsError(f"'{target}' has appeared meanwhile")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    @property
    def staging(self) -> Path | None:
        """The staging path that one end of the move is in; None if the move cannot be of this package."""
        roots = staging_root(self.source), staging_root(self.target)
        root = roots[0] or roots[1]
        other = self.target if roots[0] else self.source
        if root is None or None not in roots or ".." in (*self.source.parts, *self.target.parts):
            return None
        return root if other.is_relative_to(root.parent) else None


def write_journal(journal: Path, moves: Sequence[Move], place: Path) -> None:
    """Writes a journal at once. place: the folder that it will be beside or in, which its paths are relative to."""
    entries = [
        [os.path.relpath(move.source, place), os.path.relpath(move.target, place), *move.identity] for move in moves
    ]
    temporary = staging_path(journal.parent / place.name)
    try:
        with named_as(temporary, place):
            with temporary.open("xb") as file:
                file.write(json.dumps(entries).encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(journal)
    except BaseException:
        remove(temporary)
        raise


def run_moves(moves: Iterable[Move]) -> None:
    """Moves everything, and removes folders that nothing is left in. OSError."""
    moves = tuple(moves)
    for move in moves:
        move.do()
    for move in moves:
        if staging_root(move.source) is None:
            with suppress(OSError):  # not empty
                for folder in move.source.parents:
                    folder.rmdir()


def remove_staging(moves: Iterable[Move]) -> None:
    """Removes the staging paths of moves that are done."""
    for root in {move.staging for move in moves} - {None}:
        remove(root)  # type: ignore[arg-type]


def complete(path: Path) -> None:
    """Completes what a killed run began to move at a path, and waits for one that is moving. Costs nothing without.

    BusyError, a FileError, if another process does not get done. What cannot be completed, as in a folder that others
    own, stays: then either nothing or everything has been moved, or the main file of the model is missing.
    """
    until = time.monotonic() + _PATIENCE
    while os.path.lexists(journal_path(path)):
        try:
            with lock(path) as locked:
                if locked:
                    complete_locked(place_of(path))
            return
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)


def complete_locked(place: Path) -> None:
    """Completes what a killed run began to move, and removes what it left. The caller has the lock of the place."""
    journal = journal_path(place)
    if os.path.lexists(journal):
        moves = _read(journal, place)
        if moves is None:
            return
        try:
            run_moves(moves)
            journal.unlink()
        except OSError:
            return  # nothing is lost: it stays for one who can
        remove_staging(moves)
    remove_leftovers(place)


def _read(journal: Path, place: Path) -> list[Move] | None:
    """The moves of a journal, without trusting it; None if it is not one of this user."""
    try:
        status = journal.lstat()
        own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        if not own or not stat.S_ISREG(status.st_mode):
            return None
        entries = json.loads(journal.read_bytes()) if status.st_size <= _MAX_BYTES else []
        moves = [
            Move(_joined(place, source), _joined(place, target), (int(number), int(time)))
            for source, target, number, time in entries
        ]
    except OSError:
        return None
    except (ValueError, TypeError, RecursionError):
        return []
    return [move for move in moves if move.staging is not None]


def _joined(place: Path, relative: str) -> Path:
    return Path(os.path.normpath(place / relative))
