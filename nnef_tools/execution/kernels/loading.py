"""Reading of NNEF models for execution."""

from __future__ import annotations

from collections.abc import Callable, Collection
from os import fspath
from typing import Any

from ...errors import UsageError
from ...io.nnef import Reader
from ...language.elaborate import decompose
from ...model import Graph
from ...ops.decomposition import check_definitions
from ...ops.library import Library
from .reference_graph import from_reference_graph, is_reference_graph

FindOperator = Callable[[str], object]
"""Finds the function for operations with a name; None if there is none."""


def load_graph(model: Any, find_operator: FindOperator, decomposed: Collection[str] | None = None) -> Graph:
    """The graph of `read_graph`, with operations expanded for which `find_operator` finds nothing; a Graph stays."""
    graph = read_graph(model, decomposed)
    if graph is not model:
        expand_missing(graph, find_operator)
    return graph


def read_graph(model: Any, decomposed: Collection[str] | None = None) -> Graph:
    """Reads a model folder or archive; a Graph is returned as it is, an `nnef.Graph` is converted.

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
    """Raises UsageError if a name has no definition in the standard, in this package or in the model."""
    check_definitions(set(names).difference(Library().compounds), Library.of(graph))


def expand_missing(graph: Graph, find_operator: FindOperator) -> None:
    """Expands in place the operations without a function that have a body, in the model or known here."""
    library = Library.of(graph)
    while True:
        types = {op.type for op in graph.operations if op.type is not None and find_operator(op.type) is None}
        compound = types.intersection(library.compounds)
        if not compound:
            return
        decompose(graph, compound, library.fragments)
