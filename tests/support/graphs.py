"""Short words for what tests ask of graphs of any dialect."""

from __future__ import annotations

from collections.abc import Iterable

from nnef_tools.model import Graph, Tensor


def all_types(graph: Graph) -> list[str | None]:
    """The types of all operations, in their order."""
    return [op.type for op in graph.operations]


def names(tensors: Iterable[Tensor]) -> list[str | None]:
    """The names of tensors, in their order."""
    return [tensor.name for tensor in tensors]
