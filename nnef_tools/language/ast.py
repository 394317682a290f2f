"""The syntax tree. `at` is the index of the token that the node starts at (or its operator) in the `Source`.

A value that consists of literals only is one `Literal`, however nested: its type follows from the Python value (int is
integer, float is scalar, bool is logical, str is string, list is an array, tuple is a tuple).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

from .lexer import Source
from .types import Type


@dataclass(slots=True)
class Literal:
    """type: that of the value; None if the items of an array have no common type."""

    value: Any
    at: int
    type: Type | None


@dataclass(slots=True)
class Name:
    name: str
    at: int


@dataclass(slots=True)
class Array:
    items: list[Expression]
    at: int


@dataclass(slots=True)
class Tuple:
    items: list[Expression]
    at: int


@dataclass(slots=True)
class Call:
    """`name<type_argument>(arguments)`. An argument is (name or None, value, position): a literal
    may be the same node as an equal one before.

    Found by the checker: bound, the arguments in the order of the parameters, defaults filled in; item, what `?` of a
    generic operation stands for ('?': what it stands for in the enclosing fragment).
    """

    name: str
    type_argument: str | None
    arguments: list[tuple[str | None, Expression, int]]
    at: int
    bound: list[Expression] | None = None
    item: str | None = None


@dataclass(slots=True)
class Builtin:
    """`length_of(operand)` and similar, and the casts `integer(operand)`, ..."""

    name: str
    operand: Expression
    at: int


@dataclass(slots=True)
class Suffix:
    """`[begin]`, or `[begin:end]` if `range` is set, where either end may be missing."""

    begin: Expression | None
    end: Expression | None
    range: bool
    at: int


@dataclass(slots=True)
class Postfix:
    """`base[i][j:k]...`; a list of suffixes, so that many of them do not make a deep tree."""

    base: Expression
    suffixes: list[Suffix]
    at: int


@dataclass(slots=True)
class Unary:
    """`operator operand`. node (found by the checker): the operand is a tensor, so this is an operation."""

    operator: str
    operand: Expression
    at: int
    node: bool = False


@dataclass(slots=True)
class Chain:
    """`first op operand op operand ...`, left associative; a list, so that long sums do not make deep trees.

    nodes (found by the checker): for each operator, whether an operand is a tensor, so that it is an operation.
    """

    first: Expression
    rest: list[tuple[str, Expression, int]]
    at: int
    nodes: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class Conditional:
    """`value if condition else otherwise`."""

    condition: Expression
    value: Expression
    otherwise: Expression
    at: int


@dataclass(slots=True)
class Comprehension:
    """`[for target in iterable, ... if condition yield value]`; a target is a Name, or a Tuple of them."""

    iterators: list[tuple[Expression, Expression]]
    condition: Expression | None
    value: Expression
    at: int


Expression = Union[Literal, Name, Array, Tuple, Call, Builtin, Postfix, Unary, Chain, Conditional, Comprehension]


@dataclass(slots=True)
class Assignment:
    """`target = value;`; a target is a Name, or an Array or Tuple of targets."""

    target: Expression
    value: Expression
    at: int


@dataclass(slots=True)
class Body:
    """Assignments and the text that they come from. at: the declaration. checked: types and names have been found."""

    source: Source
    assignments: list[Assignment]
    at: int
    checked: bool = False


@dataclass(slots=True)
class GraphDeclaration:
    """`graph name(inputs) -> (outputs) { body }`."""

    name: str
    inputs: list[Name]
    outputs: list[Name]
    body: Body
    at: int
