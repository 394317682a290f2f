"""The state of a Graph: what a run leaves for the next one.

In NNEF, `update` gives variables their next value; TensorFlow Lite has operators without results for that.
"""

from __future__ import annotations

from collections.abc import Iterable

from .graph import Graph, Operation, Tensor

VARIABLES = "variables"
"""In the metadata of a Graph of the TFLite dialect: names of the tensors that keep their values from run to run.

They have no value in the graph; the operators that read them change them.
"""


def updates(graph: Graph) -> dict[Tensor, Operation]:
    """Variable of NNEF -> the `update` that gives its next value. Variables of one label share their storage."""
    found = {_label(op.inputs[0].producer): op for op in graph.operations if op.type == "update"}
    if not found:
        return {}
    variables = [op for op in graph.operations if op.type == "variable"]
    return {op.output: found[_label(op)] for op in variables if _label(op) in found}


def effects(graph: Graph) -> list[Operation]:
    """The operations that do something else than to give results."""
    return [op for op in graph.operations if op.type == "update" or not op.outputs]


def effects_on(graph: Graph, results: Iterable[Tensor]) -> list[Operation]:
    """Those of the `effects` that change what the results will be in later runs."""
    waiting, found = effects(graph), list[Operation]()
    reached: set[Operation] = set()
    stack = [producer for tensor in results for producer in tensor.producers]
    while True:
        while stack:
            operation = stack.pop()
            if operation not in reached:
                reached.add(operation)
                stack += [producer for tensor in operation.inputs for producer in tensor.producers]
        kept = {_label(operation) for operation in reached} - {""}
        new = [op for op in waiting if any(_label(tensor.producer) in kept for tensor in op.inputs[:1])]
        if not new:
            break
        waiting = [op for op in waiting if op not in new]
        found += new
        stack += new
    return [op for op in effects(graph) if op in found or (found and not op.inputs)]


def _label(variable: Operation | None) -> str:
    """The label of a variable, empty for anything else; upper and lower case make no difference in NNEF."""
    if variable is None or variable.type not in ("variable", "VAR_HANDLE"):
        return ""
    if variable.type == "variable":
        return str(variable.attribs.get("label", "")).lower()
    return f"{variable.attribs.get('container') or ''}/{variable.attribs.get('shared_name') or ''}"
