"""Rules that tell how TensorFlow operations work on tensors whose axes are in another order.

A rule gives the choices of an operation that has a permutation at one of its inputs or outputs; parameters are
attributes (see `parameters.py`). Operands of elementwise operations must have equal ranks or be single values.
Operations without a rule, such as convolutions and pooling, need the axes as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from ...model import Operation, Tensor
from ..layout import Choice, Port, Reordering
from ..layout.permutations import Perm, identity, permuted, with_axes, without_axes
from ..layout.reshape import group_order, groups, merged_order, with_singletons

Array = np.ndarray[Any, np.dtype[Any]]
Value = Callable[[Tensor], "Array | None"]
Rule = Callable[[Operation, Port, Perm, Choice, Value], Iterator[Choice]]
Weights = Callable[[Tensor, Value], "list[tuple[Tensor, int]] | None"]
Move = Callable[[Operation, Perm], "dict[str, Any] | None"]


# operations whose tensors all have the axes of the frame


def uniform(move: Move) -> Rule:
    """The rule for operations whose inputs and outputs have the same axes.

    move: the attributes that change with the frame, None if that is impossible.
    """

    def rule(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
        rank = max((tensor.rank or 0) for tensor in (*operation.inputs, *operation.outputs))
        frame = layout
        inputs = [_operand(tensor, frame) for tensor in operation.inputs]
        if len(frame) != rank or None in inputs or any(tensor.rank != rank for tensor in operation.outputs):
            return
        changes = move(operation, frame)
        if changes is None:
            return
        choice = Choice(
            tuple(item for item in inputs if item is not None),
            (frame,) * len(operation.outputs),
            {**operation.attribs, **changes},
        )
        if choice.at(port) == layout:
            yield choice

    return rule


def _operand(tensor: Tensor, frame: Perm) -> Perm | None:
    """The permutation of an operand; a single value of a lower rank fits anywhere. None if there is none."""
    if tensor.rank == len(frame):
        return frame
    return identity(tensor.rank or 0) if tensor.volume == 1 else None


def _nothing(operation: Operation, frame: Perm) -> dict[str, Any]:
    """Moves nothing: no attribute refers to axes."""
    return {}


def single(name: str) -> Move:
    """Moves an attribute that is an axis."""

    def move(operation: Operation, frame: Perm) -> dict[str, Any] | None:
        axis = operation.attribs.get(name)
        return {name: frame.index(axis % len(frame))} if isinstance(axis, int) else None

    return move


def _last_stays(operation: Operation, frame: Perm) -> dict[str, Any] | None:
    """Allows only frames in which the last axis, which has a meaning, stays."""
    return {} if frame[-1] == len(frame) - 1 else None


def _per_axis(name: str) -> Move:
    """Moves an attribute with an item for each axis."""

    def move(operation: Operation, frame: Perm) -> dict[str, Any] | None:
        items = operation.attribs.get(name)
        if not isinstance(items, list) or len(items) != len(frame):
            return None
        return {name: list(permuted(items, frame))}

    return move


def _slice(operation: Operation, frame: Perm) -> dict[str, Any] | None:
    """Moves begin, end and strides, with an item for each axis, and masks with a bit for each."""
    attribs = operation.attribs
    lists = {name: attribs.get(name) for name in ("begin", "end", "strides")}
    if any(attribs.get(name) for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")):
        return None
    result: dict[str, Any] = {}
    for name, items in lists.items():
        if not isinstance(items, list) or len(items) != len(frame):
            return None
        result[name] = list(permuted(items, frame))
    for name in ("begin_mask", "end_mask"):
        mask = attribs.get(name, 0)
        result[name] = sum((mask >> axis & 1) << position for position, axis in enumerate(frame))
    return result


def _begin_and_size(operation: Operation, frame: Perm) -> dict[str, Any] | None:
    begin, size = _per_axis("begin")(operation, frame), _per_axis("size")(operation, frame)
    return None if begin is None or size is None else {**begin, **size}


def _with_vectors(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for BiasAdd and FusedBatchNorm: further operands belong to the last axis, which stays."""
    fixed = operation.attribs.get("data_format", "NHWC").endswith("C") and layout[-1] == len(layout) - 1
    if fixed and port.position == 0 and len(operation.outputs) == 1:
        vectors = tuple(identity(tensor.rank or 0) for tensor in operation.inputs[1:])
        yield Choice((layout, *vectors), (layout,), operation.attribs)


