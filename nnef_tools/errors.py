"""The one exception tree.

Every error says what is wrong, where (file:line:column, or operator and tensor names) and, if there is one, what to
try. `exit_code` is the status that the command line ends with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class NnefToolsError(Exception):
    """Base of all errors that the package raises on purpose.

    message: what is wrong, one sentence. where: the place, for example `graph.nnef:3:7` or `Conv 'conv1'`.
    hint: what to try. details: further lines, printed below the message.
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

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        lines = [head, *self.details]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class UsageError(NnefToolsError, ValueError):
    """The call or the command line makes no sense."""

    exit_code = 1


class FormatError(NnefToolsError, ValueError):
    """A file cannot be read, or is not a valid model."""


class FileError(NnefToolsError, OSError):
    """The file system refused: missing file, no permission, disk full."""

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


class ConversionError(NnefToolsError, ValueError):
    """Some operators cannot be converted; `details` lists them all, `refused` holds them for a table."""

    exit_code = 3
    refused: Sequence[Any] = ()


class Unsupported(ConversionError):
    """Raised by a conversion rule that cannot express its operator; the message is the reason."""


class InvalidOperator(Unsupported):
    """Raised by a conversion rule for an operator that no runtime can compute, with inputs against its definition."""


class ExecutionError(NnefToolsError, RuntimeError):
    """A model could not be run."""


class VerificationError(NnefToolsError, RuntimeError):
    """The converted model does not compute what the source model computes."""

    exit_code = 4


class PluginError(NnefToolsError, ValueError):
    """A plugin module is faulty."""

    exit_code = 5


class MissingPackageError(NnefToolsError, ImportError):
    """An optional package is needed; the hint prints the install line."""

    exit_code = 6

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"package '{package}' is needed {purpose} but not installed", hint=f"pip install 'nnef-tools[{extra}]'"
        )
        self.package = package
