"""What the subcommands share: the parser, options, the reading of option values, and the way from errors to statuses.

Values are never evaluated: `ast.literal_eval` reads those that are written as Python literals.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import FileError, NnefToolsError, UsageError
from .render import note, print_error, print_json

FORMAT_NAMES = ("nnef", "onnx", "tf", "tflite", "caffe", "caffe2")

EXIT_CODES = """exit status:
  0  done
  1  the command line makes no sense
  2  a model or file cannot be read, written or run
  3  the model has operators that cannot be converted
  4  the written model does not compute what the source model computes
  5  a plugin module is faulty
  6  a needed package is not installed"""

SHAPES_EXAMPLE = "{'x': (1, 3, 224, 224)}"

INTERNAL_ERROR = 70
INTERRUPTED = 130
BROKEN_PIPE = 141


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError, and lets options stand between and before positional arguments.

    positional: the positional arguments, for the usage line. optional_numbers: options `--name [N]`, with the value for
    a missing N. They take the next argument only if that is a number, so that a file name may follow them.
    """

    def __init__(
        self, prog: str, positional: str, description: str, optional_numbers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {positional} [options]",
            description=description,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.optional_numbers = dict(optional_numbers or {})

    def error(self, message: str) -> NoReturn:
        """Raises UsageError where argparse would exit."""
        raise UsageError(message, hint=f"{self.prog} --help")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses the arguments. UsageError; SystemExit after --help."""
        args, unknown = self.parse_known_intermixed_args(self._with_numbers(argv))
        if unknown:
            known = [option for action in self._actions for option in action.option_strings]
            similar = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
            hint = f"did you mean '{similar[0]}'?" if similar else f"{self.prog} --help"
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)}", hint=hint)
        return args

    def complete(self, args: argparse.Namespace) -> argparse.Namespace:
        """The arguments with the defaults of all options that a caller's own namespace lacks."""
        defaults = {a.dest: a.default for a in self._actions if a.default is not argparse.SUPPRESS}
        return argparse.Namespace(**{**defaults, **vars(args)})

    def _with_numbers(self, argv: Sequence[str]) -> list[str]:
        result = []
        for k, argument in enumerate(argv):
            following = argv[k + 1] if k + 1 < len(argv) else ""
            if argument in self.optional_numbers and not following.isdecimal():
                argument = f"{argument}={self.optional_numbers[argument]}"
            result.append(argument)
        return result


def add_common_options(parser: Parser) -> None:
    """Adds the options of every subcommand."""
    group = parser.add_argument_group("messages")
    group.add_argument("-v", "--verbose", action="store_true", help="tell more on standard error")
    group.add_argument("--debug", action="store_true", help="print the traceback of an error")
    group.add_argument("--json", action="store_true", help="print the result for machines on standard output")


def guarded(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Runs a subcommand and turns whatever it raises into one message and the exit status."""
    try:
        status = run(args)
        _flush()
        return status
    except BrokenPipeError:
        return _after_broken_pipe()
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except NnefToolsError as error:
        return _after_broken_pipe() if isinstance(error.__cause__, BrokenPipeError) else _fail(error, args)
    except OSError as error:
        return _fail(FileError(error.strerror or str(error), where=error.filename), args)
    except MemoryError:
        return _fail(NnefToolsError("out of memory"), args)
    except Exception as error:  # a defect of ours: still one message, which says where to look
        message = f"internal error: {type(error).__name__}: {error}"
        hint = "please report this, with what --debug prints"
        _fail(NnefToolsError(message, where=_place(error), hint=hint), args)
        return INTERNAL_ERROR


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _give_up_output()
        raise FileError(f"cannot write: {error.strerror}", where="standard output") from error


def _after_broken_pipe() -> int:
    _give_up_output()
    return BROKEN_PIPE


def _give_up_output() -> None:
    """Sends what is left in the buffer nowhere, so that the flush at exit is silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _place(error: Exception) -> str | None:
    """The last line of this package that the error passed."""
    package = Path(__file__).parents[1]
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [f"{path.relative_to(package)}:{line}" for path, line in frames if path.is_relative_to(package)]
    return ours[-1] if ours else None


def _fail(error: NnefToolsError, args: argparse.Namespace) -> int:
    if args.debug:
        traceback.print_exc()
    print_error(error)
    if args.json:
        from ..report import error_to_json

        print_json(error_to_json(error))
    return error.exit_code


def parse_literal(text: str, option: str, example: str) -> Any:
    """Reads a Python literal: numbers, strings, lists, tuples, dicts. UsageError, whose hint is the example."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise UsageError(f"{option}: not a Python literal: {text!r}", hint=f'{option} "{example}"') from None


def parse_shapes(literal: str | None, compact: Iterable[str] = ()) -> dict[str, tuple[int, ...]] | None:
    """Input shapes from a literal such as `{'x': (1, 3, 224, 224)}` and from the form `x:1,3,224,224`.

    None if nothing is given. UsageError if a name is not a string or an extent not a positive integer.
    """
    if literal is None and not compact:
        return None
    shapes = {} if literal is None else parse_literal(literal, "--input-shapes", SHAPES_EXAMPLE)
    if not isinstance(shapes, dict):
        raise UsageError(f"--input-shapes: not a dict: {literal}", hint=f'--input-shapes "{SHAPES_EXAMPLE}"')
    result = {name: _shape(name, shape) for name, shape in shapes.items()}
    for item in compact:
        name, separator, extents = item.rpartition(":")
        if not separator:
            raise UsageError(f"--shape: no name in '{item}'", hint="--shape x:1,3,224,224")
        parts = [part.strip() for part in extents.split(",") if part.strip()]
        wrong = [part for part in parts if not part.isdecimal() or int(part) == 0]
        if wrong:
            raise UsageError(
                f"--shape: '{wrong[0]}' in '{item}' is not a positive integer", hint="--shape x:1,3,224,224"
            )
        result[name] = tuple(map(int, parts))
    return result


def names_or_all(names: list[str] | bool | None) -> list[str] | bool:
    """An option without names means all, one that is not given none."""
    if names is None:
        return False
    return names or True


def _shape(name: Any, shape: Any) -> tuple[int, ...]:
    extents = (shape,) if isinstance(shape, int) else shape
    valid = isinstance(name, str) and isinstance(extents, (tuple, list))
    if not valid or not all(type(extent) is int and extent > 0 for extent in extents):
        raise UsageError(
            f"--input-shapes: {name!r}: {shape!r} is not the name of an input with its extents, which are positive",
            hint=f'--input-shapes "{SHAPES_EXAMPLE}"',
        )
    return tuple(extents)
