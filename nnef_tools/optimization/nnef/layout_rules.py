"""Rules that tell how NNEF operations work on tensors whose axes are in another order.

A rule gives the choices of an operation that has a permutation at one of its inputs or outputs. Most operations have
one permutation, here called their frame, from which those of all inputs and outputs follow, and the attributes.
Operations without a rule, such as convolutions, need the axes as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...model import Operation, Tensor
from ..layout import Choice, Port
from ..layout.permutations import Perm, identity, inverse, permuted, with_axes, without_axes
from .editor import Array, attributes
from .layout_reshape import reshape

Value = Callable[[Tensor], "Array | None"]
Rule = Callable[[Operation, Port, Perm, Choice, Value], Iterator[Choice]]
Move = Callable[[Operation, dict[str, Any], Perm], "dict[str, Any] | None"]


# operations whose tensors all have the axes of the frame


def _uniform(move: Move, *, broadcasts: bool = False) -> Rule:
    """The rule for operations whose inputs and outputs have the same axes.

    move: the attributes that change with the frame, None if that is impossible.
    """

    def rule(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
        rank = max((tensor.rank or 0) for tensor in (*operation.inputs, *operation.outputs))
        frame = layout + tuple(range(len(layout), rank))
        inputs = [_operand(tensor, frame, value) for tensor in operation.inputs]
        changes = move(operation, attributes(operation), frame)
        if changes is None or None in inputs or any(tensor.rank != rank for tensor in operation.outputs):
            return
        choice = Choice(
            tuple(item for item in inputs if item is not None),
            (frame,) * len(operation.outputs),
            {**operation.attribs, **changes},
            trims=broadcasts and any(value(tensor) is None and tensor.rank == rank for tensor in operation.inputs),
        )
        if choice.at(port) == layout:
            yield choice

    return rule


def _operand(tensor: Tensor, frame: Perm, value: Value) -> Perm | None:
    """The permutation of an operand, which may lack the last axes of the frame; None if there is none.

    A single value fits anywhere, and a constant can have any shape. Otherwise the axes that it has must stay in front,
    or those that are wider than 1 must stay where they are.
    """
    rank = tensor.rank or 0
    if tensor.volume == 1 and (rank < len(frame) or value(tensor) is not None):
        return identity(rank)
    if rank == len(frame) or value(tensor) is not None:
        return frame
    shape = tensor.shape or ()
    if all(frame[axis] == axis for axis in range(rank) if shape[axis] != 1):
        return identity(rank)
    return frame[:rank] if set(frame[:rank]) == set(range(rank)) else None


def _nothing(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any]:
    """Moves nothing: no attribute refers to axes."""
    return {}


def _axis(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any]:
    """Moves `axis`, which custom operations may count from the end."""
    return {"axis": frame.index(attribs["axis"] % len(frame))}


def _axes(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any]:
    """Moves `axes`, whose order does not matter."""
    return {"axes": sorted(frame.index(axis) for axis in attribs["axes"])}


def _ordered_axes(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any] | None:
    """Moves `axes` that an index runs through in ascending order."""
    shape = operation.inputs[0].shape or ()
    wide = [axis for axis in frame if axis in attribs["axes"] and shape[axis] != 1]
    return _axes(operation, attribs, frame) if wide == sorted(wide) else None


def _slice(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any]:
    """Moves `axes`, for each of which other attributes have an item."""
    places = inverse(frame)
    order = sorted(range(len(attribs["axes"])), key=lambda k: places[attribs["axes"][k]])
    changes = {key: [attribs[key][k] for k in order] for key in ("begin", "end", "stride") if attribs[key]}
    return {"axes": [places[attribs["axes"][k]] for k in order], **changes}


_PER_AXIS = ("size", "padding", "stride", "dilation", "output_shape", "repeats")


def _per_axis(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any] | None:
    """Moves attributes with an item for each axis."""
    given = {key: attribs[key] for key in _PER_AXIS if attribs.get(key)}
    if any(len(items) != len(frame) for items in given.values()):
        return None
    return {key: list(permuted(items, frame)) for key, items in given.items()}


def _indexed_window(operation: Operation, attribs: dict[str, Any], frame: Perm) -> dict[str, Any] | None:
    """Moves windows whose positions are numbered in row-major order."""
    wide = [axis for axis in frame if attribs["size"][axis] != 1]
    return _per_axis(operation, attribs, frame) if wide == sorted(wide) else None


# operations that add or remove an axis: the frame is the permutation of the tensors with more axes


def _inserting(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for unsqueeze and stack: the outputs have more axes."""
    axes = _own_axes(operation)
    frame = layout if port.is_output else with_axes(layout, axes)
    small = without_axes(frame, axes)
    inputs = tuple(_operand(tensor, small, value) or () for tensor in operation.inputs)
    yield Choice(inputs, (frame,) * len(operation.outputs), _moved_axes(operation, frame))


