"""Reads NNEF models for execution."""

from __future__ import annotations

from collections.abc import Collection
from os import fspath
from typing import Any, Protocol

from ...errors import UsageError
from ...io.nnef import Reader
from ...language.elaborate import check_definitions, decompose
from ...language.stdlib import standard_fragments
from ...language.types import Fragment
from ...model import Graph
from ...ops import registry
from ...ops.fragments import extension_fragments
from .reference_graph import from_reference_graph, is_reference_graph


class HasOperators(Protocol):
    """Says which operators can be run."""

    def __call__(self, name: str) -> object | None: ...


def load_graph(model: Any, find_operator: HasOperators, decomposed: Collection[str] | None = None) -> Graph:
    """The graph of `read_graph`, expanded as far as `find_operator` finds nothing; a Graph is taken as it is."""
    graph = read_graph(model, decomposed)
    if graph is not model:
        expand_missing(graph, find_operator)
    return graph


def read_graph(model: Any, decomposed: Collection[str] | None = None) -> Graph:
    """The graph of a model folder or archive; a Graph is taken as it is, an `nnef.Graph` is converted.

    decomposed: operations to expand by the bodies of their fragments. Shapes are not inferred.
    """
    if is_reference_graph(model):
        model = from_reference_graph(model)
    if isinstance(model, Graph):
        if decomposed:
            raise UsageError("operations are decomposed when a model is read; give its path, not a Graph")
        return model
    read = Reader(decomposed=decomposed, infer_shapes=False)
    return read(fspath(model))


def check_decomposed(graph: Graph, names: Collection[str]) -> None:
    """UsageError if one of the names has no definition in the standard, in this package or in the model."""
    known = {**standard_fragments(), **extension_fragments()}
    own: dict[str, Fragment] = graph.metadata.get("fragments") or {}
    check_definitions([name for name in names if name not in known or not known[name].is_compound], own)


def expand_missing(graph: Graph, find_operator: HasOperators) -> None:
    """Expands in place the operations that nothing can run, but that the model or the standard defines by a body."""
    fragments: dict[str, Fragment] = {**extension_fragments(), **(graph.metadata.get("fragments") or {})}
    while True:
        types = {op.type for op in graph.operations if op.type is not None and find_operator(op.type) is None}
        compound = {type for type in types if _is_compound(type, fragments)}
        if not compound:
            return
        decompose(graph, compound, fragments)


def _is_compound(type: str, fragments: dict[str, Fragment]) -> bool:
    if type in fragments:
        return fragments[type].is_compound
    definition = registry.find(type)
    return definition is not None and definition.fragment.is_compound
