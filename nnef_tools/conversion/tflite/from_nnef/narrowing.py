"""Integers of 32 bits, as the source had them, instead of NNEF's 64 bits, which many kernels lack."""

from __future__ import annotations

import numpy as np

from ....model import Graph, Operation, Tensor
from ...building.shapes import shape


def narrow_integers(graph: Graph) -> bool:
    """Makes all int64 tensors int32 and removes casts without effect; does nothing if a constant does not fit."""
    wide = [tensor for tensor in graph.tensors if tensor.dtype is np.int64]
    limits = np.iinfo(np.int32)
    for tensor in wide:
        data = None if tensor.data is None else np.asarray(tensor.data)
        if data is not None and data.size and not limits.min <= data.min() <= data.max() <= limits.max:
            return False
    for tensor in wide:
        tensor.dtype = np.int32
        tensor.data = None if tensor.data is None else np.asarray(tensor.data).astype(np.int32)
    for op in list(graph.operations):
        op.attribs = {key: np.int32 if value is np.int64 else value for key, value in op.attribs.items()}
        if op.type == "CAST" and op.inputs[0].dtype is op.output.dtype:
            _remove_cast(graph, op)
    return True


def _remove_cast(graph: Graph, op: Operation) -> None:
    x, y = op.inputs[0], op.output
    producer = x.producer
    if y not in graph.outputs:
        kept, gone = x, y
    elif producer is not None and x not in graph.outputs:
        kept, gone = y, x
    else:  # there is no operator that copies, but a reshape to the same shape
        dims = np.asarray(shape(x), np.int32)
        op.type, op.attribs = "RESHAPE", {}
        op.inputs = (x, Tensor(graph, shape=dims.shape, dtype=np.int32, data=dims))
        return
    graph.remove_operation(op, unlink=True)
    if gone is x and producer is not None:
        producer.outputs = tuple(kept if t is gone else t for t in producer.outputs)
    for consumer in list(gone.consumers):
        consumer.inputs = tuple(kept if t is gone else t for t in consumer.inputs)
    graph.remove_tensor(gone)
