"""What values a computed tensor can have, as far as that follows from constants: intervals of operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...model import Operation, Tensor
from ...model.dtypes import is_float
from ..building.nnef import Builder

_MAX_DEPTH = 40
"""Operations that are looked through: those of conditions, not all of a model."""

_PARTS = ("reshape", "squeeze", "unsqueeze", "transpose", "copy", "slice", "tile", "max_reduce", "min_reduce",
          "all_reduce", "any_reduce", "unstack", "split", "max_pool")  # fmt: skip
"""Operations whose results are items of their operand."""

_RISING: dict[str, Callable[[float], float]] = {
    "floor": lambda x: math.floor(x) if math.isfinite(x) else x,
    "ceil": lambda x: math.ceil(x) if math.isfinite(x) else x,
    "relu": lambda x: max(x, 0.0),
    "tanh": lambda x: math.tanh(x),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
}

_COMPARED: dict[str, Callable[[Interval, Interval], bool | None]] = {
    "lt": lambda x, y: True if x.high < y.low else False if x.low >= y.high else None,
    "le": lambda x, y: True if x.high <= y.low else False if x.low > y.high else None,
    "eq": lambda x, y: False if x.high < y.low or x.low > y.high else None,
}
_SWAPPED = {"gt": "lt", "ge": "le"}


_SAME = ("reshape", "squeeze", "unsqueeze", "copy")
_CONCLUSIVE = {True: ("and", "all_reduce", *_SAME), False: ("or", "any_reduce", *_SAME)}
"""Operations that can only give this if all their operands are this."""


class Interval(NamedTuple):
    """The least and the greatest value that items can have; nan: can they be no number?"""

    low: float
    high: float
    nan: bool

    def joined(self, other: Interval) -> Interval:
        """What the items of both can be."""
        return Interval(min(self.low, other.low), max(self.high, other.high), self.nan or other.nan)


def decided(b: Builder, condition: Tensor) -> bool | None:
    """Is the condition the same, in all items, whatever the inputs are? None if it depends on them.

    What the builder knows for a fact counts.
    """
    return _Reader(b).truth(condition, 0)


def note(b: Builder, condition: Tensor, holds: bool) -> None:
    """Adds what a condition is to the facts of the builder, with what follows for its operands."""
    pending = [(condition, holds)]
    while pending:
        x, value = pending.pop()
        b.facts[x] = value
        op = x.producer
        if op is None:
            continue
        if op.type in _CONCLUSIVE[value]:
            pending += [(t, value) for t in op.inputs if t.data is None and t not in b.facts]
        elif op.type == "not":
            pending.append((op.inputs[0], not value))


class _Reader:
    """Reads operations back from a condition, each once."""

    def __init__(self, b: Builder) -> None:
        self._b = b
        self._truths: dict[Tensor, bool | None] = {}
        self._intervals: dict[Tensor, Interval] = {}

    def truth(self, x: Tensor, depth: int) -> bool | None:
        """See `decided`."""
        if x in self._b.facts:
            return self._b.facts[x]
        if x not in self._truths:
            self._truths[x] = self._truth(x, depth + 1)
        return self._truths[x]

    def _truth(self, x: Tensor, depth: int) -> bool | None:
        known = self._b.value(x)
        if known is not None:
            return bool(known.any()) if known.all() == known.any() else None
        op = x.producer
        if op is None or depth > _MAX_DEPTH:
            return None
        if op.type in ("and", "or"):
            sides = [self.truth(t, depth) for t in op.inputs]
            deciding = op.type == "or"
            return deciding if deciding in sides else None if None in sides else not deciding
        if op.type == "not":
            side = self.truth(op.inputs[0], depth)
            return None if side is None else not side
        if op.type in ("select", "concat", "stack"):
            parts = self._chosen(op, depth) if op.type == "select" else op.inputs
            sides = [self.truth(t, depth) for t in parts]
            return sides[0] if len(set(sides)) == 1 else None
        if op.type in _PARTS:
            return self.truth(op.inputs[0], depth)
        return self._comparison(op, depth)

    def _chosen(self, op: Operation, depth: int) -> tuple[Tensor, ...]:
        condition, x, y = op.inputs
        chosen = self.truth(condition, depth)
        return (x, y) if chosen is None else (x,) if chosen else (y,)

    def _comparison(self, op: Operation, depth: int) -> bool | None:
        name = str(op.type)
        if name == "cast":
            x = self._interval(op.inputs[0], depth)
            return False if x == (0, 0, False) else True if (x.low > 0 or x.high < 0) and not x.nan else None
        if name not in (*_COMPARED, *_SWAPPED, "ne"):
            return None
        x, y = (self._interval(t, depth) for t in op.inputs)
        if name in _SWAPPED:
            x, y = y, x
        found = _COMPARED["eq" if name == "ne" else _SWAPPED.get(name, name)](x, y)
        if found and (x.nan or y.nan):  # a comparison with what is no number does not hold
            return None
        return found if found is None or name != "ne" else not found

    def _interval(self, x: Tensor, depth: int) -> Interval:
        if x not in self._intervals:
            self._intervals[x] = self._read(x, depth + 1)
        return self._intervals[x]

    def _read(self, x: Tensor, depth: int) -> Interval:
        known = self._b.value(x)
        if known is not None and known.size:
            values = known.astype(np.float64)
            has_nan = bool(np.isnan(values).any())
            return any_value(x) if has_nan else Interval(float(values.min()), float(values.max()), False)
        op = x.producer
        if op is None or depth > _MAX_DEPTH:
            return any_value(x)
        name = str(op.type)
        if name in _PARTS:
            return self._interval(op.inputs[0], depth)
        if name == "select":
            return _union([self._interval(t, depth) for t in self._chosen(op, depth)])
        if name in ("concat", "stack"):
            return _union([self._interval(t, depth) for t in op.inputs])
        if name == "cast":
            return self._cast(op, depth)
        if name in ("argmax_reduce", "argmin_reduce"):
            extents = op.inputs[0].shape or ()
            return Interval(0, max([(extents[k] or 1) - 1 for k in op.attribs["axes"]]), False)
        if name in ("min", "max", "add", "sub", "clamp") or name in _RISING:
            return _computed(name, [self._interval(t, depth) for t in op.inputs])
        return any_value(x)

    def _cast(self, op: Operation, depth: int) -> Interval:
        source = op.inputs[0]
        if source.dtype is np.bool_:
            truth = self.truth(source, depth)
            return Interval(0, 1, False) if truth is None else Interval(truth, truth, False)
        inner = self._interval(source, depth)
        if is_float(source.dtype) and not is_float(op.output.dtype):
            if inner.nan:
                return any_value(op.output)
            low, high = (math.trunc(x) if math.isfinite(x) else x for x in inner[:2])
            return Interval(low, high, False)
        return inner


def any_value(x: Tensor) -> Interval:
    """The interval of a tensor of which nothing is known."""
    if x.dtype is np.bool_:
        return Interval(0, 1, False)
    return Interval(-math.inf, math.inf, is_float(x.dtype))


def _union(parts: list[Interval]) -> Interval:
    total = parts[0]
    for part in parts[1:]:
        total = total.joined(part)
    return total


def _computed(name: str, given: list[Interval]) -> Interval:
    nan = any(x.nan for x in given)
    x = given[0]
    if name in _RISING:
        return Interval(_RISING[name](x.low), _RISING[name](x.high), nan)
    if name == "clamp":
        return _computed("min", [_computed("max", given[:2]), given[2]])
    y = given[1]
    if name == "min":
        return Interval(min(x.low, y.low), min(x.high, y.high), nan)
    if name == "max":
        return Interval(max(x.low, y.low), max(x.high, y.high), nan)
    if name == "sub":
        y = Interval(-y.high, -y.low, y.nan)
    return Interval(x.low + y.low, x.high + y.high, nan)
