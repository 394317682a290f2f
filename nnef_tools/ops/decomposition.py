"""Replaces compound operations of graphs by their bodies."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UsageError
from ..language.elaborate import decompose
from ..model.graph import Graph
from .fragments import helper_fragments
from .inference import ShapeFunctions, infer_graph
from .library import Library


def check_definitions(names: Iterable[str], library: Library) -> None:
    """Raises UsageError if one of the names is not that of an operation with a body."""
    unknown = sorted(set(names).difference(library.compounds))
    if unknown:
        raise UsageError(f"there is no definition to decompose by: {', '.join(unknown)}")


def decompose_operations(
    graph: Graph, names: Iterable[str] | None, library: Library, custom_shapes: ShapeFunctions | None = None
) -> None:
    """Replaces operations with these names, or all compound ones, by their bodies; infers shapes of new tensors.

    Changes the graph in place. UsageError for a name without a body; ParseError or ShapeError if an operation does not
    match its signature.
    """
    names = library.compounds if names is None else list(names)
    check_definitions(names, library)
    decompose(graph, {*names, *helper_fragments()}, library.fragments)
    infer_graph(graph, custom_shapes=custom_shapes, library=library, allow_unknown=True)
