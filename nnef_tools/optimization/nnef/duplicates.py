"""Operations that compute the same, and concatenations of concatenations."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.widths import is_literal
from ...ops.registry import find
from .editor import Editor, attributes

_NEVER_SHARED = ("external", "variable", "constant", "update", "copy")


def share_operations(graph: Graph) -> int:
    """Replaces op(x, ..) -> y, op(x, ..) -> z with equal attributes by the first of them; z is y then.

    Operations that are not known here stay, as they may have an effect or a state, and so does what computes a graph
    output, or has a quantization of its own.
    """
    editor = Editor(graph)
    known: dict[Hashable, list[Operation]] = {}
    count = 0
    for operation in list(graph.operations):
        if operation.type in _NEVER_SHARED or operation.custom or find(operation.type) is None:
            continue
        alike = known.setdefault((operation.type, tuple(map(_operand, operation.inputs))), [])
        same = next((other for other in alike if _are_equal(operation, other)), None)
        if same is None or any(t.quant or t in editor.outputs for t in (*operation.outputs, *same.outputs)):
            alike.append(operation)
        else:
            count += editor.forward(operation, list(same.outputs))
    return editor.finish(count)


def _operand(tensor: Tensor) -> Hashable:
    """Equal for the same tensor, and for literals of the same value."""
    return (tensor.dtype, np.asarray(tensor.data).tobytes()) if is_literal(tensor) else tensor


def _are_equal(one: Operation, other: Operation) -> bool:
    """Do two operations on the same operands have the same attributes, and results of the same types?"""
    if isinstance(one.inputs, tuple) != isinstance(other.inputs, tuple):
        return False
    results = [[(tensor.dtype, tensor.shape) for tensor in operation.outputs] for operation in (one, other)]
    return results[0] == results[1] and attributes(one) == attributes(other)


def merge_concats(graph: Graph) -> int:
    """Replaces concat([a, concat([b, c])]) along one axis by concat([a, b, c]), if nothing else uses the inner one."""
    editor = Editor(graph)
    count = 0
    for operation in list(graph.operations):
        if operation.type != "concat":
            continue
        parts: list[Tensor] = []
        for tensor in operation.inputs:
            inner = tensor.producer
            is_part = inner is not None and inner.type == "concat" and editor.is_private(tensor)
            if inner is not None and is_part and inner.attribs["axis"] == operation.attribs["axis"]:
                parts.extend(inner.inputs)
                count += 1
            else:
                parts.append(tensor)
        if len(parts) > len(operation.inputs):
            merged = dict.fromkeys(tensor.producer for tensor in operation.inputs if tensor not in parts)
            operation.inputs = parts
            for inner in filter(None, merged):
                editor.remove(inner)
    return editor.finish(count)
