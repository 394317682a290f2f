"""Output that is all or nothing: written beside the target, moved into place when all of it is complete."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from ...errors import FileError
from .exchange import can_exchange, entries, exchange, keep_others, rescue_others
from .journal import Move, complete_locked, run_moves, write_journal
from .locks import lock
from .paths import PathLike, check_writable, file_errors, named_as, open_file
from .places import journal_path, place_of, remove, staging_path


class Output(NamedTuple):
    """A file or folder that is to be replaced. place: where it is. staged: its next version. old: for the former one.

    shown: the place as the caller calls it. files: the relative names in a folder. owned, main: see `replace_folder`.
    """

    place: Path
    staged: Path
    old: Path
    shown: Path
    files: frozenset[str] = frozenset()
    owned: frozenset[str] = frozenset()
    main: str | None = None

    @property
    def replaces_folder(self) -> bool:
        """Is it a folder, for one that exists?"""
        return self.staged.is_dir() and self.place.is_dir()

    def moves(self) -> list[Move]:
        """What brings it into place, file by file for a folder that exists. Its main file goes first and comes last."""
        if not self.replaces_folder:
            aside = [Move.of(self.place, self.old)] if os.path.lexists(self.place) else []
            return [*aside, Move.of(self.staged, self.place)]
        names = sorted({*self.files, *self.owned} - {self.main})
        main = [self.main] if self.main is not None else []
        aside = [
            Move.of(self.place / name, self.old / name)
            for name in (*main, *names)
            if (self.place / name).is_symlink() or (self.place / name).is_file()
        ]
        placed = [name for name in (*names, *main) if name in self.files]
        return [*aside, *(Move.of(self.staged / name, self.place / name) for name in placed)]


class Transaction:
    """The outputs of a block, see `transaction`."""

    def __init__(self, main: Path) -> None:
        self._main = main
        self._token = os.urandom(6).hex()
        self._outputs: list[Output] = []
        self._staging: list[Path] = []
        self._created: list[Path] = []
        self._locks = ExitStack()
        self._is_settled = True

    def claim(self, target: Path) -> Path:
        """Makes the parent folders of a target, and keeps other writers from it. Gives its place. OSError."""
        for parent in reversed([parent for parent in target.absolute().parents if not parent.exists()]):
            self._created.insert(0, parent)
            parent.mkdir(exist_ok=True)
        place = place_of(target)
        if self._locks.enter_context(lock(target)):
            complete_locked(place)
        return place

    def output(self, place: Path, shown: Path, *, inside: bool = False) -> Output:
        """An output that is still to be staged, in the folder itself or beside the place."""
        base = place / place.name if inside else place
        staged, old = (staging_path(base, old=old, token=self._token) for old in (False, True))
        self._staging += (staged, old)
        return Output(place, staged, old, shown)

    def add(self, output: Output) -> None:
        """Adds an output that is staged."""
        self._outputs.append(output)

    def commit(self) -> None:
        """Moves everything into place, or nothing. OSError, FileError."""
        with ExitStack() as stack:
            for output in self._outputs:
                stack.enter_context(named_as(output.staged, output.shown))
                stack.enter_context(named_as(output.old, output.shown))
            place = place_of(self._main)
            whole = next((output for output in self._outputs if output.place == place and _is_whole(output)), None)
            others = [output for output in self._outputs if output is not whole]
            if whole is None and len(others) == 1 and not others[0].replaces_folder:
                others[0].staged.replace(others[0].place)
            elif whole is None or not self._move(place, others, whole):
                self._move(place, self._outputs, None)

    def _move(self, place: Path, outputs: Sequence[Output], whole: Output | None) -> bool:
        """Moves a folder as a whole, if there is one, and then others. False if the folder cannot be exchanged."""
        moves = _ordered(outputs, place)
        if whole is None and not moves:
            return True
        folders = {parent for move in moves for parent in move.target.parents if not parent.exists()}
        exists = whole is not None and whole.place.is_dir()
        self._is_settled = False
        try:
            if moves:
                write_journal(journal_path(place if whole is None else whole.staged), moves, place)
            number = None if whole is None else whole.staged.stat().st_ino
            if whole is not None and not _swapped(whole, exists=exists):
                journal_path(whole.staged).unlink(missing_ok=True)
                return False
            run_moves(moves)
            if moves:
                journal_path(place).unlink()
        except BaseException:
            with suppress(OSError):  # what cannot be moved back stays, and the journal with it
                for move in reversed(moves):
                    move.undo()
                if whole is not None and whole.place.is_dir() and whole.place.stat().st_ino == number:
                    exchange(whole.staged, whole.place) if exists else whole.place.rename(whole.staged)
                journal_path(place).unlink(missing_ok=True)
                self._is_settled = True
            for folder in sorted(folders, reverse=True):
                with suppress(OSError):
                    folder.rmdir()
            raise
        if exists and whole is not None:
            rescue_others(whole.staged, whole.place, whole.files | whole.owned)
        self._is_settled = True
        return True

    def close(self, *, failed: bool) -> None:
        """Removes what is staged; not what could not be moved back, which a journal brings into place later."""
        try:
            for path in self._staging if self._is_settled else ():
                remove(path)
        finally:
            self._locks.close()
        for folder in self._created if failed else ():
            with suppress(OSError):
                folder.rmdir()


_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


@contextmanager
def transaction(main: PathLike) -> Iterator[Transaction]:
    """What `replace_file` and `replace_folder` write in the block comes into place at its end: all of it, or nothing.

    main: the file or folder beside or in which a journal is kept as long as some is missing; its readers and writers
    complete it. A block within another one is part of that. FileError if something cannot be moved.
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    own = Transaction(Path(main))
    token = _current.set(own)
    failed = True
    try:
        with file_errors(Path(main)):
            yield own
            own.commit()
        failed = False
    finally:
        _current.reset(token)
        own.close(failed=failed)


