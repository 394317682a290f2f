"""The text of graph.quant: a quantization operation for each of some tensors (section 4.1 of the digest)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import FormatError
from .ast import Call, Expression, Literal
from .attributes import check_attributes
from .expressions import ExpressionParser
from .lexer import Source, is_identifier, nearest, unquote
from .printer import format_value
from .signatures import Overlay
from .stdlib import standard_fragments
from .types import REQUIRED, Fragment, Parameter, Primitive, TensorType, has_tensor
from .values import DTYPES, castable, type_of_value


def parse_quantization(
    text: str, filename: str = "graph.quant", fragments: Mapping[str, Fragment] | None = None
) -> dict[str, dict[str, Any]]:
    """The entries by tensor name: 'op-name', then every parameter but the first, defaults filled in.

    A parameter of tensor type that is given an array becomes a numpy array. fragments: custom quantization operations.
    ParseError if the text is not valid.
    """
    return _QuantizationParser(Source(text, filename), Overlay(standard_fragments(), fragments or {})).entries()


def format_quantization(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of the entries, in their order; attributes that are None are left out."""
    lines = []
    for name, entry in entries.items():
        operation = entry.get("op-name")
        if not isinstance(operation, str) or not is_identifier(operation):
            raise FormatError(f"the quantization of tensor '{name}' names no operation ('op-name')")
        arguments = [
            f"{key} = {format_value(value)}" for key, value in entry.items() if key != "op-name" and value is not None
        ]
        lines.append(f'"{name}": {operation}({", ".join(arguments)});\n')
    return "".join(lines)


class _QuantizationParser(ExpressionParser):
    def __init__(self, source: Source, fragments: Mapping[str, Fragment]) -> None:
        super().__init__(source, operators=False)
        self.known = fragments

    def entries(self) -> dict[str, dict[str, Any]]:
        self.source.check()
        entries: dict[str, dict[str, Any]] = {}
        while self.tokens[self.position]:
            at = self.position
            token = self.tokens[at]
            if token[0] not in "'\"":
                raise self.unexpected("the name of a tensor in quotes")
            name = unquote(token)
            if not is_identifier(name):
                self.fail(
                    f"'{name}' is not the name of a tensor", at, "the name is the identifier in the graph, not a label"
                )
            if name in entries:
                self.fail(f"tensor '{name}' has two entries", at)
            self.position += 1
            self.expect(":")
            start = self.position
            call = self.expression()
            if not isinstance(call, Call):
                self.fail("expected a quantization operation", start)
            self.expect(";")
            entries[name] = self._entry(call)
        return entries

    def _entry(self, call: Call) -> dict[str, Any]:
        fragment = self.known.get(call.name)
        if fragment is None:
            self.fail(f"operation '{call.name}' is not defined", call.at, nearest(call.name, self.known))
        if call.type_argument is not None or not fragment.parameters or not _takes_one_tensor(fragment):
            self.fail(f"'{call.name}' is not a quantization operation: its first parameter is not a tensor", call.at)
        first, *others = fragment.parameters
        given: dict[str, Expression] = {}
        parameters = {parameter.name: parameter for parameter in others}
        for name, value, at in call.arguments:
            if name is None:
                self.fail("arguments must be named", at)
            if name == first.name:
                self.fail(f"'{name}' stands for the tensor itself and must be left out", at)
            if name not in parameters:
                self.fail(f"'{call.name}' has no parameter '{name}'", at, nearest(name, parameters))
            if name in given:
                self.fail(f"argument '{name}' is given twice", at)
            given[name] = value
        entry: dict[str, Any] = {"op-name": call.name}
        for name, parameter in parameters.items():
            if name in given:
                entry[name] = self._value(call, parameter, given[name])
            elif parameter.default is REQUIRED:
                self.fail(f"argument '{name}' of '{call.name}' is missing", call.at)
            else:
                entry[name] = parameter.default
        illegal = check_attributes(call.name, entry) if call.name in standard_fragments() else None
        if illegal is not None:
            name, reason = illegal
            self.fail(f"attribute '{name}' of '{call.name}': {reason}", given[name].at if name in given else call.at)
        return entry

    def _value(self, call: Call, parameter: Parameter, node: Expression) -> Any:
        if not isinstance(node, Literal):
            self.fail(f"'{parameter.name}' must be a literal", node.at)
        value, type_ = node.value, parameter.type
        if isinstance(type_, TensorType) and isinstance(value, list):
            return self._tensor_value(value, type_, node.at)
        own = node.type
        if own is None:
            self.fail("the items of the array have different types", node.at)
        if not castable(own, type_):
            hint = None
            if own == Primitive("integer") and str(type_) in ("scalar", "tensor<scalar>"):
                hint = f"write {value}.0; integers are not cast to scalars"
            message = f"argument '{parameter.name}' of '{call.name}' has type {type_}, it cannot be {own}"
            self.fail(message, node.at, hint)
        return value

    def _tensor_value(self, value: list[Any], type_: TensorType, at: int) -> np.ndarray[Any, Any]:
        """The array literal for a tensor parameter: nested, rectangular, not empty, items of the tensor's type."""
        shape, items = _flatten(value)
        if shape is None:
            self.fail("the array is jagged", at)
        if not items:
            self.fail("the array is empty", at)
        if len(shape) > MAX_RANK:
            self.fail(f"the array has more than {MAX_RANK} dimensions", at)
        kinds = {str(type_of_value(item)) for item in items}
        wanted = type_.item if type_.item is not None else next(iter(kinds))
        if kinds != {wanted}:
            hint = "write 1.0 for 1" if wanted == "scalar" and "integer" in kinds else None
            self.fail(f"the items of the array must be of type {wanted}, not {', '.join(sorted(kinds))}", at, hint)
        return np.array(items, dtype=DTYPES[wanted]).reshape(shape)


MAX_RANK = 8


def _takes_one_tensor(fragment: Fragment) -> bool:
    return (
        isinstance(fragment.parameters[0].type, TensorType)
        and not fragment.generic
        and has_tensor(fragment.results[0].type)
    )


def _flatten(value: Any) -> tuple[list[int] | None, list[Any]]:
    """Shape and items of a nested list; the shape is None if it is jagged."""
    shape: list[int] = []
    items = [value]
    while items and any(isinstance(item, list) for item in items):
        if not all(isinstance(item, list) for item in items) or len({len(item) for item in items}) > 1:
            return None, items
        shape.append(len(items[0]))
        items = [part for item in items for part in item]
    return shape, items
