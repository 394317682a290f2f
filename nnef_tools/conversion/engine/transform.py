"""Transform: a declarative conversion rule, the form in which plugins are written.

A field that is a string starting with `!` is a Python expression. Expressions are compiled when the converter is made,
so a mistake names the operator and the field before any model is read. This is the only module that evaluates code,
and the code is the plugin's own.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, NoneType
from typing import Any

import numpy as np

from ...errors import ConversionError, NnefToolsError, PluginCodeError, PluginError
from ...model.plugin_code import own_lines, reason, source_line

CondField = str | Mapping[str, str] | None


class Transform:
    """The conversion of an operator of the source to one of the target.

    type: target operator; None drops the operator. name: name of the target operation. inputs, outputs: a single
    expression, a tuple (separate arguments) or a list (one array argument). attribs: attributes of the target; None
    values are left out. defaults: values of source attributes that are absent. using: names for the other expressions,
    evaluated in order. cond: expression -> message, or one expression; if it is false the operator is refused. custom:
    marks the target operation as not standard.
    """

    def __init__(
        self,
        type: Any,
        name: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        attribs: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        using: Mapping[str, Any] | None = None,
        cond: CondField = None,
        custom: bool = False,
    ) -> None:
        self.type = type
        self.name = name if name is not None else "!_name_"
        self.inputs = inputs if inputs is not None else ()
        self.outputs = outputs if outputs is not None else ()
        self.attribs = attribs if attribs is not None else {}
        self.defaults = defaults if defaults is not None else {}
        self.using = using if using is not None else {}
        self.cond = cond
        self.custom = custom
        caller = sys._getframe(1)
        self._place = (caller.f_code.co_filename, caller.f_lineno)

    def with_type(self, type: Any) -> Transform:
        """The same transform with another target type."""
        other = copy.copy(self)
        other.type = type
        return other

    def source_line(self, *texts: str) -> str:
        """The place of the definition, as `file:line: code`; texts: take the line that contains one of them."""
        return source_line(*self._place, *texts)

    def __repr__(self) -> str:
        return f"Transform(type={self.type!r})"


def unpack_transforms(transforms: Mapping[Any, Transform]) -> dict[str, Transform]:
    """Splits entries with tuples as keys: a tuple `type` is zipped with the key, others are shared. PluginError."""
    result: dict[str, Transform] = {}
    for key, transform in transforms.items():
        if not isinstance(key, tuple):
            result[key] = transform
        elif isinstance(transform, Transform) and isinstance(transform.type, tuple):
            if len(transform.type) != len(key):
                raise PluginError(
                    f"transform for {key!r} has {len(transform.type)} types for {len(key)} operators",
                    [transform.source_line()],
                )
            result.update((name, transform.with_type(type)) for name, type in zip(key, transform.type, strict=True))
        else:
            result.update(dict.fromkeys(key, transform))
    return result


def merge_transforms(
    default: Mapping[str, Transform] | None, custom: Mapping[str, Transform] | None
) -> dict[str, Transform]:
    """Merges two tables; custom entries win."""
    return {**(default or {}), **(custom or {})}


class _Expression:
    """A compiled expression."""

    __slots__ = ("code", "text")

    def __init__(self, text: str, where: str, transform: Transform) -> None:
        self.text = text
        try:
            self.code: CodeType = compile(text, f"<{where}>", "eval")
        except (SyntaxError, ValueError) as error:
            message = f"not a Python expression: {text!r} ({getattr(error, 'msg', error)})"
            raise PluginError(message, [transform.source_line(text)], where=where) from None

    @property
    def names(self) -> set[str]:
        """The names that the expression looks up."""
        return set(_names(self.code))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):  # the code of a lambda or comprehension
            yield from _names(const)


def _compile(value: Any, where: str, transform: Transform) -> Any:
    if isinstance(value, str) and value.startswith("!"):
        return _Expression(value[1:].strip(), where, transform)
    return value


def _compile_arguments(value: Any, where: str, transform: Transform) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_compile(item, f"{where} {k}", transform) for k, item in enumerate(value))
    return _compile(value, where, transform)


class CompiledTransform:
    """A transform with its expressions compiled; PluginError names the entry and the field of a mistake.

    place: the entry of the table, for messages.
    """

    def __init__(self, op_type: str, transform: Transform, place: str | None = None) -> None:
        where = f"{place}: Transform of '{op_type}'" if place else f"Transform of '{op_type}'"
        if not isinstance(transform, Transform):
            raise PluginError(f"expected a Transform for operator '{op_type}', got {transform!r}", where=where)
        _check_kinds(transform, where)
        self.op_type = op_type
        self.where = where
        self.source = transform
        self.type = _compile(transform.type, f"{where}, type", transform)
        self.name = _compile(transform.name, f"{where}, name", transform)
        self.inputs = _compile_arguments(transform.inputs, f"{where}, input", transform)
        self.outputs = _compile_arguments(transform.outputs, f"{where}, output", transform)
        self.attribs = self._compile_table("attribute", transform.attribs)
        self.defaults = self._compile_table("default", transform.defaults)
        self.using = self._compile_table("using", transform.using)
        self.conditions = [
            (_Expression(text.removeprefix("!").strip(), f"{where}, cond", transform), str(message))
            for text, message in _conditions(transform.cond)
        ]
        self.custom = transform.custom

    def _compile_table(self, kind: str, table: Mapping[str, Any]) -> dict[str, Any]:
        return {key: _compile(value, f"{self.where}, {kind} '{key}'", self.source) for key, value in table.items()}

    def names(self) -> set[str]:
        """The names that the expressions look up."""
        arguments = (_as_items(self.inputs), _as_items(self.outputs))
        tables = (self.attribs.values(), self.defaults.values(), self.using.values())
        tests = [test for test, _ in self.conditions]
        values = (item for group in (*arguments, *tables, tests, [self.type, self.name]) for item in group)
        return {name for value in values if isinstance(value, _Expression) for name in value.names}


def _check_kinds(transform: Transform, where: str) -> None:
    """PluginError for a field of the wrong kind."""
    place = [transform.source_line()]
    for field in ("attribs", "defaults", "using"):
        table = getattr(transform, field)
        if not isinstance(table, Mapping) or not all(isinstance(key, str) for key in table):
            raise PluginError(f"'{field}' must be a dict with names as keys", place, where=where)
    cond = transform.cond
    if not isinstance(cond, (str, Mapping, NoneType)) or not all(isinstance(text, str) for text in cond or ()):
        raise PluginError("'cond' must be a dict of expression -> message, or an expression", place, where=where)
    if not isinstance(transform.type, (str, NoneType)):
        hint = "a tuple of types goes with a tuple of operators as key" if isinstance(transform.type, tuple) else None
        raise PluginError(f"'type' must be a str or None, not {transform.type!r}", place, where=where, hint=hint)


def _as_items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (tuple, list)) else [value]


def _conditions(cond: CondField) -> list[tuple[str, str]]:
    if cond is None:
        return []
    if isinstance(cond, str):
        return [(cond, f"condition does not hold: {cond.removeprefix('!').strip()}")]
    return list(cond.items())


class Scope:
    """The names that the expressions of one operation see.

    Later ones win: attributes, `using` names and `_type_`, `_name_`, converter helpers and plugin functions, `np` and
    `math`, the lists `I` and `O`. `hidden`: attributes and `using` names that one of the last three groups hides.
    """

    def __init__(
        self,
        transform: CompiledTransform,
        inputs: list[Any],
        outputs: list[Any],
        attribs: Mapping[str, Any],
        special: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]],
    ) -> None:
        self._transform = transform
        self._fixed: dict[str, Any] = {**functions, "np": np, "math": math, "I": inputs, "O": outputs}
        self._names: dict[str, Any] = {**attribs, **special, **self._fixed}
        self._attribs = attribs
        self.hidden = {name for name in attribs if name in self._fixed}

    def add_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Sets absent attributes; the expressions see I, O, helpers, np and math only."""
        values = {
            key: self._evaluate(value, dict(self._fixed), "default", key)
            for key, value in defaults.items()
            if key not in self._attribs
        }
        self._names = {**values, **self._names}

    def add_using(self, using: Mapping[str, Any]) -> None:
        """Evaluates names in order; each sees the earlier ones and may shadow an attribute."""
        for key, value in using.items():
            result = self.evaluate(value, "using", key)
            if key in self._fixed:
                self.hidden.add(key)
            else:
                self._names[key] = result

    def evaluate(self, value: Any, kind: str, key: object) -> Any:
        """The value of a field; literals stay as they are. PluginCodeError if the expression fails."""
        return self._evaluate(value, self._names, kind, key)

    def _evaluate(self, value: Any, names: dict[str, Any], kind: str, key: object) -> Any:
        if not isinstance(value, _Expression):
            return value
        try:
            return eval(value.code, names)
        except (ConversionError, PluginError):
            raise  # a helper refuses the operator
        except Exception as error:  # the code of a plugin may raise anything
            message = f"Could not evaluate {kind} '{key}' while converting operator '{self._transform.op_type}'"
            if isinstance(error, NnefToolsError):  # so does what a helper calls
                raise ConversionError(f"{message}; {error.message}") from error
            place = [self._transform.source.source_line(value.text), *own_lines(error)]
            raise PluginCodeError(f"{message}; {reason(error)}", place, where=self._transform.where) from error

    def failure(self, message: str, attribute: str | None = None) -> PluginCodeError:
        """The error for an unsuitable value. attribute: the one whose line in the definition is at fault."""
        quoted = () if attribute is None else (f'"{attribute}"', f"'{attribute}'", f"{attribute}=")
        return PluginCodeError(message, [self._transform.source.source_line(*quoted)], where=self._transform.where)
