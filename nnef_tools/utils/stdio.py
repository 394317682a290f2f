"""Standard input and output as binary streams."""

from __future__ import annotations

import sys
from typing import BinaryIO


def binary_stdin() -> BinaryIO:
    """Standard input, in bytes."""
    return sys.stdin.buffer


def binary_stdout() -> BinaryIO:
    """Standard output, in bytes; what was printed as text before comes first."""
    sys.stdout.flush()
    return sys.stdout.buffer


def is_stdin_piped() -> bool:
    """Does standard input come from a pipe or file?"""
    return not sys.stdin.isatty()


def is_stdout_piped() -> bool:
    """Does standard output go to a pipe or file?"""
    return not sys.stdout.isatty()
