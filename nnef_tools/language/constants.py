"""Compile-time arithmetic on Python values: operators, casts, subscripts, with checked ranges (sections 2.8, 2.9).

Integers are 64 bits wide; a result outside is an error, not a wrap. Operands have been type-checked.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
MAX_LENGTH = 1_000_000

_INTEGER_TEXT = re.compile(r"\s*[+-]?[0-9]+\s*")
_SCALAR_TEXT = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*")


class EvaluationError(Exception):
    """An expression without value; the evaluator knows where."""


def unary(symbol: str, x: Any) -> Any:
    """`+x`, `-x` or `!x`."""
    if symbol == "!":
        return not x
    return _checked(-x) if symbol == "-" else x


def binary(symbol: str, x: Any, y: Any) -> Any:
    """`x symbol y`. EvaluationError if that has no value or no representable one."""
    return _checked(_BINARY[symbol](x, y))


def _checked(value: Any) -> Any:
    if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        raise EvaluationError("integer out of the range of 64 bits")
    if type(value) is float and not math.isfinite(value):
        raise EvaluationError("the result is not a finite number")
    return value


def _add(x: Any, y: Any) -> Any:
    if isinstance(x, (list, str)) and len(x) + len(y) > MAX_LENGTH:
        raise EvaluationError(f"more than {MAX_LENGTH} items")
    return x + y


def _multiply(x: Any, y: Any) -> Any:
    if isinstance(x, (list, str)):
        if y < 0:
            raise EvaluationError(f"cannot repeat {y} times")
        if len(x) * y > MAX_LENGTH:
            raise EvaluationError(f"more than {MAX_LENGTH} items")
    return x * y


def _divide(x: Any, y: Any) -> Any:
    """Integers are truncated toward zero."""
    if y == 0:
        raise EvaluationError("division by zero")
    if isinstance(x, float):
        return x / y
    quotient = abs(x) // abs(y)
    return quotient if (x < 0) == (y < 0) else -quotient


def _power(x: Any, y: Any) -> Any:
    if isinstance(x, int):
        if y < 0:
            raise EvaluationError("negative power of an integer")
        if y >= 64 and abs(x) > 1:
            raise EvaluationError("integer out of the range of 64 bits")
        return x**y
    try:
        return math.pow(x, y)
    except (ValueError, OverflowError):
        raise EvaluationError(f"{x} ^ {y} is not a finite number") from None


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "-": operator.sub,
    "*": _multiply,
    "/": _divide,
    "^": _power,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "&&": lambda x, y: x and y,
    "||": lambda x, y: x or y,
    "in": lambda x, y: x in y,
}


def cast(kind: str, value: Any) -> Any:
    """`integer(value)`, `scalar(value)`, `logical(value)`, `string(value)`; scalars are truncated to integers."""
    if kind == "string":
        return ("true" if value else "false") if isinstance(value, bool) else str(value)
    if kind == "logical":
        return bool(value)
    if isinstance(value, str):
        pattern = _INTEGER_TEXT if kind == "integer" else _SCALAR_TEXT
        if not pattern.fullmatch(value) or len(value) > 400:
            raise EvaluationError(f"'{value[:40]}' is no {kind}")
    return _checked(int(value) if kind == "integer" else float(value))


def item(sequence: Any, index: int) -> Any:
    """`sequence[index]`, counted from 0."""
    if not 0 <= index < len(sequence):
        raise EvaluationError(f"index {index} is out of range, there are {len(sequence)} items")
    return sequence[index]


def items(sequence: Any, begin: int | None, end: int | None) -> Any:
    """`sequence[begin:end]`, end-exclusive; empty where begin is not below end."""
    begin = 0 if begin is None else begin
    end = len(sequence) if end is None else end
    for bound in (begin, end):
        if not 0 <= bound <= len(sequence):
            raise EvaluationError(f"range bound {bound} is out of range, there are {len(sequence)} items")
    return sequence[begin:end]


def integers(sequence: Any) -> list[int]:
    """`range_of(sequence)`: its indices."""
    return list(range(len(sequence)))
