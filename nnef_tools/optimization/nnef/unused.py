"""Removes operations whose results are not used."""

from __future__ import annotations

from ...model import Graph
from ...model.utils import remove_unreachable


def remove_unused(graph: Graph) -> int:
    """Removes unused operations; `external` of graph inputs and `update`, which has an effect, stay."""
    before = len(graph.operations)
    remove_unreachable(graph, keep=[operation for operation in graph.operations if operation.type == "update"])
    return before - len(graph.operations)
