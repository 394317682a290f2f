"""What operations a model may use: those that are known here, and those that it declares."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cached_property

from ..language.stdlib import standard_fragments
from ..language.types import Fragment
from ..model.facts import FRAGMENTS
from ..model.graph import Graph
from . import registry
from .definition import OpDef
from .fragments import extension_fragments


class Library:
    """The operations that are known, standard, ours or declared; what nobody asks for is not loaded.

    declared: the declarations of models and plugins. Of those with one name the last counts, before ours. foreign:
    operations that somebody else computes, whatever is known here of their names.
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
        return {**standard_fragments(), **extension_fragments(), **self.declared}

    @cached_property
    def compounds(self) -> list[str]:
        """The names of the operations that have a body."""
        return [name for name, fragment in self.fragments.items() if fragment.is_compound]

    def find(self, name: str | None) -> OpDef | None:
        """The operation of that name as it is inferred and run here, whatever a model declares; None if it is not."""
        return None if name in self.foreign else registry.find(name)

    def signature(self, name: str | None) -> Fragment | None:
        """The declaration that operations of the type follow; None if nobody declares it."""
        definition = self.find(name)
        return self.fragments.get(name or "") if definition is None else definition.fragment
