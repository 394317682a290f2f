"""What conversions support: which operators have a rule, which have a definition, which are refused, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..conversion.engine.rules import Rule, find_from_nnef
from ..errors import UsageError
from ..formats import FORMATS, NNEF, Format, find_format, load
from ..ops.library import Library
from ..ops.registry import operations

RULE, DEFINITION, REFUSED = "rule", "definition", "refused"

PLACES = ("external", "variable", "constant", "update")
"""NNEF operations that compute nothing; every conversion has them."""


@dataclass(frozen=True)
class OperatorSupport:
    """What becomes of an operator in a conversion.

    by: 'rule', 'definition' (it is taken apart into other operations) or 'refused'. since: the versions from which its
    rules apply, where the format has versions. constants: inputs that must be constant. text: what the rule does, or
    why it is refused.
    """

    source: str
    target: str
    operator: str
    by: str
    since: tuple[int, ...] = ()
    constants: tuple[str, ...] = ()
    text: str = ""


def conversions() -> list[tuple[Format, Format]]:
    """The pairs of formats with a converter of their own; all others go over NNEF."""
    dialects = {format.dialect: format for format in reversed(list(FORMATS.values()))}
    others = [format for format in FORMATS.values() if dialects[format.dialect] is format and format is not NNEF]
    to_nnef = [(format, NNEF) for format in others if format.dialect.to_nnef is not None]
    return to_nnef + [(NNEF, format) for format in others if format.dialect.from_nnef is not None]


def supported(source: str | None, target: str | None, names: Iterable[str] = ()) -> list[OperatorSupport]:
    """The operators of the conversions between two formats, or from or to one, in the order of their names.

    Between two formats other than NNEF there are two conversions. names: only these operators, with or without domain;
    one that no conversion knows is refused. UsageError for unknown formats and conversions, MissingPackageError.
    """
    steps = _steps(source, target)
    if not steps:
        ends = " ".join(f"{word} {name}" for word, name in (("from", source), ("to", target)) if name)
        pairs = ", ".join(f"{a.name} to {b.name}" for a, b in conversions())
        raise UsageError(f"there is no conversion {ends}", hint=f"there are {pairs}")
    found = [item for a, b in steps for item in (_to_nnef(a) if b is NNEF else _from_nnef(b))]
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return found
    known = [item for item in found if any(_is_called(item, name) for name in wanted)]
    absent = [name for name in wanted if not any(_is_called(item, name) for item in known)]
    a, b = steps[0]
    return known + [OperatorSupport(a.name, b.name, name, REFUSED, text="there is no rule") for name in absent]


def _steps(source: str | None, target: str | None) -> list[tuple[Format, Format]]:
    """The conversions from one format, to the other, both or any."""
    ends = [None if name is None else find_format(name).dialect for name in (source, target)]
    first, last, hub = *ends, NNEF.dialect
    if first is not None and last is not None:
        pairs = [(first, hub), (hub, last)]
    elif first is not None or last is not None:
        pairs = [(a.dialect, b.dialect) for a, b in conversions() if first is a.dialect or last is b.dialect]
    else:
        pairs = [(a.dialect, b.dialect) for a, b in conversions()]
    return [(a, b) for a, b in conversions() if (a.dialect, b.dialect) in pairs]


def _is_called(item: OperatorSupport, name: str) -> bool:
    return name.lower() in (item.operator.lower(), item.operator.rpartition(".")[2].lower())


def _to_nnef(format: Format) -> list[OperatorSupport]:
    converter = load(format.dialect.to_nnef or "", format)
    rules: Sequence[tuple[str, Rule]] = sorted(converter.rules(), key=lambda item: (item[0], item[1].since))
    found = []
    for name, group in groupby(rules, key=lambda item: item[0]):
        own = [rule for _, rule in group]
        newest = own[-1]
        since = tuple(rule.since for rule in own) if any(rule.since > 1 for _, rule in rules) else ()
        found.append(_by_rule(format.name, NNEF.name, name, newest, since))
    known = {item.operator for item in found}
    found += [
        OperatorSupport(format.name, NNEF.name, name, REFUSED, text=reason)
        for name, reason in converter.reasons().items()
        if name not in known
    ]
    return sorted(found, key=lambda item: item.operator.lower())


def _from_nnef(format: Format) -> list[OperatorSupport]:
    load(format.dialect.from_nnef or "", format)  # registers the rules
    compounds = set(Library().compounds)
    found = []
    for name in operations():
        rule = find_from_nnef(format.dialect.name, name)
        if rule is not None:
            found.append(_by_rule(NNEF.name, format.name, name, rule, ()))
        elif name in compounds:
            found.append(OperatorSupport(NNEF.name, format.name, name, DEFINITION, text="by its definition in NNEF"))
        elif name not in PLACES:
            found.append(OperatorSupport(NNEF.name, format.name, name, REFUSED, text="there is no rule"))
    return found


def _by_rule(source: str, target: str, name: str, rule: Rule, since: tuple[int, ...]) -> OperatorSupport:
    constants = tuple(item.name for item in rule.inputs if item.const is not None)
    lines = (rule.function.__doc__ or "").strip().splitlines()
    return OperatorSupport(source, target, name, RULE, since, constants, lines[0] if lines else "")
