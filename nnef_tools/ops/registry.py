"""The operations that are known here, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ..language.stdlib import standard_fragments
from .definition import DEFINED, OpDef
from .fragments import extension_fragments
from .precision import ieee


@cache
def operations() -> Mapping[str, OpDef]:
    """The operations that have a shape rule and a kernel: the standard ones, then the custom ones."""
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

    standard = standard_fragments()
    known = {}
    for fragments in (standard, extension_fragments()):
        for name, fragment in fragments.items():
            if name in DEFINED:
                shape, run, macs, macs_group = DEFINED[name]
                kernel = ieee(run, arithmetic=not fragment.generic)
                known[name] = OpDef(fragment, shape, kernel, macs, macs_group, standard=fragments is standard)
    return known


def find(name: str | None) -> OpDef | None:
    """The operation with that name, or None."""
    return operations().get(name) if name is not None else None
