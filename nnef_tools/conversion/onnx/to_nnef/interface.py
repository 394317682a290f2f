"""Inputs and outputs of ONNX models that are codes, as real tensors with a quantization.

An input that only DequantizeLinear reads, and an output that QuantizeLinear gives, are real in NNEF; that they were
codes is a fact. A model that does nothing else stays one of integers: codes are what it is about.
"""

from __future__ import annotations

import numpy as np

from ....model import Graph, Operation, Tensor
from ....model.copying import copy_graph
from ....model.dtypes import is_integer
from ....model.utils import replace_tensor_in_consumers
from ...building.quantized import QuantizedArray
from .qdq import DOMAINS, is_plain, parameters_of, restores


def with_real_interface(graph: Graph) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph, or a copy in which codes at the interface are real; and tensor of the copy -> its original."""
    captured = {tensor for op in graph.operations for tensor in op.captures}
    inputs = [tensor for tensor in graph.inputs if tensor not in captured and _is_dequantized(graph, tensor)]
    outputs = [tensor for tensor in graph.outputs if tensor not in captured and _is_quantized(graph, tensor)]
    if not inputs and not outputs:
        return graph, {}
    result = copy_graph(graph)
    copies = dict(zip(graph.tensors, result.tensors, strict=True))
    for tensor in inputs:
        _dequantize(result, copies[tensor])
    for tensor in outputs:
        _dequantize_result(result, copies[tensor])
    result.sort()
    return result, {copy: original for original, copy in copies.items()}


def _is_dequantized(graph: Graph, tensor: Tensor) -> bool:
    """Do all readers dequantize with the same parameters for all of the tensor?"""
    readers = tensor.consumers
    if tensor.dtype is None or not is_integer(tensor.dtype) or not readers or tensor in graph.outputs:
        return False
    captured = {t for op in graph.operations for t in op.captures}
    results = {t for op in readers for t in op.outputs}
    if results & (captured | set(graph.outputs)):
        return False
    found = [parameters_of(op, tensor) for op in readers]
    return all(item is not None and item == found[0] for item in found)


def _is_quantized(graph: Graph, tensor: Tensor) -> bool:
    """Is it the result of a QuantizeLinear of something computed, which nothing reads but its inverse?"""
    op = tensor.producer
    if op is None or op.type != "QuantizeLinear" or op.domain not in DOMAINS or list(graph.outputs).count(tensor) > 1:
        return False
    maker = op.inputs[0].producer
    computed = maker is not None and (maker.type != "DequantizeLinear" or maker.inputs[0].has_producer)
    per_tensor = is_plain(op) and np.size(op.inputs[1].data) == 1 and op.inputs[1].dtype is np.float32
    return computed and per_tensor and all(restores(reader, op) for reader in tensor.consumers)


def _dequantize(graph: Graph, tensor: Tensor) -> None:
    """Makes an input real, in place of the results of its readers."""
    readers = list(tensor.consumers)
    found = parameters_of(readers[0], tensor)
    assert found is not None
    scale, zero_point = found
    codes = np.zeros((), tensor.dtype)
    tensor.quant = QuantizedArray(codes, np.asarray(scale, np.float32), np.asarray(zero_point, np.int64)).quant()
    tensor.dtype = np.float32
    for op in readers:
        values = op.outputs[0]
        graph.remove_operation(op, unlink=True)
        replace_tensor_in_consumers(graph, values, tensor)
        graph.remove_tensor(values)


def _dequantize_result(graph: Graph, tensor: Tensor) -> None:
    """Makes an output real: the values of the codes that it was."""
    op = tensor.producer
    assert op is not None
    codes = Tensor(graph, f"{tensor.name}_codes", tensor.shape, tensor.dtype)
    for reader in list(tensor.consumers):
        reader.inputs = tuple(codes if t is tensor else t for t in reader.inputs)
    op.outputs = (codes,)
    tensor.dtype = np.float32
    inputs = (codes, *op.inputs[1:])
    attribs = {key: value for key, value in op.attribs.items() if key == "axis"}
    Operation(graph, type="DequantizeLinear", domain=op.domain, attribs=attribs, inputs=inputs, outputs=(tensor,))
