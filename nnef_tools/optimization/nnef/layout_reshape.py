"""How a reshape works on tensors whose axes are in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from ...model import Operation, Tensor
from ..layout import Choice, Port, Reordering
from ..layout.permutations import Perm, identity
from .editor import Array, attributes

Value = Callable[[Tensor], "Array | None"]
Extents = Sequence[int]


class _Group(NamedTuple):
    """Axes of the input, and the axes of the output that hold the same items. Axes of extent 1 are in no group."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def reshape(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The choices of a reshape.

    A reshape splits and merges groups of axes. Groups can be put in any order if each is kept together, and axes of
    extent 1 can be anywhere. Axes that are merged can also change their order if all that uses the result are products
    with constant matrices, whose rows are then put in the same order.
    """
    old, new = operation.inputs[0].shape or (), operation.output.shape or ()
    source = tuple(extent or 0 for extent in old)
    target = tuple(extent or 0 for extent in new)
    if not prod(source) or prod(source) != prod(target):  # unknown, empty or malformed
        return
    groups = _groups(source, target)
    order = _group_order(groups, layout, outputs=port.is_output)
    if order is None:
        if not port.is_output:
            yield from _reordered_merge(operation, layout, groups, value)
        return
    axes = [axis for k in order for axis in (groups[k].inputs if port.is_output else groups[k].outputs)]
    other = _with_singletons(axes, len(source if port.is_output else target))
    inner, outer = (other, layout) if port.is_output else (layout, other)
    yield Choice((inner,), (outer,), _attribs(operation, source, target, inner, outer))


def _groups(source: Extents, target: Extents) -> list[_Group]:
    """The smallest groups, in order. A first axis of extent 1 on both sides counts: it may be a batch."""
    batch = source[:1] == target[:1] == (1,)
    left = [k for k, extent in enumerate(source) if extent != 1 or (batch and k == 0)]
    right = [k for k, extent in enumerate(target) if extent != 1 or (batch and k == 0)]
    groups = []
    i = j = 0
    while i < len(left):
        first, second = (i, j)
        volume, other = source[left[i]], target[right[j]]
        i, j = i + 1, j + 1
        while volume != other:
            if volume < other:
                volume, i = volume * source[left[i]], i + 1
            else:
                other, j = other * target[right[j]], j + 1
        groups.append(_Group(tuple(left[first:i]), tuple(right[second:j])))
    return groups


def _group_order(groups: list[_Group], layout: Perm, *, outputs: bool) -> list[int] | None:
    """The order of the groups in a permutation of inputs or outputs; None if that does not keep them together."""
    sides = [group.outputs if outputs else group.inputs for group in groups]
    start = {side[0]: k for k, side in enumerate(sides)}
    members = {axis for side in sides for axis in side}
    rest = [axis for axis in layout if axis in members]
    order = []
    while rest:
        k = start.get(rest[0])
        if k is None or tuple(rest[: len(sides[k])]) != sides[k]:
            return None
        order.append(k)
        del rest[: len(sides[k])]
    return order


def _with_singletons(axes: list[int], rank: int) -> Perm:
    """The axes in their order, and all others where they are."""
    members = set(axes)
    rest = iter(axes)
    return tuple(next(rest) if axis in members else axis for axis in range(rank))


def _attribs(operation: Operation, source: Extents, target: Extents, inner: Perm, outer: Perm) -> dict[str, Any]:
    """A shape for the permuted result: -1 and copied extents are kept as such where that is possible."""
    given = attributes(operation)
    start, count = given["axis_start"], given["axis_count"]
    end = len(source) if count == -1 else start + count
    items = list(given["shape"])
    copied = {axis: axis for axis in range(start)}  # output axis -> input axis
    copied |= {start + k: start + k for k, item in enumerate(items) if item == 0}
    copied |= {start + len(items) + k: end + k for k in range(len(source) - end)}
    inferred = [start + k for k, item in enumerate(items) if item == -1]
    shape = []
    for position, axis in enumerate(outer):
        if axis in inferred:
            shape.append(-1)
        elif position < len(inner) and copied.get(axis) == inner[position]:
            shape.append(0)
        else:
            shape.append(target[axis])
    return {**operation.attribs, "shape": shape, "axis_start": 0, "axis_count": -1}


def _reordered_merge(operation: Operation, layout: Perm, groups: list[_Group], value: Value) -> Iterator[Choice]:
    """The result keeps its axes, but the items along the last one are in the order in which the input has its axes."""
    source, result = operation.inputs[0], operation.output
    if not groups or groups[-1].outputs != ((result.rank or 0) - 1,):
        return
    merged = groups[-1].inputs
    rest = [axis for axis in layout if any(axis in group.inputs for group in groups[:-1])]
    members = [axis for axis in layout if axis in merged]
    wide = [axis for axis in layout if any(axis in group.inputs for group in groups)]
    if rest != sorted(rest) or wide != rest + members:
        return
    weights = _weights_behind(result, value)
    if weights is None:
        return
    shape = source.shape or ()
    extents = tuple(shape[axis] or 0 for axis in merged)
    perm = tuple(merged.index(axis) for axis in members)
    target = tuple(extent or 0 for extent in result.shape or ())
    extents_in = tuple(extent or 0 for extent in shape)
    outer = identity(len(target))
    yield Choice(
        (layout,),
        (outer,),
        _attribs(operation, extents_in, target, layout, outer),
        reorderings=tuple(Reordering(constant, axis, extents, perm) for constant, axis in weights),
    )


def _weights_behind(tensor: Tensor, value: Value) -> list[tuple[Tensor, int]] | None:
    """The constant matrices that a tensor is multiplied by, with the axis for its last one; None if used otherwise."""
    graph = tensor.graph
    if graph is None or any(output is tensor for output in graph.outputs) or not tensor.has_consumer:
        return None
    found = []
    for consumer in tensor.consumers:
        if consumer.type not in ("matmul", "linear") or consumer.inputs[0] is not tensor:
            return None
        weights = consumer.inputs[1]
        if weights.rank != 2 or value(weights) is None or weights.consumer is not consumer:
            return None
        if any(output is weights for output in graph.outputs):
            return None
        if consumer.type == "linear":
            found.append((weights, 1))
        elif attributes(consumer)["transposeA"]:
            return None
        else:
            found.append((weights, 1 if attributes(consumer)["transposeB"] else 0))
    return found
