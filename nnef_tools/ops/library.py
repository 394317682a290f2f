"""The operations that a model may use: those that are known here, and those that it declares."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cached_property

from ..language.signatures import Overlay
from ..language.stdlib import standard_fragments
from ..language.types import Fragment
from ..model.facts import FRAGMENTS
from ..model.graph import Graph
from . import registry
from .definition import OpDef
from .fragments import extension_fragments


class Library:
    """The known operations: those of the standard, of this package, and declared ones; loaded when they are asked for.

    declared: the declarations of models and plugins; the last one with a name counts, also before this package's own.
    foreign: operations that are computed elsewhere, even if their names are known here.
    """

    def __init__(self, *declared: Mapping[str, Fragment], foreign: Container[str | None] = ()) -> None:
        self.foreign = foreign
        self.declared = {name: fragment for fragments in declared for name, fragment in fragments.items()}

    @classmethod
    def of(cls, graph: Graph, *declared: Mapping[str, Fragment], foreign: Container[str | None] = ()) -> Library:
        """With what the model of the graph declares, then others."""
        return cls(graph.metadata.get(FRAGMENTS) or {}, *declared, foreign=foreign)

    @cached_property
    def fragments(self) -> Mapping[str, Fragment]:
        """All declarations by name."""
        return Overlay(standard_fragments(), extension_fragments(), self.declared)

    @cached_property
    def compounds(self) -> list[str]:
        """The names of the operations that have a body."""
        return [name for name, fragment in self.fragments.items() if fragment.is_compound]

    def find(self, name: str | None) -> OpDef | None:
        """The operation that is inferred and run here under that name, whatever a model declares; else None."""
        return None if name in self.foreign else registry.find(name)

    def signature(self, name: str | None) -> Fragment | None:
        """The declaration that operations of the type follow; None if there is none."""
        definition = self.find(name)
        return self.fragments.get(name or "") if definition is None else definition.fragment
