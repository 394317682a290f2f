"""Copies of graphs that share the data of constants."""

from __future__ import annotations

from .graph import Graph, Operation, Tensor


def copy_graph(graph: Graph) -> Graph:
    """A graph with copies of all operations and tensors; arrays and quantization parameters are shared."""
    result = Graph(graph.name)
    result.metadata = dict(graph.metadata)
    copies = {t: Tensor(result, t.name, t.shape, t.dtype, t.data, t.quant) for t in graph.tensors}
    for op in graph.operations:
        inputs = [copies[tensor] for tensor in op.inputs]
        outputs = [copies[tensor] for tensor in op.outputs]
        Operation(
            result,
            type=op.type,
            name=op.name,
            attribs=dict(op.attribs),
            inputs=tuple(inputs) if isinstance(op.inputs, tuple) else inputs,
            outputs=tuple(outputs) if isinstance(op.outputs, tuple) else outputs,
            custom=op.custom,
            domain=op.domain,
        )
    result.inputs = [copies[tensor] for tensor in graph.inputs]
    result.outputs = [copies[tensor] for tensor in graph.outputs]
    return result
