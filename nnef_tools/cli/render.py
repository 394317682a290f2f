"""What a terminal shows: errors, warnings, tables, progress. Colour and progress only where a person is watching."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ..errors import NnefToolsError
    from ..report import Rows

Progress = Callable[[str], None]

_STYLES = {"bold": "1", "red": "1;31", "yellow": "33", "green": "32", "dim": "2"}


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in a style, if the stream (standard error by default) is a terminal that wants colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if _wants_colour(stream or sys.stderr) else text


def note(text: str) -> None:
    """Prints a line for the user on standard error."""
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    """Prints a warning on standard error."""
    note(f"{styled('warning:', 'yellow')} {text}")


def print_error(error: NnefToolsError) -> None:
    """Prints an error on standard error: message, the table of refused operators or the details, and the hint."""
    head = f"{error.where}: {error.message}" if error.where else error.message
    note(f"{styled('error:', 'red')} {head}")
    if getattr(error, "refused", None):
        from ..report import refusal_table, refused_operators

        print_table(refusal_table(refused_operators(error)))
    else:
        for line in error.details:
            note(f"  {line}")
    if error.hint:
        note(f"{styled('hint:', 'bold')} {error.hint}")


def print_table(rows: Rows) -> None:
    """Prints a table, whose first row is the header, on standard error; it fits a terminal."""
    from ..report import format_table

    width = shutil.get_terminal_size().columns - 2 if sys.stderr.isatty() else None
    for k, line in enumerate(format_table(rows, width)):
        note("  " + (styled(line, "bold") if k == 0 else line))


def print_json(value: Any) -> None:
    """Prints plain values as JSON on standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def progress() -> Iterator[Progress]:
    """A function that shows what is being done, for as long as the block lasts, if somebody is watching."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda text: None
        return
    try:
        from rich.console import Console
    except ImportError:
        yield from _plain_progress()
        return
    with Console(stderr=True).status("") as status:
        yield status.update


def _plain_progress() -> Iterator[Progress]:
    """One line that is written over and over, and cleared at the end."""

    def show(text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        show("")


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
