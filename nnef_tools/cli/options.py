"""Shared parts of the subcommands: reading option values, and turning errors into exit statuses.

Values are never evaluated as code: `ast.literal_eval` reads Python literals.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..budget import within
from ..errors import FileError, NnefToolsError, UsageError
from ..formats import FORMATS, Format
from .parser import EXIT_CODES, Names, Parser, add_common_options, add_limits, integer, option_name, shortened
from .render import flush_output, give_up, own_warnings, print_error, print_json, print_traceback, quietly, warn

__all__ = [
    "EXIT_CODES",
    "SHAPE_WORD",
    "VALUE_WORD",
    "Names",
    "Parser",
    "add_common_options",
    "add_input_format",
    "add_limits",
    "add_reader_options",
    "guarded",
    "integer",
    "names_or_all",
    "option_name",
    "parse_limits",
    "parse_literal",
    "parse_shapes",
    "parse_values",
    "reader_options",
    "shortened",
]

SHAPES_EXAMPLE = "{'x': (1, 3, 224, 224)}"

LARGEST_EXTENT = 2**63 - 1

SHAPE_WORD = re.compile(r".*:([-+?*]?\d*(,.*)?)", re.DOTALL)
"""The form of a value of --shape, which tells it from a path: a name, a colon and numbers."""

VALUE_WORD = re.compile(r"[^=]+=.+", re.DOTALL)
"""The form of a value of --set."""

BROKEN_PIPE = 141


class InternalError(NnefToolsError):
    """A defect of this package."""

    exit_code = 70


class InterruptionError(NnefToolsError):
    """The user stopped the command."""

    exit_code = 130


def add_input_format(group: argparse._ActionsContainer, *names: str) -> None:
    """Adds the option for the format of the model: `--input-format`, or names of it of which the first is `dest`."""
    text = "of the model (default: by content and suffix)"
    group.add_argument(*(names or ("--input-format",)), choices=tuple(FORMATS), help=text)


def add_reader_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options that the readers of single formats have."""
    group.add_argument("--signature", metavar="NAME", help="which signature of a TFLite model or a SavedModel")
    group.add_argument("--weights", metavar="FILE", help="the weights of a Caffe net (default: the file beside it)")


def reader_options(args: argparse.Namespace, *formats: Format) -> dict[str, Any]:
    """The values of the options for readers; warns of those that are given, and that no reader of the formats has."""
    values = {"signature": args.signature, "weights": args.weights}
    for name, value in values.items():
        if value is not None and not any(name in format.reader_options for format in formats):
            titles = " and ".join(dict.fromkeys(format.title for format in formats))
            warn(f"{option_name(name)} has no effect on {titles} models")
    return values


