"""The schema of TensorFlow Lite files: which tables there are, with their fields, and the operators with their options.

The facts are in `schema.txt`, one definition a line, and refer to each other by name:

    enum Name VALUE ..                    numbered from 0
    union Name Table ..                   numbered from 0, which is NONE
    table Name field:type=default ..      in the order of the slots; `-` is a slot that is not used any more
    operator NAME code Options            the table with the options is left out where an operator has none

A type is a number type, `string`, a table, a union, an enum (stored as int8), or a vector of one of these in brackets.
A field of a union follows the field with the number of its table.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

NUMBERS = {
    "bool": "?",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
}
"""The number types, and their codes in the module `struct`."""

ENUM_NUMBER = "int8"
"""The number type that values of enums are stored in."""


class Field(NamedTuple):
    """A field of a table. default: of a number; the first value for an enum, None for anything else."""

    slot: int
    name: str
    type: str
    is_vector: bool
    default: bool | int | float | str | None


@dataclass(frozen=True)
class Schema:
    """All definitions by name. operators: code -> name. options: operator -> table with its options."""

    enums: Mapping[str, tuple[str, ...]]
    unions: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, tuple[Field, ...]]
    operators: Mapping[int, str]
    options: Mapping[str, str]


@cache
def tflite_schema() -> Schema:
    """The schema of the file format, version 3."""
    lines = [line.split() for line in files(__package__).joinpath("schema.txt").read_text("ascii").splitlines()]
    enums = {name: tuple(items) for kind, name, *items in lines if kind == "enum"}
    unions = {name: tuple(items) for kind, name, *items in lines if kind == "union"}
    tables = {
        name: tuple(_field(slot, text, enums) for slot, text in enumerate(items) if text != "-")
        for kind, name, *items in lines
        if kind == "table"
    }
    operators = {int(items[0]): name for kind, name, *items in lines if kind == "operator"}
    options = {name: items[1] for kind, name, *items in lines if kind == "operator" and len(items) > 1}
    return Schema(enums, unions, tables, operators, options)


def _field(slot: int, text: str, enums: Mapping[str, tuple[str, ...]]) -> Field:
    name, _, rest = text.partition(":")
    type, _, default = rest.partition("=")
    is_vector = type.startswith("[")
    type = type.strip("[]")
    value: bool | int | float | str | None = None
    if not is_vector and type in NUMBERS:
        value = ast.literal_eval(default) if default else {"bool": False, "float32": 0.0}.get(type, 0)
    elif not is_vector and type in enums:
        value = enums[type][0]
    return Field(slot, name, type, is_vector, value)