@contextmanager
def replace_file(path: PathLike) -> Iterator[BinaryIO]:
    """Gives a binary file object; its contents become the file at `path` when the block ends without an error.

    Missing parent folders are created. A pipe, a device or an open file (`/dev/stdout`) is written directly, a symbolic
    link is replaced and not followed. FileError if that is not possible; OSErrors of the block become FileErrors.
    """
    target = Path(path)
    with file_errors(target):
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
        check_writable(target)
        with transaction(target) as run:
            output = run.output(run.claim(target), target)
            with named_as(output.staged, target):
                with output.staged.open("xb") as stream:
                    yield stream
                    if mode is not None:  # a good file must not become an empty one when the power fails
                        stream.flush()
                        os.fsync(stream.fileno())
                if mode is not None:
                    output.staged.chmod(stat.S_IMODE(mode))
            run.add(output)


@contextmanager
def json_file(path: PathLike, value: Any) -> Iterator[None]:
    """Writes the value as JSON if the block ends without an error, see `replace_file`."""
    with replace_file(path) as file:
        file.write((json.dumps(value, indent=4) + "\n").encode())
        yield


@contextmanager
def replace_folder(path: PathLike, owned: Iterable[str] = (), main: str | None = None) -> Iterator[Path]:
    """Gives an empty folder; its files become those of the folder at `path` when the block ends without an error.

    In a folder that exists, files of the same names are replaced, and the files `owned` (relative names: what the
    previous version of the content consisted of, asked for when nobody else writes it) are removed if they are not part
    of it any more. Everything else in it stays. main: the file without which the others are nothing. Missing parent
    folders are created. FileError as for `replace_file`.

    The folder that exists is exchanged as a whole where the operating system can, or else file by file.
    """
    target = Path(path)
    with file_errors(target):
        if target.exists() and not target.is_dir():
            raise FileError("cannot write: there is a file of that name", where=str(target))
        check_writable(target)
        with transaction(target) as run:
            place = run.claim(target)
            former = frozenset(owned)
            output = run.output(place, target, inside=place.is_dir() and not can_exchange(place))
            staged = output.staged
            with named_as(staged, target):
                staged.mkdir()
                yield staged
            files = frozenset(name for name, is_folder in entries(staged) if not is_folder)
            for name in sorted(files | former) if place.is_dir() else ():
                _check_inside(place, name, target)
            run.add(Output(place, staged, output.old, target, files, former, main))


def _check_inside(folder: Path, name: str, shown: Path) -> None:
    """The folders on the way to a file must be real folders of the target: a link may lead anywhere."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise FileError(f"'{name}' is outside of the folder", where=str(shown))
    for parent in relative.parents:
        if parent.name and (folder / parent).is_symlink():
            raise FileError(f"cannot write '{name}': '{parent}' is a symbolic link", where=str(shown))
    if (folder / relative).is_dir():
        raise FileError(f"cannot write '{name}': there is a folder of that name", where=str(shown))


def _is_whole(output: Output) -> bool:
    """Can the output be moved as one folder? With what others have in the one that exists, which gets linked."""
    if not output.staged.is_dir() or output.staged.parent != output.place.parent:
        return False
    if output.place.is_dir():
        try:
            keep_others(output.place, output.staged, output.files, output.owned)
        except (OSError, NotImplementedError):  # there are systems without hard links to links
            return False
    return True


def _swapped(whole: Output, *, exists: bool) -> bool:
    """Moves a folder into place; False if it exists and cannot be exchanged."""
    if not exists:
        whole.staged.rename(whole.place)
        return True
    try:
        exchange(whole.staged, whole.place)
    except OSError:
        return False
    return True


def _ordered(outputs: Sequence[Output], main: Path) -> list[Move]:
    """The moves of several outputs: what the main one replaces goes first, and its main file comes last."""
    first = [move for output in outputs if output.place == main for move in output.moves()]
    rest = [move for output in outputs if output.place != main for move in output.moves()]
    return [*first[:-1], *rest, *first[-1:]]