def guarded(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Runs a subcommand and turns whatever it raises into a message and an exit status."""
    try:
        limits = parse_limits(getattr(args, "limits", None))
        with quietly(getattr(args, "quiet", False)), own_warnings(), within(limits):
            status = run(args)
        flush_output()
        return status
    except BrokenPipeError:
        return _after_broken_pipe()
    except KeyboardInterrupt:
        return _fail(InterruptionError("interrupted"), args)
    except NnefToolsError as error:
        return _after_broken_pipe() if isinstance(error.__cause__, BrokenPipeError) else _fail(error, args)
    except OSError as error:
        return _fail(FileError(error.strerror or str(error), where=error.filename), args)
    except Exception as error:  # a defect of this package: also one message, with the place
        message = f"internal error: {type(error).__name__}: {error}"
        hint = "please report this, with what --debug prints"
        return _fail(InternalError(message, where=_place(error), hint=hint), args)


def _after_broken_pipe() -> int:
    give_up(sys.stdout)
    return BROKEN_PIPE


def _place(error: Exception) -> str | None:
    """The innermost line of this package in the traceback of an error."""
    import traceback  # many modules, for what is rare

    package = Path(__file__).parents[1]
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [f"{path.relative_to(package)}:{line}" for path, line in frames if path.is_relative_to(package)]
    return ours[-1] if ours else None


def _fail(error: NnefToolsError, args: argparse.Namespace) -> int:
    if args.debug:
        print_traceback()
    print_error(error)
    if args.json:
        from ..report import error_to_json

        with suppress(OSError):  # standard output cannot be written, which may be the very error
            print_json(error_to_json(error))
    return error.exit_code


def parse_literal(text: str, option: str, example: str) -> Any:
    """Reads a Python literal: numbers, strings, lists, tuples, dicts. UsageError, whose hint is the example."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        message = f"{option}: not a Python literal: {shortened(repr(text))}"
        raise UsageError(message, hint=f'{option} "{example}"') from None


def parse_shapes(literal: str | None, compact: Iterable[str] = ()) -> dict[str, tuple[int, ...]] | None:
    """Reads input shapes from a literal such as `{'x': (1, 3, 224, 224)}` and from words such as `x:1,3,224,224`.

    None if nothing is given. UsageError if a name is not a string, or an extent not a positive integer of 64 bits.
    """
    if literal is None and not compact:
        return None
    shapes = {} if literal is None else parse_literal(literal, "--input-shapes", SHAPES_EXAMPLE)
    if not isinstance(shapes, dict):
        raise UsageError(
            f"--input-shapes: not a dict: {shortened(str(literal))}", hint=f'--input-shapes "{SHAPES_EXAMPLE}"'
        )
    result = {name: _shape(name, shape) for name, shape in shapes.items()}
    for item in compact:
        name, separator, extents = item.rpartition(":")
        if not separator:
            raise UsageError(f"--shape: no name in '{item}'", hint="--shape x:1,3,224,224")
        parts = [part.strip() for part in extents.split(",") if part.strip()]
        wrong = [part for part in parts if not _is_extent(part)]
        if wrong:
            raise UsageError(
                f"--shape: '{shortened(wrong[0])}' in '{shortened(item)}' is not a positive integer of 64 bits",
                hint="--shape x:1,3,224,224",
            )
        result[name] = tuple(map(int, parts))
    return result


def parse_values(items: Iterable[str]) -> dict[str, Any]:
    """Reads values of inputs such as `keep_prob=1.0`: numbers, `true`, `false`, lists of those or text. UsageError."""
    values = {}
    for item in items:
        name, _, text = item.partition("=")
        if not (name and text):
            raise UsageError(f"--set: '{shortened(item)}' is not a name with a value", hint="--set keep_prob=1.0")
        values[name] = _value(text.strip())
    return values


def _value(text: str) -> Any:
    """A number, also `inf` and `nan`, a logical value, or a list; the text itself if it is none of these."""
    spelled = re.sub(r"\b(true|false)\b", lambda match: match[0].capitalize(), text, flags=re.IGNORECASE)
    for read in (int, float, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return read(spelled)
    return text


def parse_limits(text: str | None) -> dict[str, float]:
    """Reads limits such as `items=2e9,steps=10000`. UsageError; `budget.within` checks names and values."""
    limits = {}
    for item in (text or "").split(",") if text is not None else ():
        name, _, number = item.partition("=")
        try:
            limits[name.strip()] = float(number)
        except ValueError:
            raise UsageError(
                f"--limit: '{shortened(item)}' is not a limit with a number", hint="--limit items=2e9,steps=10000"
            ) from None
    return limits


def _is_extent(text: str) -> bool:
    return text.isdecimal() and len(text) < 20 and 0 < int(text) <= LARGEST_EXTENT


def names_or_all(names: list[str] | bool | None) -> list[str] | bool:
    """The value of an option whose names may be left out: True (all) if they are, False if it is not given."""
    if names is None:
        return False
    return names or True


def _shape(name: Any, shape: Any) -> tuple[int, ...]:
    extents = (shape,) if isinstance(shape, int) else shape
    valid = isinstance(name, str) and isinstance(extents, (tuple, list))
    if not valid or not all(type(extent) is int and 0 < extent <= LARGEST_EXTENT for extent in extents):
        shown = shortened(f"{name!r}: {shape!r}")
        raise UsageError(
            f"--input-shapes: {shown} is not the name of an input with its extents, which are positive",
            hint=f'--input-shapes "{SHAPES_EXAMPLE}"',
        )
    return tuple(extents)
