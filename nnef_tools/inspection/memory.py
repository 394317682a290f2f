"""The memory that a run of a model takes: its weights, and the most that its activations take at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..model import Graph, Operation, Tensor
from ..model.graph import Shape


@dataclass(frozen=True)
class Peak:
    """The largest sum of the activations that are alive at one time. operator: which one runs then; None for none.

    unknown: how many activations have no known size, and are not in the sum.
    """

    size: int
    operator: Operation | None
    unknown: int


def is_constant(tensor: Tensor, graph_inputs: frozenset[Tensor] | set[Tensor]) -> bool:
    """Does a tensor have the same value in every run?"""
    producer = tensor.producers[0] if tensor.producers else None
    return tensor.data is not None or (producer is not None and not producer.inputs and tensor not in graph_inputs)


def size_of(shape: Shape | None, dtype: Any) -> int | None:
    """Bytes of a tensor of that shape and item type; None if one of them, or the size of its items, is not known."""
    if shape is None or dtype is None:
        return None
    try:
        item = np.dtype(dtype).itemsize
    except TypeError:
        return None  # such as TensorFlow's variants
    return None if None in shape or not item else prod(extent or 0 for extent in shape) * item


def activation_peak(graph: Graph, sizes: Mapping[Tensor, int | None]) -> Peak:
    """The peak of the activations of a sorted graph: inputs, outputs and all between. sizes: bytes of each.

    As in the executors, a value is alive from the operator that computes it until the last one that reads it; inputs
    from the beginning, outputs to the end. A result that shares memory with its operand counts all the same.
    """
    inputs = set(graph.inputs)
    sizes = {tensor: size for tensor, size in sizes.items() if not is_constant(tensor, inputs)}
    used = {tensor for op in graph.operations for tensor in (*op.inputs, *op.captures, *op.outputs)}
    unknown = sum(1 for tensor, size in sizes.items() if size is None and tensor in used and tensor.name != "")
    last = {tensor: op for op in graph.operations for tensor in (*op.inputs, *op.captures, *op.outputs)}
    for tensor in graph.outputs:
        last.pop(tensor, None)
    ends: dict[Operation, list[Tensor]] = {}
    for tensor, op in last.items():
        ends.setdefault(op, []).append(tensor)
    alive = peak = sum(sizes.get(tensor) or 0 for tensor in inputs)
    at: Operation | None = None
    for op in graph.operations:
        alive += sum(sizes.get(tensor) or 0 for tensor in op.outputs if tensor not in inputs)
        if alive > peak:
            peak, at = alive, op
        alive -= sum(sizes.get(tensor) or 0 for tensor in ends.get(op, ()))
    return Peak(peak, at, unknown)
