"""Operations whose results nothing uses are removed."""

from __future__ import annotations

from ...model import Graph
from ...model.utils import remove_unreachable


def remove_unused(graph: Graph) -> int:
    """Keeps what graph outputs depend on, the sources of all graph inputs, and each `update`, which has an effect."""
    before = len(graph.operations)
    remove_unreachable(graph, keep=[operation for operation in graph.operations if operation.type == "update"])
    return before - len(graph.operations)
