"""Reading of NNEF models for execution."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from os import fspath
from typing import Any

from ...errors import UsageError
from ...formats import InputShapes
from ...io.nnef import Reader
from ...language.elaborate import decompose
from ...model import Graph
from ...ops.decomposition import check_definitions
from ...ops.library import Library
from .reference_graph import from_reference_graph, is_reference_graph


class ModelWarning(UserWarning):
    """A part of a model is ignored while it is read to be run, such as a damaged sidecar file."""


FindOperator = Callable[[str], object]
"""Finds the function for operations with a name; None if there is none."""


def load_graph(model: Any, find_operator: FindOperator, decomposed: Collection[str] | None = None) -> Graph:
    """The graph of `read_graph`, with operations expanded for which `find_operator` finds nothing; a Graph stays."""
    graph = read_graph(model, decomposed)
    if graph is not model:
        expand_missing(graph, find_operator)
    return graph


def read_graph(
    model: Any,
    decomposed: Collection[str] | None = None,
    *,
    input_shapes: InputShapes | None = None,
    warned: list[str] | None = None,
) -> Graph:
    """Reads a model folder or archive; a Graph is returned as it is, an `nnef.Graph` is converted.

    decomposed: operations to expand by the bodies of their fragments. input_shapes: in place of those of a file. Shapes
    are not inferred. What the reader warns of is a ModelWarning, which Python shows once, and an item of `warned`.
    """
    if is_reference_graph(model):
        model = from_reference_graph(model)
    if isinstance(model, Graph):
        if decomposed:
            raise UsageError("operations are decomposed when a model is read; give its path, not a Graph")
        return model
    read = Reader(decomposed=decomposed, infer_shapes=False)
    graph = read(fspath(model), input_shapes)
    for text in read.warnings:
        warnings.warn(f"{fspath(model)}: {text}", ModelWarning, stacklevel=1)  # once, whichever runtimes read it
    if warned is not None:
        warned += read.warnings
    return graph


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
