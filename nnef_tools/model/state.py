"""The state of a Graph of the NNEF dialect: variables that `update` operations change, for the next run."""

from __future__ import annotations

from .graph import Graph, Operation, Tensor


def updates(graph: Graph) -> dict[Tensor, Operation]:
    """Variable -> the `update` that gives its next value. Variables of one label share their storage."""
    found = {_label(op.inputs[0].producer): op for op in graph.operations if op.type == "update"}
    if not found:
        return {}
    variables = [op for op in graph.operations if op.type == "variable"]
    return {op.output: found[_label(op)] for op in variables if _label(op) in found}


def _label(variable: Operation | None) -> str:
    """The label of a variable; upper and lower case make no difference."""
    return str(variable.attribs.get("label", "")).lower() if variable is not None else ""
