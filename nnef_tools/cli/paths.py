"""Paths on the command line, where `-` stands for standard output."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UsageError
from ..io.files import open_file
from .render import standard_output

STANDARD_OUTPUT = "/dev/stdout"


def file_name(path: str | None) -> str | None:
    """The path of a file to write; `-` is standard output."""
    return STANDARD_OUTPUT if path == "-" else path


def source_path(path: str) -> str:
    """The path of a model to read. UsageError for `-`: readers need a file, in which they can go back and forth."""
    if path == "-":
        raise UsageError("a model cannot be read from standard input", hint="save it to a file first")
    return path


def folder_name(option: str, path: str | None) -> str | None:
    """The path of a folder. UsageError for `-` and streams."""
    if path is not None and (path == "-" or open_file(path) is not None):
        raise UsageError(f"{option}: '{path}' is not a folder", hint=f"without {option} the tensors go through a pipe")
    return path


def is_output(path: str | None) -> bool:
    """Is it standard output?"""
    return path is not None and open_file(path) == 1


def check_output(files: Mapping[str, str | None], *others: str) -> None:
    """Raises UsageError if several things would go to standard output, FileError if one does and it is closed.

    files: what is written -> its path. others: what goes to standard output in any case.
    """
    there = [what for what, path in files.items() if is_output(path)]
    if len(there) + len(others) > 1:
        raise UsageError(f"{' and '.join([*there, *others])} cannot both go to standard output")
    if there:
        with standard_output():
            pass