def _removing(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for squeeze and unstack: the input has more axes."""
    axes = _own_axes(operation)
    frame = with_axes(layout, axes) if port.is_output else layout
    small = without_axes(frame, axes)
    yield Choice((frame,), (small,) * len(operation.outputs), _moved_axes(operation, frame))


def _own_axes(operation: Operation) -> list[int]:
    attribs = attributes(operation)
    return [attribs["axis"]] if "axis" in attribs else list(attribs["axes"])


def _moved_axes(operation: Operation, frame: Perm) -> dict[str, Any]:
    attribs = attributes(operation)
    move = _axis if "axis" in attribs else _axes
    return {**operation.attribs, **move(operation, attribs, frame)}


def _gather(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for gather: the axes of the indices replace one axis of the input, as a block."""
    axis, added = attributes(operation)["axis"], operation.inputs[1].rank or 0
    frame: Perm | None = layout
    if port.is_output:
        frame = _gather_source(layout, axis, added)
    elif port.position == 1:
        frame = None  # if the indices stay as they are
    if frame is None:
        return
    result: list[int] = []
    for item in frame:
        block = range(axis, axis + added) if item == axis else [item if item < axis else item - 1 + added]
        result.extend(block)
    attribs = {**operation.attribs, "axis": frame.index(axis)}
    choice = Choice((frame, identity(added)), (tuple(result),), attribs)
    if choice.at(port) == layout:
        yield choice


def _gather_source(layout: Perm, axis: int, added: int) -> Perm | None:
    """The permutation of the input for that of the result; None if that does not keep the block together."""
    if added == 0:
        return with_axes(layout, [axis])
    start = layout.index(axis)
    if layout[start : start + added] != tuple(range(axis, axis + added)):
        return None
    rest = [item if item < axis else item + 1 - added for item in (*layout[:start], *layout[start + added :])]
    return (*rest[:start], axis, *rest[start:])


def _matmul(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for matmul: leading axes are in the same order everywhere; each matrix may be transposed by itself.

    The transpose of a product is the product of the transposes in reverse order.
    """
    batch, last = layout[:-2], layout[-2:]
    rank = len(layout)
    straight = (rank - 2, rank - 1)
    if last not in (straight, straight[::-1]):
        return
    old = [item[-2:] != straight for item in (*current.inputs, *current.outputs)]
    old[2 if port.is_output else port.position] = last != straight
    left, right, result = ((*batch, *(straight[::-1] if item else straight)) for item in old)
    attribs = attributes(operation)
    flags = (attribs["transposeA"] != old[0], attribs["transposeB"] != old[1])
    if old[2]:
        flags = (not flags[1], not flags[0])
    yield Choice(
        (left, right),
        (result,),
        {**operation.attribs, "transposeA": flags[0], "transposeB": flags[1]},
        order=(1, 0) if old[2] else None,
    )


_UNARY = (
    "copy", "neg", "rcp", "exp", "log", "abs", "sign", "floor", "ceil", "round", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "not", "sqr", "sqrt", "rsqr", "rsqrt", "log2", "relu",
    "sigmoid", "softplus", "elu", "selu", "gelu", "silu", "leaky_relu", "cast", "copy_n", "erf", "bitwise_not",
)  # fmt: skip
_BROADCASTING = (
    "add", "sub", "mul", "div", "pow", "lt", "gt", "le", "ge", "eq", "ne", "and", "or", "select", "min", "max", "clamp",
    "prelu", "fmod", "bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right",
    "min_max_linear_quantize", "zero_point_linear_quantize", "linear_quantize", "logarithmic_quantize",
)  # fmt: skip
_REDUCING = (
    "sum_reduce", "max_reduce", "min_reduce", "mean_reduce", "any_reduce", "all_reduce", "product_reduce", "moments",
    "softmax", "l1_normalization", "l2_normalization",
)  # fmt: skip
_WINDOWS = (
    "box", "debox", "max_pool", "avg_pool", "rms_pool", "local_response_normalization", "local_mean_normalization",
    "local_variance_normalization", "local_contrast_normalization", "pad", "tile",
)  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys((*_UNARY, "add_n"), _uniform(_nothing)),
    **dict.fromkeys(_BROADCASTING, _uniform(_nothing, broadcasts=True)),
    **dict.fromkeys(_REDUCING, _uniform(_axes)),
    **dict.fromkeys(("argmax_reduce", "argmin_reduce"), _uniform(_ordered_axes)),
    **dict.fromkeys(("concat", "split", "cum_sum", "cum_prod", "top_k"), _uniform(_axis)),
    **dict.fromkeys(("gather_elements", "scatter_elements"), _uniform(_axis)),
    **dict.fromkeys(_WINDOWS, _uniform(_per_axis)),
    **dict.fromkeys(("max_pool_with_index", "argmax_pool", "sample", "desample"), _uniform(_indexed_window)),
    "slice": _uniform(_slice),
    **dict.fromkeys(("unsqueeze", "stack"), _inserting),
    **dict.fromkeys(("squeeze", "unstack"), _removing),
    "gather": _gather,
    "matmul": _matmul,
    "reshape": reshape,
}
