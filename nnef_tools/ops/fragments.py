"""The custom operations of this package, which `extensions.nnef` declares and explains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..language.declarations import Declarations
from ..language.types import Fragment


@cache
def extension_fragments() -> Mapping[str, Fragment]:
    """The custom operations by name, in the order of their declaration."""
    path = Path(__file__).with_name("extensions.nnef")
    return Declarations(path.read_text(encoding="ascii"), path.name)


@cache
def helper_fragments() -> frozenset[str]:
    """The operations that only the bodies of others call: they are expanded with these, and no backend runs them."""
    return frozenset(other for called in called_fragments().values() for other in called)


@cache
def called_fragments() -> Mapping[str, Sequence[str]]:
    """The custom operations with a body -> the custom operations that it calls, directly or through others."""
    ours = extension_fragments()
    bodies = {name: _code(fragment).partition("{")[2] for name, fragment in ours.items() if fragment.is_compound}
    called: dict[str, list[str]] = {}
    for name, body in bodies.items():  # each after those that it calls
        direct = [other for other in bodies if other != name and re.search(rf"\b{other}\(", body)]
        called[name] = list(dict.fromkeys(word for other in direct for word in (*called[other], other)))
    return MappingProxyType(called)


def foreign_fragments(own: Mapping[str, Fragment]) -> set[str]:
    """The fragments of a model with a body and the name of a custom operation, but not with its definition.

    For these, the definition in the model counts.
    """
    if not own:
        return set()
    ours, called = extension_fragments(), called_fragments()
    named = {name for name, fragment in own.items() if name in ours and fragment.is_compound}
    changed = {name for name in named if _code(own[name]) != _code(ours[name])}
    return {
        name for name in named if name in changed | helper_fragments() or not changed.isdisjoint(called.get(name, ()))
    }


def _code(fragment: Fragment) -> str:
    """The text of a fragment without comments and line breaks, which a writer may have changed."""
    return " ".join(re.sub(r"#.*", "", fragment.text).split())
