"""Stores constants in float16, with a DEQUANTIZE for each, as TensorFlow Lite does with weights in half precision."""

from __future__ import annotations

import numpy as np

from ...language.names import FreshNames
from ...model import Graph, Operation, Tensor
from ...model.utils import place_operations

HALVES = "half_precision_constants"
"""In the metadata of a graph: the names of constants that were in float16. The pass takes them away."""


def store_halves(graph: Graph) -> int:
    """Stores those constants that were in float16, and that it still holds exactly. Returns their number."""
    wanted = set(graph.metadata.pop(HALVES, ()))
    if not wanted:
        return 0
    names = FreshNames(tensor.name for tensor in graph.tensors if tensor.name)
    found = [
        tensor for tensor in graph.tensors if tensor.name in wanted and _fits(tensor) and tensor not in graph.outputs
    ]
    for tensor in found:
        data = np.asarray(tensor.data).astype(np.float16)
        stored = Tensor(graph, tensor.name, data.shape, np.float16, data)
        tensor.data, tensor.name = None, names.distinct(f"{tensor.name or 'constant'}_dequantize")
        Operation(graph, type="DEQUANTIZE", inputs=(stored,), outputs=(tensor,))
    if found:
        place_operations(graph)
    return len(found)


def _fits(tensor: Tensor) -> bool:
    if tensor.data is None or tensor.has_producer or tensor.dtype is not np.float32:
        return False
    data = np.asarray(tensor.data)
    with np.errstate(over="ignore"):
        return np.array_equal(data.astype(np.float16).astype(np.float32), data, equal_nan=True)