# operations that add or remove axes: the frame is the permutation of the tensors with more axes


def _inserting(name: str) -> Rule:
    """The rule for ExpandDims and Pack: the outputs have one more axis."""

    def rule(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
        axis = operation.attribs.get(name)
        rank = operation.outputs[0].rank or 0
        if isinstance(axis, int):
            axis %= rank
            frame = layout if port.is_output else with_axes(layout, [axis])
            small = without_axes(frame, [axis])
            attribs = {**operation.attribs, name: frame.index(axis)}
            yield Choice((small,) * len(operation.inputs), (frame,), attribs)

    return rule


def _removing(name: str, *, keeps: bool = False) -> Rule:
    """The rule for Squeeze, Unpack, ArgMax and reductions: the outputs lack axes.

    keeps: does the attribute keep_dims keep them?
    """

    def rule(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
        given = operation.attribs.get(name)
        rank = operation.inputs[0].rank or 0
        axes = [given] if isinstance(given, int) else given
        if not isinstance(axes, list) or (not axes and name == "squeeze_dims"):
            return
        axes = [axis % rank for axis in axes]
        kept = keeps and bool(operation.attribs.get("keep_dims"))
        frame = with_axes(layout, axes) if port.is_output and not kept else layout
        moved = sorted(frame.index(axis) for axis in axes)
        small = frame if kept else without_axes(frame, axes)
        attribs = {**operation.attribs, name: moved[0] if isinstance(given, int) else moved}
        yield Choice((frame,), (small,) * len(operation.outputs), attribs)

    return rule


# matrices


def _matrices(left: str, right: str) -> Rule:
    """The rule for products: leading axes are in the same order everywhere; each matrix may be transposed by itself.

    The transpose of a product is the product of the transposes in reverse order.
    """

    def rule(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
        batch, last, rank = layout[:-2], layout[-2:], len(layout)
        straight = (rank - 2, rank - 1)
        if last not in (straight, straight[::-1]) or any(tensor.rank != rank for tensor in operation.inputs):
            return
        turned = [item[-2:] != straight for item in (*current.inputs, *current.outputs)]
        turned[2 if port.is_output else port.position] = last != straight
        perms = [(*batch, *(straight[::-1] if item else straight)) for item in turned]
        attribs = operation.attribs
        flags = (bool(attribs.get(left)) != turned[0], bool(attribs.get(right)) != turned[1])
        if turned[2]:
            flags = (not flags[1], not flags[0])
        yield Choice(
            (perms[0], perms[1]),
            (perms[2],),
            {**attribs, left: flags[0], right: flags[1]},
            order=(1, 0) if turned[2] else None,
        )

    return rule


# reshapes


def _reshape(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for Reshape; see `reshaping`."""
    yield from reshaping(operation, port, layout, value, _weights_behind)


def reshaping(operation: Operation, port: Port, layout: Perm, value: Value, behind: Weights) -> Iterator[Choice]:
    """Choices of a reshape: groups of axes that are split or merged can be in any order if each is kept together.

    Axes that are merged can also change their order if all users of the result are products with constant matrices,
    whose rows are then put in the same order. behind: these matrices, with their axis for the last one of a tensor.
    """
    source = tuple(extent or 0 for extent in operation.inputs[0].shape or ())
    target = tuple(extent or 0 for extent in operation.outputs[0].shape or ())
    if "shape" not in operation.attribs or not prod(source) or prod(source) != prod(target):
        return
    parts = groups(source, target)
    order = group_order(parts, layout, outputs=port.is_output)
    if order is None:
        if not port.is_output:
            yield from _reordered_merge(operation, layout, source, target, behind(operation.outputs[0], value))
        return
    axes = [axis for k in order for axis in (parts[k].inputs if port.is_output else parts[k].outputs)]
    other = with_singletons(axes, len(source if port.is_output else target))
    inner, outer = (other, layout) if port.is_output else (layout, other)
    yield Choice((inner,), (outer,), {**operation.attribs, "shape": list(permuted(target, outer))})


def _reordered_merge(
    operation: Operation,
    layout: Perm,
    source: tuple[int, ...],
    target: tuple[int, ...],
    weights: list[tuple[Tensor, int]] | None,
) -> Iterator[Choice]:
    """The choice in which the result keeps its axes, but items along the last one follow the order of the input."""
    merged = merged_order(groups(source, target), layout, len(target))
    if merged is None or weights is None:
        return
    axes, perm = merged
    extents = tuple(source[axis] for axis in axes)
    yield Choice(
        (layout,),
        (identity(len(target)),),
        {**operation.attribs, "shape": list(target)},
        reorderings=tuple(Reordering(constant, axis, extents, perm) for constant, axis in weights),
    )


def _weights_behind(tensor: Tensor, value: Value) -> list[tuple[Tensor, int]] | None:
    """The constant matrices that a tensor is multiplied by, with their axis for its last one; None for other uses."""
    graph = tensor.graph
    if graph is None or tensor in graph.outputs or not tensor.has_consumer:
        return None
    found = []
    for consumer in tensor.consumers:
        if consumer.type != "MatMul" or consumer.inputs[0] is not tensor or consumer.attribs.get("transpose_a"):
            return None
        weights = consumer.inputs[1]
        if weights.rank != 2 or value(weights) is None or weights.consumer is not consumer or weights in graph.outputs:
            return None
        found.append((weights, 1 if consumer.attribs.get("transpose_b") else 0))
    return found


_ELEMENTWISE = (
    "Abs", "Acos", "Acosh", "Add", "AddN", "AddV2", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "BitwiseAnd",
    "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "ClipByValue", "Cos", "Cosh", "Div", "DivNoNan", "Elu", "Equal", "Erf",
    "Erfc", "Exp", "Expm1", "FakeQuantWithMinMaxArgs", "Floor", "FloorDiv", "FloorMod", "Greater", "GreaterEqual",
    "Identity", "Invert", "LeakyRelu", "LeftShift", "Less", "LessEqual", "Log", "Log1p", "LogicalAnd", "LogicalNot",
    "LogicalOr", "Maximum", "Minimum", "Mod", "Mul", "Neg", "NotEqual", "OnesLike", "Pow", "RealDiv", "Reciprocal",
    "Relu", "Relu6", "RightShift", "Rint", "Round", "Rsqrt", "SelectV2", "Selu", "Sigmoid", "Sign", "Sin", "Sinh",
    "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "Sub", "Tan", "Tanh", "ZerosLike",
)  # fmt: skip
_REDUCING = ("All", "Any", "Max", "Mean", "Min", "Prod", "Sum")

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, uniform(_nothing)),
    **dict.fromkeys(_REDUCING, _removing("reduction_indices", keeps=True)),
    **dict.fromkeys(("ArgMax", "ArgMin"), _removing("dimension")),
    **dict.fromkeys(("ConcatV2", "Cumprod", "Cumsum"), uniform(single("axis"))),
    **dict.fromkeys(("Split", "SplitV"), uniform(single("split_dim"))),
    **dict.fromkeys(("Softmax", "LogSoftmax"), uniform(_last_stays)),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), uniform(_per_axis("paddings"))),
    **dict.fromkeys(("BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _with_vectors),
    "Tile": uniform(_per_axis("multiples")),
    "StridedSlice": uniform(_slice),
    "Slice": uniform(_begin_and_size),
    "ExpandDims": _inserting("dim"),
    "Pack": _inserting("axis"),
    "Squeeze": _removing("squeeze_dims"),
    "Unpack": _removing("axis"),
    "MatMul": _matrices("transpose_a", "transpose_b"),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), _matrices("adj_x", "adj_y")),
    "Reshape": _reshape,
}
