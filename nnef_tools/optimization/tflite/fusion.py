"""Fusion of operators, as far as TensorFlow Lite's own converter does it too: into as few builtins as compute the same.

Biases and factors of channels go into convolutions and FULLY_CONNECTED, activations into the operator before, reshapes
into what comes before or after. Nothing that is quantized, that a graph output shows or that has another use is fused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.state import effects
from ...model.utils import remove_unreachable
from ..passes import Pass
from .fusion_constants import FOLDING, FUSED, bypass, drop_neutral, fold, fold_reshape, fuse_before
from .fusion_sequences import SEQUENCES, fuse_directions, fuse_order, fuse_results
from .patterns import recognize


class _Weighted(NamedTuple):
    """The positions of weights and bias among the inputs, and the axis of the weights for the channels."""

    weights: int
    bias: int
    axis: int


_WEIGHTED = {
    "CONV_2D": _Weighted(1, 2, 0),
    "CONV_3D": _Weighted(1, 2, 4),
    "DEPTHWISE_CONV_2D": _Weighted(1, 2, 3),
    "FULLY_CONNECTED": _Weighted(1, 2, 0),
    "TRANSPOSE_CONV": _Weighted(1, 3, 0),
}
_ACTIVATED = frozenset((*_WEIGHTED, "ADD", "SUB", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D"))
"""The operators that apply an activation in all their kernels."""
_ACTIVATIONS = {"RELU": "RELU", "RELU6": "RELU6", "RELU_N1_TO_1": "RELU_N1_TO_1"}
_REDUCERS = frozenset(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"))
_TAKES_INT32 = {"GATHER": 1, "GATHER_ND": 1}
"""Operators that accept int32 as well as int64 at that position."""


def fuse(graph: Graph) -> int:
    """Fuses until nothing more can be fused. Returns the number of rewrites."""
    count = recognize(graph)
    modified = True
    while modified:
        modified = False
        remove_unreachable(graph, keep=effects(graph))  # what is not needed would count as another use
        for op in list(graph.operations):
            rule = _RULES.get(op.type or "")
            if rule is not None and not op.custom and op.graph is graph and rule(graph, op):
                modified = True
                count += 1
    return count


FUSION = Pass("fuse-operators", fuse)


def source_of(graph: Graph, tensor: Tensor) -> Operation | None:
    """The operation that computes a tensor which nothing but one operation uses; None if there is more to it."""
    op = tensor.producer
    is_shown = tensor in graph.outputs or tensor.quant or len(tensor.consumers) != 1
    return None if op is None or op.custom or is_shown or len(op.outputs) != 1 else op


def absorb(graph: Graph, op: Operation, later: Operation) -> None:
    """Makes an operation give the result of a later one, which is removed with what was between."""
    between, result = op.output, later.output
    graph.remove_operation(later, unlink=True)
    op.outputs = (result,)
    if not between.has_consumer:
        graph.remove_tensor(between)


# activations


def _fuse_activation(graph: Graph, op: Operation) -> bool:
    before, last = _behind_reshape(graph, op.input)
    if before is None or last is None or before.type not in _ACTIVATED:
        return False
    if op.output.quant or op.output.dtype is not np.float32:
        return False
    if before.attribs.get(FUSED, "NONE") != "NONE":
        return False
    before.attribs = {**before.attribs, FUSED: _ACTIVATIONS[op.type or ""]}
    absorb(graph, last, op)
    return True


def _behind_reshape(graph: Graph, tensor: Tensor) -> tuple[Operation | None, Operation | None]:
    """The operation that computes the items of a tensor, and the reshape or crop that they go through, or itself."""
    last = source_of(graph, tensor)
    moves = last is not None and (last.type == "RESHAPE" or _is_crop(last))
    return (source_of(graph, last.inputs[0]) if last is not None and moves else last), last


def _is_crop(op: Operation) -> bool:
    """Does the operation leave out items, but none along the last axis?"""
    if op.type != "STRIDED_SLICE" or op.attribs.get("shrink_axis_mask") or op.attribs.get("new_axis_mask"):
        return False
    steps, x, y = op.inputs[3].data, op.inputs[0].shape, op.output.shape
    return steps is not None and bool(np.asarray(steps)[-1] == 1) and x is not None and x[-1:] == (y or ())[-1:]


# biases and factors


def _fuse_term(graph: Graph, op: Operation) -> bool:
    """ADD and SUB of a constant for each channel become the bias."""
    found = _by_channel(graph, op)
    if found is None:
        return False
    before, last, values, name = found
    if op.type == "SUB":
        values = -values
    place = _WEIGHTED[before.type or ""]
    bias = _constant(before, place.bias)
    if len(before.inputs) > place.bias and bias is None:
        return False
    total = values if bias is None else (bias.astype(np.float64) + values).astype(np.float32)
    _set_bias(graph, before, total, name)
    _finish(graph, before, last, op)
    return True


def _fuse_factor(graph: Graph, op: Operation) -> bool:
    """MUL by a constant for each channel becomes a factor of weights and bias."""
    found = _by_channel(graph, op)
    if found is None:
        return False
    before, last, values, _ = found
    place = _WEIGHTED[before.type or ""]
    weights, bias = _constant(before, place.weights), _constant(before, place.bias)
    given = before.inputs[place.weights]
    if weights is None or len(given.consumers) != 1 or given in graph.outputs:
        return False
    if len(before.inputs) > place.bias and bias is None:
        return False
    shape = [-1 if k == place.axis else 1 for k in range(weights.ndim)]
    given.data = weights * values.reshape(shape)
    if bias is not None:
        _set_bias(graph, before, bias * values, before.inputs[place.bias].name)
    _finish(graph, before, last, op)
    return True


def _finish(graph: Graph, before: Operation, last: Operation, op: Operation) -> None:
    before.attribs = {**before.attribs, FUSED: op.attribs.get(FUSED, "NONE")}
    absorb(graph, last, op)


def _by_channel(graph: Graph, op: Operation) -> tuple[Operation, Operation, Any, str | None] | None:
    """The weighted operation whose channels op changes, the last one before op, and the constant with its name."""
    x, other = op.inputs
    if x.data is not None and op.type != "SUB":
        x, other = other, x
    before, last = _behind_reshape(graph, x)
    if before is None or last is None or before.type not in _WEIGHTED or before.attribs.get(FUSED, "NONE") != "NONE":
        return None
    if other.data is None or other.has_producer or other.quant or op.output.quant or other.dtype is not np.float32:
        return None
    channels = (before.output.shape or (None,))[-1]
    weights = before.inputs[_WEIGHTED[before.type].weights]
    if channels is None or x.shape != op.output.shape or x.dtype is not np.float32 or weights.quant:
        return None
    values = np.asarray(other.data)
    while values.ndim and values.shape[0] == 1:
        values = values[0]
    if values.size != 1 and (values.size != channels or values.shape != (x.shape or ())[-values.ndim :]):
        return None
    return before, last, np.broadcast_to(values.reshape(-1), (channels,)), other.name


def _constant(op: Operation, position: int) -> Any:
    tensor = op.inputs[position] if position < len(op.inputs) else None
    is_plain = tensor is not None and tensor.data is not None and not tensor.has_producer and not tensor.quant
    return np.asarray(tensor.data) if tensor is not None and is_plain and tensor.dtype is np.float32 else None


def _set_bias(graph: Graph, op: Operation, values: Any, name: str | None) -> None:
    data = np.ascontiguousarray(values, np.float32)
    position = _WEIGHTED[op.type or ""].bias
    bias = Tensor(graph, name, data.shape, np.float32, data)
    old = op.inputs[position:]
    op.inputs = (*op.inputs[:position], bias)
    graph.remove_tensors(t for t in old if not t.has_consumer and t not in graph.outputs)


# padding


def _fuse_padding(graph: Graph, op: Operation) -> bool:
    """A convolution of what is padded by the zeros that SAME pads is one with that padding."""
    pad = source_of(graph, op.inputs[0])
    if pad is None or pad.type != "PAD" or op.attribs.get("padding") != "VALID" or pad.inputs[1].data is None:
        return False
    x, filter = pad.inputs[0], op.inputs[1]
    if x.quant or x.shape is None or filter.shape is None or None in x.shape[1:3] or None in filter.shape[1:3]:
        return False
    wanted = [(0, 0)]
    for axis, letter in ((1, "h"), (2, "w")):
        extent, size, step = x.shape[axis] or 0, filter.shape[axis] or 0, op.attribs[f"stride_{letter}"]
        span = (size - 1) * op.attribs.get(f"dilation_{letter}_factor", 1) + 1
        total = max((-(-extent // step) - 1) * step + span - extent, 0)
        wanted.append((total // 2, total - total // 2))
    if np.asarray(pad.inputs[1].data).tolist() != [list(pair) for pair in (*wanted, (0, 0))]:
        return False
    op.inputs = (x, *op.inputs[1:])
    op.attribs = {**op.attribs, "padding": "SAME"}
    return True


# reshapes


def _fuse_reshape(graph: Graph, op: Operation) -> bool:
    return any(rule(graph, op) for rule in (fold_reshape, _drop_reshape, _merge_reshapes, _fuse_into, _move_blocks))


def _drop_reshape(graph: Graph, op: Operation) -> bool:
    """A reshape to the same shape is not needed."""
    return bypass(graph, op, op.inputs[0])


def _merge_reshapes(graph: Graph, op: Operation) -> bool:
    """Of two reshapes in a row only the last one counts."""
    before = source_of(graph, op.inputs[0])
    if before is None or before.type != "RESHAPE" or len(op.inputs) < 2:
        return False
    x = op.inputs[0]
    op.inputs = (before.inputs[0], *op.inputs[1:])
    graph.remove_operation(before, unlink=True)
    graph.remove_tensor(x)
    return True


def _fuse_into(graph: Graph, op: Operation) -> bool:
    """A reshape that a reduction or FULLY_CONNECTED can make unnecessary."""
    before = source_of(graph, op.inputs[0])
    if before is None or op.output.quant:
        return False
    own, wanted = before.inputs[0].shape, op.output.shape
    if before.type in _REDUCERS and before.attribs.get("keep_dims") and own is not None:
        axes = before.inputs[1].data
        if axes is None:
            return False
        gone = {int(axis) % len(own) for axis in np.asarray(axes).reshape(-1)}
        if wanted != tuple(n for k, n in enumerate(own) if k not in gone):
            return False
        before.attribs = {**before.attribs, "keep_dims": False}
    elif before.type in _REDUCERS and own is not None:
        axes = before.inputs[1].data
        if axes is None:
            return False
        kept = {int(axis) % len(own) for axis in np.asarray(axes).reshape(-1)}
        if wanted != tuple(1 if k in kept else n for k, n in enumerate(own)):
            return False
        before.attribs = {**before.attribs, "keep_dims": True}
    elif before.type != "FULLY_CONNECTED" or not _keep_dimensions(graph, before, wanted or ()):
        return False
    absorb(graph, before, op)
    return True


def _keep_dimensions(graph: Graph, op: Operation, wanted: tuple[int | None, ...]) -> bool:
    """Lets FULLY_CONNECTED give a result of that shape, if its input comes from a reshape."""
    first = op.inputs[0].producer
    units, depth = op.inputs[1].shape or (None, None)
    if first is None or first.type != "RESHAPE" or wanted[-1:] != (units,):
        return False
    origin, extents = first.inputs[0], (*wanted[:-1], depth)
    if origin.shape == extents and not origin.quant:
        op.inputs = (origin, *op.inputs[1:])
    elif source_of(graph, op.inputs[0]) is first and None not in extents:
        first.inputs = (origin, Tensor(graph, shape=(len(extents),), dtype=np.int32, data=np.array(extents, np.int32)))
        first.attribs, first.output.shape = {}, extents
    else:
        return False
    op.attribs = {**op.attribs, "keep_num_dims": len(extents) != 2}
    return True


def _fuse_flattening(graph: Graph, op: Operation) -> bool:
    """FULLY_CONNECTED makes a matrix of its input itself."""
    first = source_of(graph, op.inputs[0])
    if first is None or first.type != "RESHAPE" or op.attribs.get("keep_num_dims") or first.inputs[0].quant:
        return False
    x, matrix, weights = (tensor.shape or () for tensor in (first.inputs[0], first.output, op.inputs[1]))
    if (x[:1], set(x[1:-1]), x[-1:]) != (matrix[:1], {1}, weights[-1:]):
        return False
    if any(other.type == "RESHAPE" for other in op.output.consumers):  # which may keep the dimensions
        return False
    op.inputs = (first.inputs[0], *op.inputs[1:])
    return True


def _move_blocks(graph: Graph, op: Operation) -> bool:
    """The moves of blocks by a transpose between two reshapes are DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    transpose = source_of(graph, op.inputs[0])
    first = source_of(graph, transpose.inputs[0]) if transpose is not None and transpose.type == "TRANSPOSE" else None
    if transpose is None or first is None or first.type != "RESHAPE" or transpose.inputs[1].data is None:
        return False
    x, grid, result = first.inputs[0], first.output.shape or (), op.output.shape
    if tuple(np.asarray(transpose.inputs[1].data).tolist()) != (0, 1, 3, 2, 4, 5) or None in grid or x.quant:
        return False
    n, h, p, q, r, c = (extent or 0 for extent in grid)
    if p == r and x.shape == (n, h * p, q * p, c) and result == (n, h, q, p * p * c):
        type, size = "SPACE_TO_DEPTH", p
    elif q == r and x.shape == (n, h, p, q * q * c) and result == (n, h * q, p * q, c):
        type, size = "DEPTH_TO_SPACE", q
    else:
        return False
    between = (first.output, transpose.output)
    op.type, op.inputs, op.attribs = type, (x,), {"block_size": size}
    graph.remove_operations([first, transpose], unlink=True)
    graph.remove_tensors(between)
    return True


