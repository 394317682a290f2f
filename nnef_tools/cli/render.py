"""The printing of errors, warnings, tables, results and progress. Every line passes through `_line`.

Names come from models and file systems, so characters that control a terminal are shown as escapes, `\\x1b`. Color and
progress are for terminals only, and within `quietly` only errors and data are printed.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import FileError, Notice

if TYPE_CHECKING:
    from ..errors import NnefToolsError
    from ..report import Rows

Progress = Callable[[str], None]

_STYLES = {"bold": "1", "red": "1;31", "yellow": "33", "green": "32", "dim": "2"}

TICK = 1.0
"""Seconds between two updates of the progress line."""

_quiet = False


@contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Context manager in which, if `quiet`, only errors and data are printed."""
    global _quiet
    before, _quiet = _quiet, _quiet or quiet
    try:
        yield
    finally:
        _quiet = before


def printable(text: str) -> str:
    """The text with escapes for characters that are invisible or affect others: control characters, line ends, marks of
    direction, halves of surrogate pairs. A tab becomes a space, which keeps columns aligned."""
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.replace("\t", " "))
    return "".join(escaped)


def note(text: str, style: str | None = None) -> None:
    """Prints a line for the user on standard error."""
    if not _quiet:
        _line(text, style=style)


def warn(text: str) -> None:
    """Prints a warning on standard error."""
    if not _quiet:
        _line(text, ("warning:", "yellow"))


def warn_all(texts: Iterable[str]) -> None:
    """Prints warnings on standard error."""
    for text in texts:
        warn(text)


@contextmanager
def own_warnings() -> Iterator[None]:
    """Context manager in which Python warnings of this package are printed as warnings for the user."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_own(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if category.__module__.partition(".")[0] == __name__.partition(".")[0]:
                (note if issubclass(category, Notice) else warn)(str(message))
            else:
                show(message, category, *place)

        warnings.showwarning = show_own  # type: ignore[assignment]
        yield


def print_error(error: NnefToolsError) -> None:
    """Prints an error on standard error: warnings, message, the table of refused operators or details, and the hint."""
    warn_all(error.warnings)
    head = f"{error.where}: {error.message}" if error.where else error.message
    _line(head, ("error:", "red"))
    if getattr(error, "refused", None):
        from ..report import refusal_table, refused_operators

        _table(refusal_table(refused_operators(error)))
    else:
        for line in error.details:
            _line(f"  {line}")
    if error.hint:
        _line(error.hint, ("hint:", "bold"))


def print_traceback() -> None:
    """Prints the traceback of the exception that is being handled on standard error."""
    import traceback  # many modules, for what is rare

    for line in traceback.format_exc().splitlines():
        _line(line)


def print_table(rows: Rows) -> None:
    """Prints a table, whose first row is the header, on standard error, in the width of the terminal."""
    if not _quiet:
        _table(rows)


def print_result(text: str) -> None:
    """Prints a line about what was done on standard output, if that is open. FileError if it cannot be written."""
    if not _quiet and not _is_closed():
        with standard_output() as stream:
            _line(text, stream=stream)


def print_rows(rows: Rows) -> None:
    """Prints a table, whose first row is the header, on standard output. FileError if it cannot be written."""
    if not _quiet and not _is_closed():
        with standard_output() as stream:
            _table(rows, stream)


def print_json(value: Any) -> None:
    """Prints plain values as JSON, which is ASCII, on standard output. FileError if it cannot be written."""
    with standard_output() as stream:
        stream.write(json.dumps(value, indent=2, allow_nan=False).replace("\x7f", "\\u007f") + "\n")


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Standard output, for data that must not get lost. FileError if it is closed or cannot be written;
    BrokenPipeError if its reader went away."""
    if _is_closed():
        raise FileError("cannot write: it is closed", where="standard output")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up(sys.stdout)
        if isinstance(error, FileError):
            error.where = error.where or "standard output"
            raise
        raise FileError(f"cannot write: {error.strerror or error}", where="standard output") from error


