"""The operations that are known here, by name."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cache

from ..language.stdlib import standard_fragments
from .definition import DEFINED, OpDef
from .fragments import extension_fragments
from .precision import ieee


@cache
def operations() -> Mapping[str, OpDef]:
    """The operations that have a shape rule and a kernel: the standard ones, then the custom ones."""
    names = (*standard_fragments(), *extension_fragments())
    return {name: definition for name in names if (definition := find(name)) is not None}


def find(name: str | None) -> OpDef | None:
    """The operation with that name, or None."""
    return _definition(name) if name is not None and name in _names() else None


@cache
def _names() -> Container[str]:
    """The names of these operations."""
    from . import (  # noqa: F401  (each defines the operations of a family)
        activation,
        conv,
        detection,
        elementwise,
        index,
        linear,
        move,
        norm,
        pool,
        quant,
        recurrent,
        reduce,
        resize,
        roi,
        variable,
    )

    return DEFINED


@cache
def _definition(name: str) -> OpDef:
    is_standard = name in standard_fragments()
    fragment = standard_fragments()[name] if is_standard else extension_fragments()[name]
    shape, run, macs, macs_group = DEFINED[name]
    return OpDef(fragment, shape, ieee(run, arithmetic=not fragment.generic), macs, macs_group, standard=is_standard)
