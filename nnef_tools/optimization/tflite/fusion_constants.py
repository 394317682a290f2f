"""Fusion of constants: arithmetic on them alone, terms and factors without effect, and those before weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.utils import replace_tensor_in_consumers

Array = np.ndarray[Any, Any]

FUSED = "fused_activation_function"

_ARITHMETIC: Mapping[str, Callable[..., Array]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "NEG": np.negative,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: np.float32(1) / np.sqrt(x),
}
_NEUTRAL = {"ADD": 0.0, "SUB": 0.0, "MUL": 1.0, "DIV": 1.0}

FOLDING = frozenset(_ARITHMETIC)
"""The operators that `fold` computes."""


def constant(tensor: Tensor | None) -> Array | None:
    """The real numbers of a constant; None for other tensors, and for codes."""
    if tensor is None or tensor.data is None or tensor.has_producer or tensor.quant or tensor.dtype is not np.float32:
        return None
    return np.asarray(tensor.data)


def fold(graph: Graph, op: Operation) -> bool:
    """Computes what has constants as operands and is not larger than these."""
    operands = [constant(tensor) for tensor in op.inputs]
    known = [item for item in operands if item is not None]
    result = op.output
    if len(known) < len(operands) or result in graph.outputs or result.quant or op.attribs.get(FUSED, "NONE") != "NONE":
        return False
    if result.volume is None or result.volume > max(item.size for item in known):
        return False
    with np.errstate(all="ignore"):
        data = _ARITHMETIC[str(op.type)](*known).astype(np.float32)
    graph.remove_operation(op, unlink=True)
    result.data = data
    return True


def fold_reshape(graph: Graph, op: Operation) -> bool:
    """A constant in another shape."""
    values, result = constant(op.inputs[0]), op.output
    if values is None or result in graph.outputs or result.quant or result.shape is None or None in result.shape:
        return False
    graph.remove_operation(op, unlink=True)
    result.data = values.reshape([extent or 0 for extent in result.shape])
    return True


def drop_neutral(graph: Graph, op: Operation) -> bool:
    """Removes the addition of 0 and the multiplication by 1."""
    for x, other in (op.inputs, op.inputs[::-1])[: 2 if op.type in ("ADD", "MUL") else 1]:
        values = constant(other)
        is_neutral = values is not None and bool(np.all(values == _NEUTRAL[str(op.type)]))
        if is_neutral and x.data is None and op.attribs.get(FUSED, "NONE") == "NONE" and x.dtype is np.float32:
            return bypass(graph, op, x)
    return False


def bypass(graph: Graph, op: Operation, x: Tensor) -> bool:
    """Removes an operation that gives its input x, if that is possible. One of the two tensors is left."""
    y, before = op.output, x.producer
    if x.shape != y.shape or x.data is not None or x.quant or y.quant:
        return False
    if before is None or x in graph.inputs or x in graph.outputs:
        if y in graph.outputs:
            return False
        graph.remove_operation(op, unlink=True)
        replace_tensor_in_consumers(graph, y, x)
        graph.remove_tensor(y)
        return True
    graph.remove_operation(op, unlink=True)
    replace_tensor_in_consumers(graph, x, y)
    before.outputs = tuple(y if t is x else t for t in before.outputs)
    graph.remove_tensor(x)
    return True


_INPUT_AXES = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 1}
"""Operator with weights -> their axis for the channels of its input."""


def fuse_before(graph: Graph, op: Operation) -> bool:
    """MUL by a constant for each channel before weights is a factor of these, ADD and SUB a part of the bias.

    Not a term before a convolution that pads: zeros are added to what it gives.
    """
    before, type = op.inputs[0].producer, str(op.type)
    if before is None or before.custom or before.type not in ("ADD", "SUB", "MUL") or len(op.inputs[0].consumers) != 1:
        return False
    x, other = before.inputs
    if x.data is not None and before.type != "SUB":
        x, other = other, x
    values, weights, given = constant(other), constant(op.inputs[1]), op.inputs[1]
    if values is None or weights is None or x.data is not None or len(given.consumers) != 1 or given in graph.outputs:
        return False
    moved = op.inputs[0]
    if before.attribs.get(FUSED, "NONE") != "NONE" or moved in graph.outputs or moved.quant or x.shape != moved.shape:
        return False
    channels = (x.shape or (None,))[-1]
    is_spread = values.size == 1 or (values.size == channels and values.shape[-1] == channels)
    if channels is None or not is_spread or weights.shape[_INPUT_AXES[type]] % channels:
        return False
    factors = np.broadcast_to(values.reshape(-1).astype(np.float64), (channels,))
    repeats = weights.shape[_INPUT_AXES[type]] // channels
    if repeats > 1 and type != "DEPTHWISE_CONV_2D":
        return False
    products = weights * np.repeat(factors, repeats)
    if before.type == "MUL":
        given.data = products.astype(np.float32)
    elif not _add_to_bias(graph, op, products if before.type == "ADD" else -products):
        return False
    op.inputs = (x, *op.inputs[1:])
    graph.remove_operation(before, unlink=True)
    graph.remove_tensor(moved)
    return True


def _add_to_bias(graph: Graph, op: Operation, products: Array) -> bool:
    """Adds the sums of the products over all axes but that of the channels of the result."""
    if op.type == "DEPTHWISE_CONV_2D" or (op.type == "CONV_2D" and op.attribs.get("padding") != "VALID"):
        return False
    given = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2].name != "" else None
    bias = constant(given)
    if given is not None and bias is None:
        return False
    total = products.reshape(len(products), -1).sum(axis=1) + (0.0 if bias is None else bias)
    data = total.astype(np.float32)
    name = None if given is None else given.name
    op.inputs = (*op.inputs[:2], Tensor(graph, name, data.shape, np.float32, data))
    if given is not None and not given.has_consumer and given not in graph.outputs:
        graph.remove_tensor(given)
    return True