def prepare_streams() -> None:
    """Opens standard streams that are closed, and makes standard output escape what its encoding lacks.

    The files stay open as long as the process.
    """
    if sys.stdin is None:  # None if it is closed; so for the others below
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    with suppress(AttributeError):  # a stream that the caller put there, such as one of a notebook
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that the encoding lacks


def flush_output() -> None:
    """Writes the rest of the buffer of standard output. FileError if it cannot be written."""
    if not _is_closed():
        with standard_output():
            pass


def _is_closed() -> bool:
    """Was standard output closed at the start, so that `prepare_streams` put a null stream in its place?"""
    return sys.__stdout__ is None and getattr(sys.stdout, "name", None) == os.devnull


def give_up(stream: TextIO) -> None:
    """Discards the rest of the buffer of a standard stream, so that the flush at exit raises no error."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def progress() -> Iterator[Progress]:
    """Context manager of a function that shows, on a terminal, the given stage and how long it has been running.

    A stage of at least a second leaves a line. A text with the same first word continues the stage: `verify 2/3`.
    """
    if _quiet or not _is_terminal(sys.stderr):
        yield lambda text: None
        return
    clock = _Clock()
    try:
        yield clock.show
    finally:
        clock.stop()


class _Clock:
    """A line that a thread writes again and again, so that the time goes on while a stage runs."""

    def __init__(self) -> None:
        self._text = ""
        self._start = perf_counter()
        self._lock = Lock()
        self._stopped = Event()
        self._thread = Thread(target=self._tick, daemon=True)
        self._thread.start()

    def show(self, text: str) -> None:
        with self._lock:
            if text.partition(" ")[0] != self._text.partition(" ")[0]:
                self._finish()
                self._start = perf_counter()
            self._text = text
            self._paint()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._finish()

    def _finish(self) -> None:
        """Clears the line, and prints a permanent one if the stage took long."""
        _write(sys.stderr, "\r\x1b[K")
        seconds = perf_counter() - self._start
        if self._text and seconds >= 1:
            _line(f"{self._text}: {seconds:.1f} s", style="dim")

    def _paint(self) -> None:
        import shutil  # many modules, for what is rare

        width = shutil.get_terminal_size().columns - 1
        text = f"{printable(self._text)} {perf_counter() - self._start:.0f} s"
        _write(sys.stderr, f"\r\x1b[K{text[:width]}")

    def _tick(self) -> None:
        while not self._stopped.wait(TICK):
            with self._lock:
                if self._text:
                    self._paint()


def _table(rows: Rows, stream: TextIO | None = None) -> None:
    import shutil  # many modules, for what is rare

    from ..report import format_table

    stream = sys.stderr if stream is None else stream
    printed = [[printable(cell) for cell in row] for row in rows]  # first, since escapes change the width
    width = shutil.get_terminal_size().columns - 2 if stream is not None and stream.isatty() else None
    for k, line in enumerate(format_table(printed, width)):
        _line("  " + line, style="bold" if k == 0 else None, stream=stream)


def _line(
    text: str, label: tuple[str, str] | None = None, *, style: str | None = None, stream: TextIO | None = None
) -> None:
    """Prints one line, by default on standard error. label: a first word and its style."""
    stream = sys.stderr if stream is None else stream
    line = _styled(printable(text), style, stream)
    _write(stream, (f"{_styled(*label, stream)} {line}" if label else line) + "\n")


def _write(stream: TextIO, text: str) -> None:
    """Writes and flushes a line. Errors on standard error are ignored: there is nowhere to report them."""
    try:
        stream.write(text)
        if stream is sys.stderr:
            stream.flush()
    except OSError:
        if stream is not sys.stderr:
            raise
        give_up(stream)


def _styled(text: str, style: str | None, stream: TextIO) -> str:
    colored = style is not None and _is_terminal(stream) and not os.environ.get("NO_COLOR")
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colored and style else text


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"
