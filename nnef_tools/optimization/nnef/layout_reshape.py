"""The layout rule of NNEF's reshape: how it works on tensors whose axes are in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from ...model import Operation, Tensor
from ..layout import Choice, Port, Reordering
from ..layout.permutations import Perm, identity
from ..layout.reshape import Extents, Group, group_order, groups, merged_order, with_singletons
from .editor import Array, attributes

Value = Callable[[Tensor], "Array | None"]


def reshape(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The choices of a reshape.

    A reshape splits and merges groups of axes. Groups can be put in any order if each is kept together, and axes of
    extent 1 can be anywhere. Axes that are merged can also change their order if all users of the result are products
    with constant matrices, whose rows are then put in the same order.
    """
    old, new = operation.inputs[0].shape or (), operation.output.shape or ()
    source = tuple(extent or 0 for extent in old)
    target = tuple(extent or 0 for extent in new)
    if not prod(source) or prod(source) != prod(target):  # unknown, empty or malformed
        return
    parts = groups(source, target)
    order = group_order(parts, layout, outputs=port.is_output)
    if order is None:
        if not port.is_output:
            yield from _reordered_merge(operation, layout, parts, value)
        return
    axes = [axis for k in order for axis in (parts[k].inputs if port.is_output else parts[k].outputs)]
    other = with_singletons(axes, len(source if port.is_output else target))
    inner, outer = (other, layout) if port.is_output else (layout, other)
    yield Choice((inner,), (outer,), _attribs(operation, source, target, inner, outer))


def _attribs(operation: Operation, source: Extents, target: Extents, inner: Perm, outer: Perm) -> dict[str, Any]:
    """The attributes for the permuted result: -1 and copied extents are kept where possible."""
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


def _reordered_merge(operation: Operation, layout: Perm, parts: Sequence[Group], value: Value) -> Iterator[Choice]:
    """The choice in which the result keeps its axes, but items along the last one follow the order of the input."""
    source, result = operation.inputs[0], operation.output
    merged = merged_order(parts, layout, result.rank or 0)
    weights = None if merged is None else _weights_behind(result, value)
    if merged is None or weights is None:
        return
    axes, perm = merged
    shape = tuple(extent or 0 for extent in source.shape or ())
    target = tuple(extent or 0 for extent in result.shape or ())
    outer = identity(len(target))
    extents = tuple(shape[axis] for axis in axes)
    yield Choice(
        (layout,),
        (outer,),
        _attribs(operation, shape, target, layout, outer),
        reorderings=tuple(Reordering(constant, axis, extents, perm) for constant, axis in weights),
    )


def _weights_behind(tensor: Tensor, value: Value) -> list[tuple[Tensor, int]] | None:
    """The constant matrices that a tensor is multiplied by, with their axis for its last one; None for other uses."""
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
