"""Standard input and output as binary streams."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO, TextIO


def binary_stdin() -> BinaryIO:
    """Standard input, in bytes."""
    return sys.stdin.buffer


def binary_stdout() -> BinaryIO:
    """Standard output, in bytes; what was printed as text before comes first."""
    sys.stdout.flush()
    return sys.stdout.buffer


def set_stdin_to_binary() -> None:
    """Lets Windows give the bytes of standard input as they are; elsewhere they come so."""
    _set_to_binary(sys.stdin)


def set_stdout_to_binary() -> None:
    """Lets Windows pass on the bytes of standard output as they are; elsewhere they go so."""
    _set_to_binary(sys.stdout)


def _set_to_binary(stream: TextIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(stream.fileno(), os.O_BINARY)


def is_stdin_piped() -> bool:
    """Does standard input come from a pipe or file?"""
    return not sys.stdin.isatty()


def is_stdout_piped() -> bool:
    """Does standard output go to a pipe or file?"""
    return not sys.stdout.isatty()
