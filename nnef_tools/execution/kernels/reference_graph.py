"""Converts graphs of the `nnef` package, which its parser returns, to graphs of this package, without importing it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.dtypes import numpy_dtype


def is_reference_graph(model: Any) -> bool:
    """Is the value an `nnef.Graph`: a named tuple of name, tensors (by name), operations, inputs and outputs?"""
    return (
        isinstance(model, tuple) and hasattr(model, "operations") and isinstance(getattr(model, "tensors", None), dict)
    )


def from_reference_graph(model: Any) -> Graph:
    """The same graph in the NNEF dialect. Variables have the data that was loaded into the given graph."""
    graph = Graph(model.name)
    tensors: dict[str, Tensor] = {}
    for name, item in model.tensors.items():
        dtype = numpy_dtype(item.dtype) if item.dtype else None
        tensors[name] = Tensor(graph, name, item.shape, dtype, item.data, _quantization(item.quantization))

    def bind(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [bind(each) for each in value]
        if isinstance(value, str):
            return tensors[value]
        data = np.asarray(value, np.float32 if isinstance(value, float) else None)
        return Tensor(graph, None, (), data.dtype, data)

    for op in model.operations:
        attribs = dict(op.attribs)
        if op.dtype is not None:
            attribs["dtype"] = numpy_dtype(op.dtype)
        inputs, outputs = _arguments(map(bind, op.inputs.values())), _arguments(map(bind, op.outputs.values()))
        Operation(graph, op.name, attribs=attribs, inputs=inputs, outputs=outputs)
    graph.inputs = [tensors[name] for name in model.inputs]
    graph.outputs = [tensors[name] for name in model.outputs]
    return graph


def _arguments(items: Any) -> Any:
    """The arguments of an operation as this package stores them: a tuple of tensors, or one flat list for an array."""
    arguments = tuple(items)
    if not any(isinstance(item, list) for item in arguments):
        return arguments
    return [tensor for item in arguments for tensor in (item if isinstance(item, list) else [item])]


def _quantization(quant: Any) -> dict[str, Any]:
    return dict(quant or {})
