"""Makes a graph of the TensorFlow dialect complete: as our reader gives it, and TensorFlow imports it.

In this dialect inputs and outputs are lists, constants are results of `Const` and graph inputs of `Placeholder`
operations, and attributes tell the types and the number of inputs and outputs.
"""

from __future__ import annotations

from ....errors import ShapeError
from ....model import Graph, Operation, Tensor
from .signature import type_attributes


def complete_graph(graph: Graph) -> int:
    """Adds the `Placeholder` and `Const` operations that are missing, in front, and `type_attributes`.

    Returns the number of operations that are added or completed. ShapeError if a graph input has no data type or
    unknown rank.
    """
    added = [_placeholder(graph, tensor) for tensor in graph.inputs if not tensor.has_producer]
    outputs = set(graph.outputs)
    for tensor in graph.tensors:
        if tensor.data is not None and not tensor.has_producer and (tensor.has_consumer or tensor in outputs):
            attribs = {"dtype": tensor.dtype, "value": tensor.data}
            added.append(Operation(graph, type="Const", attribs=attribs, inputs=[], outputs=[tensor]))
    new = set(added)
    if new:
        graph.reorder([*added, *(op for op in graph.operations if op not in new)])
    return len(new) + sum(_complete(op) for op in graph.operations)


def _placeholder(graph: Graph, tensor: Tensor) -> Operation:
    if tensor.shape is None or tensor.dtype is None:
        raise ShapeError(
            f"the shape or data type of graph input '{tensor!r}' is not known",
            hint="give the shapes of inputs, as in --input-shapes",
        )
    attribs = {"dtype": tensor.dtype, "shape": tensor.shape}
    return Operation(graph, type="Placeholder", attribs=attribs, inputs=[], outputs=[tensor])


def _complete(op: Operation) -> bool:
    """Tells if anything was missing."""
    incomplete = isinstance(op.inputs, tuple) or isinstance(op.outputs, tuple)
    if incomplete:
        op.inputs, op.outputs = list(op.inputs), list(op.outputs)
    missing = {key: value for key, value in type_attributes(op).items() if op.attribs.get(key) is None}
    if missing:
        op.attribs = {**op.attribs, **missing}
    return incomplete or bool(missing)
