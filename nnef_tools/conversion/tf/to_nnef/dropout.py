"""Dropout that keeps everything, whatever its random numbers are: with a rate of 0, the default of an input, say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....model import Graph, Operation, Tensor
from ....model.dtypes import is_float

_UNIFORM = ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")
_LAST = 1 - 2.0**-24
"""Uniform random numbers are below 1, and one more than they are is below 2, since they are spaced as from 1 to 2."""

_MASKED = {"SelectV2": 1, "Select": 1, "Mul": 2}
"""How many of the first operands may be the mask."""

_Range = tuple[float, float]


@dataclass
class Idle:
    """forwarded: operations that pass on an input -> which one. needless: operations that nothing else needs.

    masks: operation -> the extents of the mask, to which the other operand must not be broadcast.
    """

    forwarded: dict[Operation, int] = field(default_factory=dict)
    masks: dict[Operation, Sequence[int]] = field(default_factory=dict)
    needless: set[Operation] = field(default_factory=set)


def find_idle(graph: Graph) -> Idle:
    """The dropouts of a graph that pass on what they are given.

    `where(u >= rate, x / keep, 0)` and `x / keep * floor(keep + u)`, u from 0 to 1, for a rate of 0 and keep = 1.
    """
    idle = Idle()
    if not any(op.type in _UNIFORM for op in graph.operations):
        return idle
    ranges: dict[Tensor, _Range | None] = {}
    for op in graph.operations:
        for output in op.outputs:
            ranges[output] = _range(op, ranges)
        for mask, own in [(0, 1), (1, 0)][: _MASKED.get(str(op.type), 0)]:
            drawn = _drawn(op.inputs[mask]) if ranges.get(op.inputs[mask]) == (1, 1) else None
            if drawn is not None and op not in idle.forwarded:
                idle.forwarded[op] = own
                extents = drawn.inputs[0].data
                idle.masks[op] = [] if extents is None else [int(n) for n in np.ravel(np.asarray(extents))]
    for op in list(idle.forwarded):
        scaled = op.inputs[idle.forwarded[op]].producer
        if scaled is not None and _is_scaled_by_one(scaled, ranges):
            idle.forwarded[scaled] = 0
    _find_needless(graph, idle)
    return idle


def fits(mask: Sequence[int], own: Sequence[int]) -> bool:
    """Does a mask of these extents leave the shape of what it is multiplied with?"""
    return len(mask) <= len(own) and all(n in (1, m) for n, m in zip(mask[::-1], own[::-1], strict=False))


def _is_scaled_by_one(op: Operation, ranges: dict[Tensor, _Range | None]) -> bool:
    return op.type in ("RealDiv", "Mul") and op.inputs[1].rank in (0, None) and ranges.get(op.inputs[1]) == (1, 1)


def _drawn(mask: Tensor) -> Operation | None:
    """The operation whose random numbers the mask is made of, if it is one.

    What is before it tells the shape of the mask, and may have dropouts of its own.
    """
    drawn = [op for op in _ancestors([mask], _UNIFORM) if op.type in _UNIFORM]
    return drawn[0] if len(drawn) == 1 else None


def _range(op: Operation, ranges: dict[Tensor, _Range | None]) -> _Range | None:
    """The least and the greatest item of the result, None if they are not known."""
    if op.type == "Const":
        return _range_of_constant(op.output)
    if op.type in _UNIFORM:
        return 0.0, _LAST
    given = [ranges.get(t, _range_of_constant(t)) for t in op.inputs]
    known = [pair for pair in given if pair is not None]
    if not known or len(known) < len(given):
        return None
    if op.type == "Identity" or (op.type == "Cast" and is_float(op.output.dtype)):
        return known[0]
    if op.type == "Floor":
        return math.floor(known[0][0]), math.floor(known[0][1])
    if len(known) != 2:
        return None
    (a, b), (c, d) = known
    if op.type in ("Add", "AddV2"):
        return a + c, b + d
    if op.type == "Sub":
        return a - d, b - c
    if op.type == "Mul":
        products = (a * c, a * d, b * c, b * d)
        return min(products), max(products)
    if op.type == "GreaterEqual":
        return float(a >= d), float(b >= c)
    return None


def _range_of_constant(x: Tensor) -> _Range | None:
    if x.data is None or x.dtype is None or not issubclass(x.dtype, np.generic):
        return None
    array = np.asarray(x.data)
    if array.size != 1 or array.dtype.kind not in "fiub":
        return None
    value = float(array.reshape(()))
    return (value, value) if math.isfinite(value) else None


def _find_needless(graph: Graph, idle: Idle) -> None:
    """Notes the operations that only led to what is not used any more."""
    used: set[Tensor] = set(graph.outputs)
    before = _ancestors(op.inputs[k] for op, own in idle.forwarded.items() for k in range(len(op.inputs)) if k != own)
    for op in reversed(graph.operations):
        if op in before and not any(t in used for t in op.outputs):
            idle.needless.add(op)
        elif op in idle.forwarded:
            used.add(op.inputs[idle.forwarded[op]])
        else:
            used.update(op.inputs)


def _ancestors(tensors: Iterable[Tensor], ends: Sequence[str] = ()) -> set[Operation]:
    """The operations that tensors are computed by, and those before them; ends: types with none before them."""
    found: set[Operation] = set()
    pending = list(tensors)
    while pending:
        op = pending.pop().producer
        if op is not None and op not in found:
            found.add(op)
            if op.type not in ends:
                pending += op.inputs
    return found
