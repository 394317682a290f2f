"""Signatures of TensorFlow's operators: their arguments, results and attributes, with defaults.

The facts are in `operators.txt`, an operator a line: `Name (arguments) (results) attributes`. An argument or result is
`name:type`, the type a data type or the attribute that holds it; `N*T` are as many tensors as attribute N says, and
`*T` as many as T lists. An attribute is `name:kind` or `name:kind=default`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ...errors import FormatError
from .types import DATA_TYPES, dtype_class

# Limit for the number of results: more than any node has, since a file can claim any number.
_MAX_RESULTS = 1 << 16


@dataclass(frozen=True)
class Argument:
    """dtype: a data type, or the name of the attribute with it. count: attribute with the number of tensors.

    is_list: `dtype` names a list of types, a tensor for each.
    """

    name: str
    dtype: str
    count: str | None = None
    is_list: bool = False

    def types(self, attribs: Mapping[str, Any]) -> list[type | None]:
        """The classes of the tensors, None for one that the attributes do not tell. Raises FormatError."""
        if self.is_list:
            types = attribs.get(self.dtype)
            if not isinstance(types, list):
                raise FormatError(f"attribute '{self.dtype}', the types of '{self.name}', is not given")
            return list(map(_class, types))
        found = dtype_class(DATA_TYPES[self.dtype]) if self.dtype in DATA_TYPES else attribs.get(self.dtype)
        count = 1 if self.count is None else attribs.get(self.count)
        if not isinstance(count, int) or not 0 <= count <= _MAX_RESULTS:
            raise FormatError(f"attribute '{self.count}' is {count!r}, not a number of tensors")
        return [_class(found)] * count


def _class(value: Any) -> type | None:
    return value if isinstance(value, type) else None


@dataclass(frozen=True)
class Attribute:
    """kind: 'int', 'type', 'list(float)', ... default: a Python value, if there is one."""

    kind: str
    default: Any = None
    has_default: bool = False


@dataclass(frozen=True)
class Operator:
    """The signature of an operator."""

    name: str
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    attributes: Mapping[str, Attribute]

    def with_defaults(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes, with the defaults of those that are not given."""
        defaults = {
            name: list(attribute.default) if isinstance(attribute.default, list) else attribute.default
            for name, attribute in self.attributes.items()
            if attribute.has_default and name not in attribs
        }
        return {**attribs, **defaults}

    def output_types(self, attribs: Mapping[str, Any]) -> list[type | None]:
        """The class of each result."""
        return [dtype for output in self.outputs for dtype in output.types(attribs)]

    def output_index(self, name: str, index: int, attribs: Mapping[str, Any]) -> int:
        """The position among all results of one that is given by the name of its group, and its position therein."""
        start = 0
        for output in self.outputs:
            if output.name == name:
                return start + index
            start += len(output.types(attribs))
        raise FormatError(f"{self.name} has no result '{name}'")

    def output_name(self, index: int, attribs: Mapping[str, Any]) -> tuple[str, int]:
        """The inverse of `output_index`."""
        for output in self.outputs:
            count = len(output.types(attribs))
            if index < count:
                return output.name, index
            index -= count
        raise FormatError(f"{self.name} has no result {index}")


@cache
def find_operator(name: str) -> Operator | None:
    """The signature of an operator, None if it is not known."""
    line = _lines().get(name)
    return None if line is None else _parse(name, line)


@cache
def _lines() -> dict[str, str]:
    text = files(__package__).joinpath("operators.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


def _parse(name: str, line: str) -> Operator:
    inputs, rest = line[1:].split(") (", 1)
    outputs, _, attributes = rest.partition(")")
    return Operator(name, _arguments(inputs), _arguments(outputs), dict(map(_attribute, attributes.split())))


def _arguments(text: str) -> tuple[Argument, ...]:
    result = []
    for item in text.split():
        name, type_name = item.split(":")
        count, star, base = type_name.partition("*")
        if not star:
            result.append(Argument(name, type_name))
        else:
            result.append(Argument(name, base, count or None, is_list=not count))
    return tuple(result)


def _attribute(text: str) -> tuple[str, Attribute]:
    name, _, rest = text.partition(":")
    kind, given, default = rest.partition("=")
    return name, Attribute(kind, _default(kind, default) if given else None, bool(given))


def _default(kind: str, text: str) -> Any:
    if kind.startswith("list("):
        items = text[1:-1].split(",") if text != "[]" else []
        return [_default(kind[5:-1], item) for item in items]
    if kind == "type":
        return dtype_class(DATA_TYPES[text])
    if kind == "shape":
        return None if text == "?" else tuple(ast.literal_eval(text))
    if kind == "float":
        return float(np.float32(text))
    if kind == "bool":
        return text == "true"
    return ast.literal_eval(text) if text != "?" else None