def _fuse_difference(graph: Graph, op: Operation) -> bool:
    """The square of a difference is SQUARED_DIFFERENCE."""
    before = source_of(graph, op.input)
    if before is None or before.type != "SUB" or before.attribs.get(FUSED, "NONE") != "NONE":
        return False
    before.type, before.attribs = "SQUARED_DIFFERENCE", {}
    absorb(graph, before, op)
    return True


# item types


def _narrow_indices(graph: Graph, op: Operation) -> bool:
    """Indices need not become int64 where int32 will do."""
    position = _TAKES_INT32[op.type or ""]
    cast = op.inputs[position].producer
    if cast is None or cast.type != "CAST" or cast.inputs[0].dtype is not np.int32:
        return False
    if op.inputs[position].dtype is not np.int64:
        return False
    op.inputs = tuple(cast.inputs[0] if k == position else t for k, t in enumerate(op.inputs))
    return True


def _fuse_cast(graph: Graph, op: Operation) -> bool:
    """ARG_MAX and ARG_MIN give int32 themselves."""
    before = source_of(graph, op.inputs[0])
    if before is None or before.type not in ("ARG_MAX", "ARG_MIN") or op.output.dtype is not np.int32:
        return False
    before.attribs = {**before.attribs, "output_type": np.int32}
    absorb(graph, before, op)
    return True


_Rule = Callable[[Graph, Operation], bool]


def _first(*rules: _Rule) -> _Rule:
    """The first of the rules that changes something."""
    return lambda graph, op: any(rule(graph, op) for rule in rules)


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(FOLDING, fold),
    **dict.fromkeys(_ACTIVATIONS, _fuse_activation),
    **dict.fromkeys(_TAKES_INT32, _narrow_indices),
    "CONV_2D": _first(_fuse_padding, fuse_before),
    "DEPTHWISE_CONV_2D": _first(_fuse_padding, fuse_before),
    "FULLY_CONNECTED": _first(fuse_before, _fuse_flattening),
    "ADD": _first(fold, drop_neutral, _fuse_term),
    "SUB": _first(fold, drop_neutral, _fuse_term),
    "MUL": _first(fold, drop_neutral, _fuse_factor),
    "DIV": _first(fold, drop_neutral),
    "RESHAPE": _fuse_reshape,
    "CAST": _fuse_cast,
    "SQUARE": _fuse_difference,
    "CONCATENATION": fuse_results,
    "REVERSE_V2": fuse_directions,
    **dict.fromkeys(SEQUENCES, fuse_order),
}
