"""Asks the budget for the tensors that a run of a graph computes or generates, before anything is computed."""

from __future__ import annotations

from ..budget import ask_constant, ask_items
from ..errors import LimitError
from ..model import Graph


def ask_tensors(graph: Graph) -> None:
    """Asks for the results of all operations of an NNEF graph with shapes, as far as these are known. LimitError."""
    for op in graph.operations:
        if op.type == "variable":
            continue  # it has the size of its file
        for tensor in op.outputs:
            count = tensor.volume
            if count is None:
                continue
            try:
                if op.type == "constant":
                    ask_constant(count, given=len(op.attribs.get("value", ())))
                else:
                    ask_items(count)
            except LimitError as error:
                error.where = f"{op.type} '{tensor.name}'"
                raise
