"""Places in the code of plugins: the module that an entry of a table comes from, and the lines that an error passed."""

from __future__ import annotations

import importlib
import linecache
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parents[1])
_NOT_PLUGINS = (_PACKAGE + os.sep, str(Path(importlib.__file__).parent) + os.sep, "<")


class PluginTable(dict[Any, Any]):
    """A table merged of several modules. origins: key -> its entry, as `plugin.CUSTOM_SHAPES['foo']`."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[Hashable, str] = {}


def origin(table: Mapping[Any, Any] | None, key: Hashable) -> str | None:
    """The entry of a table with its module, for messages; None if it does not tell."""
    known: Mapping[Hashable, str] = getattr(table, "origins", {})
    return known.get(key)


def reason(error: BaseException) -> str:
    """The kind of an error and what it says, on one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def own_lines(error: BaseException | None, function: Any = None) -> list[str]:
    """The last line of the plugin that an error passed, as `file:line: code`; else that of the function's definition.

    The plugin's file is the first one that is not of this package; what the plugin calls is not its own.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return [source_line(error.filename, error.lineno or 1)]
    import traceback  # many modules, for what is rare

    passed = traceback.extract_tb(error.__traceback__) if error is not None else []
    frames = [frame for frame in passed if not frame.filename.startswith(_NOT_PLUGINS)]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    if own:
        return [source_line(own[-1].filename, own[-1].lineno or 1)]
    code = getattr(function, "__code__", None)
    return [source_line(code.co_filename, code.co_firstlineno)] if code is not None else []


def source_line(filename: str, line: int, *texts: str) -> str:
    """`file:line: code`. texts: the code is the first line from there on that has one of them, if there is one."""
    lines = linecache.getlines(filename)
    found = (k for k in range(line, len(lines) + 1) if any(text in lines[k - 1] for text in texts))
    line = next(found, line)
    code = f": {lines[line - 1].strip()}" if 0 < line <= len(lines) else ""
    return f"{filename.removeprefix(str(Path.cwd()) + os.sep)}:{line}{code}"
