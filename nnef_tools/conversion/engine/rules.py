"""The registry of conversion rules. The signature of a rule is the schema of its operator.

    @to_nnef("onnx", "LeakyRelu")
    def leaky_relu(b, x, *, alpha=0.01):
        return b.leaky_relu(x, alpha=alpha)

The first parameter is the builder. Positional parameters are the operator's inputs: a target tensor, None for a missing
optional one (a parameter with default, or one whose type allows None), or, with one of the `Const` annotations below,
the value of a constant. Keyword-only parameters are its attributes with the defaults of the format's specification.
`*xs` takes any number of inputs. The engine reads the signature, so that an attribute or input that the rule does not
name is refused, never dropped.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np

from ...errors import Unsupported
from ...ops.window import by_keywords

F = TypeVar("F", bound=Callable[..., Any])


class Const(NamedTuple):
    """Annotation of an input that must be constant; `read` turns its array into the value that the rule gets."""

    read: Callable[[np.ndarray[Any, Any]], Any]


def _single(array: np.ndarray[Any, Any]) -> Any:
    if array.size != 1:
        raise Unsupported(f"expected a single value, got an array of shape {list(array.shape)}")
    return array.reshape(()).item()


def _number(array: np.ndarray[Any, Any]) -> float | int:
    """A single number; an integer stays an integer, since a float does not hold all of them."""
    return int(_single(array)) if array.dtype.kind in "iub" else float(_single(array))


Array = Annotated[np.ndarray[Any, Any], Const(lambda array: array)]
Ints = Annotated[list[int], Const(lambda array: [int(item) for item in array.reshape(-1)])]
Floats = Annotated[list[float], Const(lambda array: [float(item) for item in array.reshape(-1)])]
Int = Annotated[int, Const(lambda array: int(_single(array)))]
Float = Annotated[float, Const(lambda array: float(_single(array)))]
Number = Annotated[float, Const(_number)]
Bool = Annotated[bool, Const(lambda array: bool(_single(array)))]


class Input(NamedTuple):
    """An input of a rule. const: how to read it as a constant, or None for a tensor."""

    name: str
    const: Const | None
    optional: bool


@dataclass(frozen=True)
class Rule:
    """A conversion rule for an operator of a dialect, valid from version `since` of its domain on."""

    dialect: str
    type: str
    since: int
    domain: str
    function: Callable[..., Any] = field(repr=False)

    @cached_property
    def _parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.function).parameters.values())[1:]

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.function, include_extras=True)

    @cached_property
    def inputs(self) -> list[Input]:
        """The named inputs, in order."""
        return [
            Input(
                p.name,
                _const_marker(self._hints.get(p.name)),
                p.default is not p.empty or _allows_none(self._hints.get(p.name)),
            )
            for p in self._parameters
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]

    @cached_property
    def variadic(self) -> bool:
        """Does the rule accept any number of further inputs?"""
        return any(p.kind is p.VAR_POSITIONAL for p in self._parameters)

    @cached_property
    def attributes(self) -> dict[str, bool]:
        """Attribute name -> is it required?"""
        return {p.name: p.default is p.empty for p in self._parameters if p.kind is p.KEYWORD_ONLY}

    def check(self, attribs: Mapping[str, Any]) -> None:
        """Raises Unsupported unless the rule takes these attributes; only plain types and lists of them are checked."""
        tests = self._tests
        wrong = [key for key, value in attribs.items() if key not in tests or not tests[key](value)]
        if not wrong and self._required <= attribs.keys():
            return
        unknown = [key for key in wrong if key not in tests]
        if unknown:
            meant = get_close_matches(unknown[0], tests.keys() - attribs.keys(), 1, 0.8) if len(unknown) == 1 else []
            proposal = f"; is {meant[0]!r} meant?" if meant else ""
            raise Unsupported(f"attribute {', '.join(map(repr, unknown))} is not supported{proposal}")
        absent = [key for key, required in self.attributes.items() if required and key not in attribs]
        if absent:
            raise Unsupported(f"attribute {', '.join(map(repr, absent))} is missing")
        raise Unsupported(f"attribute {', '.join(f'{key!r} = {attribs[key]!r}' for key in wrong)} has the wrong type")

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(name for name, required in self.attributes.items() if required)

    @cached_property
    def _tests(self) -> dict[str, Callable[[Any], bool]]:
        """Attribute name -> test of its value."""
        hints = {name: self._hints.get(name, Any) for name in self.attributes}
        options = {name: typing.get_args(h) if isinstance(h, UnionType) else (h,) for name, h in hints.items()}
        return {name: _any_of(*types) if all(map(_is_checked, types)) else _anything for name, types in options.items()}


class Call(NamedTuple):
    """A rule and the arguments that an operation gives it: inputs in the order of its parameters, attributes by name.

    An input is a tensor of the source, or a list of them for an array. after: what is done with the first result.
    """

    rule: Rule
    inputs: Sequence[Any]
    attribs: Mapping[str, Any]
    after: Callable[[Any], Any] | None = None


def _allows_none(hint: Any) -> bool:
    return NoneType in typing.get_args(hint)


_KINDS: dict[Any, type] = {int: Integral, float: Real, str: str}


def _is_checked(hint: Any) -> bool:
    is_list = typing.get_origin(hint) in (list, Sequence)
    return hint is NoneType or (typing.get_args(hint)[0] if is_list else hint) in _KINDS


def _anything(_value: Any) -> bool:
    """The test of an attribute whose annotation is not checked."""
    return True


def _any_of(*hints: Any) -> Callable[[Any], bool]:
    tests = list(map(_test, hints))

    def fits(value: Any) -> bool:
        return any(test(value) for test in tests)

    return tests[0] if len(tests) == 1 else fits


def _test(hint: Any) -> Callable[[Any], bool]:
    if hint is NoneType:
        return lambda value: value is None
    if hint in _KINDS:
        kind = _KINDS[hint]
        return lambda value: type(value) is hint or isinstance(value, kind)
    item = typing.get_args(hint)[0]
    fits, usual = _test(item), {item}
    return lambda value: (
        isinstance(value, (list, tuple)) and (usual.issuperset(map(type, value)) or all(map(fits, value)))
    )


def _const_marker(hint: Any) -> Const | None:
    for part in (hint, *typing.get_args(hint)):
        if typing.get_origin(part) is Annotated:
            return next((item for item in part.__metadata__ if isinstance(item, Const)), None)
    return None


_to_nnef: dict[tuple[str, str, str], list[Rule]] = {}


def to_nnef(dialect: str, *types: str, since: int = 1, domain: str = "") -> Callable[[F], F]:
    """Registers a rule for operators of these types, from version `since` on up to the next registered one."""

    def register(function: F) -> F:
        for type in types:
            rules = _to_nnef.setdefault((dialect, domain, type), [])
            assert all(rule.since != since for rule in rules), f"{dialect} {type}-{since} is registered twice"
            rules.append(Rule(dialect, type, since, domain, function))
            rules.sort(key=lambda rule: rule.since)
        return function

    return register


_counting: dict[tuple[str, str], Callable[..., Any]] = {}


def counting(dialect: str, *types: str) -> Callable[[F], F]:
    """Registers what operators of the default domain do where extents depend on a count; see `building/masked.py`.

    The function gets all inputs as tensors, in place of the rule. It returns None to leave the operator to the rule.
    """

    def register(function: F) -> F:
        _counting.update({(dialect, type): function for type in types})
        return function

    return register


def find_counting(dialect: str, type: str) -> Callable[..., Any] | None:
    """What an operator does where extents depend on a count, or None."""
    return _counting.get((dialect, type))


_from_nnef: dict[tuple[str, str], Rule] = {}


EVERY = "*"
"""In place of a dialect: the rule applies to all dialects that do not have one of their own."""

_bases: dict[str, str] = {}


def share_rules(dialect: str, *, of: str) -> None:
    """Makes the rules from NNEF to the dialect `of` those of another one, too, but for those that it has itself."""
    _bases[dialect] = of


def from_nnef(dialect: str, *operations: str) -> Callable[[F], F]:
    """Registers a rule for the NNEF operations with these names; its parameters are those of the fragment's signature.

    The attributes of a sliding window may be one parameter, `window: Window`.
    """

    def register(function: F) -> F:
        for name in operations:
            assert (dialect, name) not in _from_nnef, f"{name} to {dialect} is registered twice"
            _from_nnef[dialect, name] = Rule(dialect, name, 1, "", by_keywords(function))
        return function

    return register


def find_from_nnef(dialect: str, operation: str) -> Rule | None:
    """The rule that converts an NNEF operation to a dialect, or None."""
    dialects = (dialect, _bases.get(dialect, dialect), EVERY)
    return next((_from_nnef[name, operation] for name in dialects if (name, operation) in _from_nnef), None)


def find_rule(dialect: str, type: str, version: int, domain: str = "") -> Rule | None:
    """The rule with the highest `since` that is not above the version, or None."""
    for rule in reversed(_to_nnef.get((dialect, domain, type), [])):
        if rule.since <= version:
            return rule
    return None


def all_rules(dialect: str) -> list[Rule]:
    """Every rule of a dialect, ordered by domain, type and version."""
    return [rule for key in sorted(_to_nnef) if key[0] == dialect for rule in _to_nnef[key]]
