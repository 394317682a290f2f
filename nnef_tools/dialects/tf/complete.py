"""Completes a graph of the TensorFlow dialect: as the reader gives it, and TensorFlow imports it.

In this dialect inputs and outputs are lists, constants are results of `Const` and graph inputs of `Placeholder`
operations, and attributes tell the types and the number of inputs and outputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import ShapeError, shape_hint
from ...model import Graph, Operation, Tensor
from .node_names import Names
from .operators import find_operator
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
            hint=shape_hint({str(tensor.name): tensor.shape}),
        )
    attribs = {"dtype": tensor.dtype, "shape": tensor.shape}
    return Operation(graph, type="Placeholder", attribs=attribs, inputs=[], outputs=[tensor])


def _complete(op: Operation) -> bool:
    """Makes inputs and outputs lists, and adds attributes. Tells if anything was missing."""
    incomplete = isinstance(op.inputs, tuple) or isinstance(op.outputs, tuple)
    if incomplete:
        op.inputs, op.outputs = list(op.inputs), list(op.outputs)
    missing = {key: value for key, value in type_attributes(op).items() if op.attribs.get(key) is None}
    if missing:
        op.attribs = {**op.attribs, **missing}
    return incomplete or bool(missing)


def name_nodes(graph: Graph, wanted: Mapping[Tensor, str] | None = None) -> None:
    """Names operations, and their results `node`, `node:1`, ..: all unique and as TensorFlow allows them.

    wanted: what names are to be made of, by default those that the tensors have. Graph outputs and inputs get theirs
    first. An output that is not the first result of its operation gets an Identity, unless it is called `node:1`.
    """
    if wanted is None:
        wanted = {tensor: tensor.name for tensor in graph.tensors if tensor.name}
    wanted = _with_identities(graph, wanted)
    names = Names()
    bound = [op for tensor in (*graph.outputs, *graph.inputs) for op in tensor.producers]
    constants = [op for op in graph.operations if op.type == "Const"]
    order = dict.fromkeys((*bound, *constants, *graph.operations))
    named = {op: next((wanted[t] for t in op.outputs if t in wanted), op.name) for op in order}
    for op, name in named.items():
        if name:
            _name(op, name, names)
    for op, name in named.items():
        if not name and op.type != "Const":
            _name(op, str(op.type), names)
    for op, name in named.items():
        if not name and op.type == "Const":
            _name(op, _name_by_use(op), names)


def _with_identities(graph: Graph, wanted: Mapping[Tensor, str]) -> dict[Tensor, str]:
    result = dict(wanted)
    outputs = []
    for tensor in graph.outputs:
        port = 0 if tensor.producer is None else list(tensor.producer.outputs).index(tensor)
        name = wanted.get(tensor, "")
        if port and name and not re.search(rf":{port}$", name):
            copy = Tensor(graph, None, tensor.shape, tensor.dtype)
            Operation(graph, type="Identity", attribs={"T": tensor.dtype}, inputs=[tensor], outputs=[copy])
            result[copy] = result.pop(tensor)
            tensor = copy
        outputs.append(tensor)
    graph.outputs = outputs
    return result


def _name(op: Operation, name: str, names: Names) -> None:
    op.name = names.take(re.sub(r":\d+$", "", name))
    for k, tensor in enumerate(op.outputs):
        tensor.name = f"{op.name}:{k}" if k else op.name


def _name_by_use(op: Operation) -> str:
    """A constant is named after the first node that reads it, and what it is there: `conv1/filter`."""
    consumer = next(iter(op.outputs[0].consumers), None)
    if consumer is None:
        return "Const"
    operator = find_operator(consumer.type or "")
    position = next(k for k, tensor in enumerate(consumer.inputs) if tensor is op.outputs[0])
    if operator is None or position >= len(operator.inputs):
        return f"{consumer.name}/Const"
    return f"{consumer.name}/{operator.inputs[position].name}"
