"""Which tensors of two models are the same: by a mapping, the names in sidecars, their own names, and structure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..errors import UsageError
from ..execution.executor import known_name
from .compared_model import ComparedModel
from .layout import fitting
from .matching import Matching, Side, is_generated

ORDER, MAPPING, SOURCE, NAME, STRUCTURE = "order", "mapping", "source name", "name", "structure"

ENOUGH = 0.5
"""The share of the inner tensors of the smaller model beyond which the structure of the models is not looked at."""


class Pair(NamedTuple):
    """Two tensors that are the same. by: how that is known."""

    a: str
    b: str
    by: str


def align(a: ComparedModel, b: ComparedModel, mapping: Mapping[str, str] | None = None) -> list[Pair]:
    """The pairs, in the order of execution of `a`; outputs correspond by their order, if their numbers are equal.

    mapping: names in `a` -> names in `b`, or the other way around. UsageError if the numbers of inputs differ, if no
    name of the mapping is known, or if the numbers of outputs differ and none of them has a counterpart.
    """
    pairs: dict[str, Pair] = {}
    taken: set[str] = set()

    def add(found: Iterable[tuple[str | None, str | None]], by: str) -> None:
        for x, y in found:
            if x in a.tensors and y in b.tensors and x not in pairs and (y not in taken or by == MAPPING):
                assert x is not None and y is not None
                pairs[x] = Pair(x, y, by)
                taken.add(y)

    for ours, others in zip(a.interface, b.interface, strict=True):
        if len(ours) == len(others):
            add(((s.name, t.name) for s, t in zip(ours, others, strict=True)), ORDER)
        elif ours is a.interface[0]:
            raise UsageError(f"the models have {len(ours)} and {len(others)} inputs")
    if mapping:
        add(_mapped(a, b, mapping), MAPPING)
    add(_by_source(a, b), SOURCE)
    add(_by_name(a, b), NAME)
    ends = len(pairs) - sum(pair.by != ORDER for pair in pairs.values())
    is_open = any(t.name not in pairs for t in a.interface[1])
    if is_open or len(pairs) - ends < ENOUGH * (min(len(a.tensors), len(b.tensors)) - ends):
        add(_by_structure(a, b), STRUCTURE)
    outputs = a.interface[1], b.interface[1]
    is_known = any(t.name in pairs for t in outputs[0]) or any(t.name in taken for t in outputs[1])
    if any(outputs) and not is_known:
        raise UsageError(
            f"the models have {len(outputs[0])} and {len(outputs[1])} outputs, and it is not known which are the same",
            hint="--tensor-mapping FILE tells",
        )
    return [pairs[name] for name in a.tensors if name in pairs]


def _mapped(a: ComparedModel, b: ComparedModel, mapping: Mapping[str, str]) -> list[tuple[str | None, str | None]]:
    """The pairs of a mapping, which may lead from either model to the other one."""

    def pairs(names: Iterable[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
        found = [(known_name(x, a.tensors), known_name(y, b.tensors)) for x, y in names]
        return [pair for pair in found if None not in pair]

    forward, back = pairs(mapping.items()), pairs((y, x) for x, y in mapping.items())
    if not forward and not back:
        raise UsageError("the tensor mapping has no names that both models have", hint="it is of another conversion")
    return max(forward, back, key=len)


def _by_source(a: ComparedModel, b: ComparedModel) -> Iterable[tuple[str | None, str | None]]:
    """The pairs of which a sidecar has the name in the other model, or both have the name in a third one."""
    known = {source: name for name, source in reversed(list(a.sources.items()))} or {name: name for name in a.tensors}
    for y, source in b.sources.items():
        form = known_name(source, known)
        yield None if form is None else known[form], y
    if not b.sources:
        for x, source in a.sources.items():
            yield x, known_name(source, b.tensors)


def _by_name(a: ComparedModel, b: ComparedModel) -> Iterable[tuple[str | None, str | None]]:
    """The pairs of one name; names that programs make up count between different dialects, which keep them."""
    is_same = a.format.dialect is b.format.dialect
    for name in a.tensors:
        other = known_name(name, b.tensors)
        if other is not None and not (is_same and is_generated(name)) and _fit(a, name, b, other):
            yield name, other


def _by_structure(a: ComparedModel, b: ComparedModel) -> Iterable[tuple[str | None, str | None]]:
    """The pairs of operations that are in the same place; models of different dialects are converted to NNEF."""
    if a.format.dialect is b.format.dialect and not a.is_nnef:
        graphs, names = (a.graph, b.graph), ({n: n for n in a.tensors}, {n: n for n in b.tensors})
    else:
        ours, others = a.as_nnef, b.as_nnef
        if ours is None or others is None:
            return
        graphs, names = (ours[0], others[0]), (dict(ours[1]), dict(others[1]))
    is_nnef = a.is_nnef or a.format.dialect is not b.format.dialect
    if graphs[0] is graphs[1]:
        return
    matching = Matching(Side(graphs[0], is_nnef), Side(graphs[1], is_nnef))
    partners = {str(s.name): str(t.name) for s, t in matching.tensors.items() if s.graph is graphs[0]}
    back = {inner: name for name, inner in reversed(list(names[1].items()))}
    for name, inner in names[0].items():
        other = back.get(partners.get(inner, ""))
        if other is not None and other in b.tensors and name in a.tensors and _fit(a, name, b, other):
            yield name, other


def _fit(a: ComparedModel, x: str, b: ComparedModel, y: str) -> bool:
    """Can two tensors be the same, by their shapes as far as these are known?"""
    s, t = a.tensors[x].shape, b.tensors[y].shape
    if s is None or t is None or None in s or None in t:
        return s is None or t is None or len(s) == len(t)
    return bool(fitting(tuple(n or 0 for n in s), tuple(n or 0 for n in t), is_same_layout=False))
