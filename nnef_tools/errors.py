"""The exceptions of the package, in one tree.

Every error says what is wrong, where (file:line:column, or operator and tensor names) and, if there is one, what to
try. `exit_code` is the status that the command line ends with.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class NnefToolsError(Exception):
    """Base of all errors that the package raises on purpose.

    message: what is wrong, one sentence. where: the place, for example `graph.nnef:3:7` or `Conv 'conv1'`.
    hint: what to try. details: further lines, printed below the message. warnings: what may explain it.

    These parts name options as on the command line, which prints them. The error as a string is for callers in Python,
    and names parameters instead (see `in_python`).
    """

    exit_code = 2

    def __init__(
        self, message: str, details: Iterable[str] = (), *, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.where = where
        self.hint = hint
        self.warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        lines = [head, *self.details]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return in_python("\n".join(lines))


class UsageError(NnefToolsError, ValueError):
    """The arguments of a call or a command line are wrong."""

    exit_code = 1


class FormatError(NnefToolsError, ValueError):
    """A file cannot be read, or is not a valid model."""


class FileError(NnefToolsError, OSError):
    """The file system refused an operation: missing file, no permission, disk full."""

    def __str__(self) -> str:
        return NnefToolsError.__str__(self)


class ParseError(FormatError):
    """Text that is not valid NNEF.

    line, column: 1-based. source: the text of that line, shown with a caret below the column.
    """

    def __init__(
        self,
        message: str,
        *,
        filename: str = "<input>",
        line: int = 0,
        column: int = 0,
        source: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.filename = filename
        self.line = line
        self.column = column
        details = [source, " " * max(column - 1, 0) + "^"] if source is not None else []
        super().__init__(message, details, where=f"{filename}:{line}:{column}", hint=hint)


class ShapeError(NnefToolsError, ValueError):
    """Shapes, attributes or data types of an operation do not fit together."""


class LimitError(ShapeError, FormatError):
    """A model asks for more than the budget (`nnef_tools.budget`) allows. Nothing was done; the hint raises it."""


class ConversionError(NnefToolsError, ValueError):
    """Some operators cannot be converted; `details` lists them all as text, `refused` holds them as data."""

    exit_code = 3
    refused: Sequence[Any] = ()


class Unsupported(ConversionError):
    """Raised by a conversion rule that cannot express its operator; the message is the reason."""


class InvalidOperator(Unsupported):
    """Raised by a conversion rule for inputs that violate the definition of an operator: no runtime can compute it."""


class ExecutionError(NnefToolsError, RuntimeError):
    """A model could not be run."""


class VerificationError(NnefToolsError, RuntimeError):
    """The converted model does not compute what the source model computes; `verification` holds the numbers."""

    exit_code = 4
    verification: Any = None


class PluginError(NnefToolsError, ValueError):
    """A plugin module is faulty."""

    exit_code = 5


class PluginCodeError(PluginError, ConversionError, ShapeError, ExecutionError):
    """The code of a plugin failed, or gave a wrong result, while a model was converted or run."""


class Notice(UserWarning):
    """What a user should know of what was given, such as the sample rate of a sound; nothing is wrong."""


class MissingPackageError(NnefToolsError, ImportError):
    """An optional package is needed; the hint prints the install line."""

    exit_code = 6

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"package '{package}' is needed {purpose} but not installed", hint=f"pip install 'nnef-tools[{extra}]'"
        )
        self.package = package


def check_lists(**values: Any) -> None:
    """Raises UsageError if an argument that must be a list of names is a string, whose letters would count as names."""
    for name, value in values.items():
        if isinstance(value, (str, bytes)):
            raise UsageError(f"{name} must be a list, not the string {value!r}", hint=f"{name}=[{value!r}]")


def shape_text(shape: Iterable[int | None] | None) -> str:
    """A shape for messages: `[1, ?, 3]`, with `?` for an unknown extent or for an unknown shape as a whole."""
    return "?" if shape is None else f"[{', '.join(map(_extent_text, shape))}]"


def shape_hint(shapes: Mapping[str, Iterable[int | None] | None]) -> str:
    """A hint that gives inputs extents: an option that needs numbers in place of `?`, `--shape 'x:?,3,?'`."""
    given = (f"{name}:{','.join(map(_extent_text, shape or (None,)))}" for name, shape in shapes.items())
    return f"give extents, with numbers in place of each ?: --shape {' '.join(map(shlex.quote, given))}"


def _extent_text(extent: int | None) -> str:
    return "?" if extent is None else str(extent)


# Options on the command line -> the same as arguments in Python.
_IN_PYTHON = {
    "--input-shapes": "input_shapes={..}",
    "--input-names": "input_names=[..]",
    "--input-format": "input_format='..'",
    "--output-format": "output_format='..'",
    "--static-only": "static_only=True",
    "--fixed-nms": "fixed_nms=True",
    "--mirror-unsupported": "mirror_unsupported=True",
    "--standard-only": "standard_only=True",
    "--signature": "signature='..'",
    "--weights": "weights='..'",
    "--set": "set_inputs={..}",
    "--custom-converters": "custom_converters=[..]",
    "--custom-shapes": "custom_shapes=[..]",
}
_OPTION = re.compile(
    r"(?<![\w-])(?:"
    r"--shape(?P<shapes>(?: (?:'[^'\n]*:[^'\n]*'|[^\s'\"()]+:[^\s'\"()]+))+)"
    r"|--output-names(?P<names>(?: '[^'\n]*'| [^\s']+)+?)(?= converts|$)"
    r"|--opset (?P<opset>\d+)"
    r"|--limit (?P<limit>[a-z]+)=(?P<count>\d+)"
    rf"|(?:{'|'.join(_IN_PYTHON)})(?![\w-])"
    r")"
)


_COMMAND_LINE = re.compile(r"(\bnnef-tools [^;\n]*)")


def in_python(text: str) -> str:
    """Translates a message for callers in Python: options of the command line become arguments.

    `--static-only` becomes `static_only=True`, `--shape 'x:?,3'` becomes `input_shapes={'x': (?, 3)}`. Whole command
    lines, which begin with `nnef-tools`, stay.
    """
    if "--" not in text:
        return text
    parts = _COMMAND_LINE.split(text)
    return "".join(part if k % 2 else _OPTION.sub(_argument, part) for k, part in enumerate(parts))


def _argument(match: re.Match[str]) -> str:
    if match["shapes"]:
        pairs = (word.rpartition(":") for word in shlex.split(match["shapes"]))
        shapes = (
            f"{name!r}: ({', '.join(extents.split(','))}{'' if ',' in extents else ','})" for name, _, extents in pairs
        )
        return f"input_shapes={{{', '.join(shapes)}}}"
    if match["names"]:
        return f"output_names={shlex.split(match['names'])}"
    if match["limit"]:
        return f"limits={{'{match['limit']}': {match['count']}}}"
    return f"opset={match['opset']}" if match["opset"] else _IN_PYTHON[match[0]]
