"""What is known of computed integers and truth values: the range in which they must lie.

Loops end by comparisons such as `i < min(n, 8)`: the range of the right side tells how many rounds there can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...model import Operation, Tensor
from ...model.dtypes import MAX_EXACT_INTEGER, is_float, is_integer
from ..building.nnef import Builder
from ..building.shapes import shape


class Range(NamedTuple):
    """The lowest and the highest value of any item; infinite where there is no limit. False is 0, true is 1."""

    low: float
    high: float

    @property
    def only(self) -> float | None:
        """The only value that is possible."""
        return self.low if self.low == self.high else None


ANY = Range(-math.inf, math.inf)
TRUTH = Range(0, 1)

_MOVES = frozenset(
    ("copy", "reshape", "squeeze", "unsqueeze", "transpose", "slice", "gather", "gather_nd", "tile", "split", "unstack")
    + ("min_reduce", "max_reduce", "all_reduce", "any_reduce")
)
"""Operations whose results have items of their first operand only."""

MAX_TENSORS = 64
"""How many tensors are looked at for the range of one."""


def value_range(b: Builder, x: Tensor) -> Range | None:
    """The range of the items of a tensor; None for real numbers that may be NaN.

    Ends that float32 does not hold exactly count as infinite.
    """
    return _found(b, x, {})


def _found(b: Builder, x: Tensor, seen: dict[Tensor, Range | None]) -> Range | None:
    if x not in seen:
        seen[x] = _unknown(x)
        seen[x] = _inferred(b, x, seen)
    return seen[x]


def _unknown(x: Tensor) -> Range | None:
    return None if is_float(x.dtype) else _any_of(x.dtype)


def _any_of(dtype: Any) -> Range:
    """What items of a type can be. 32 and 64 signed bits have no limit, as nothing that is counted reaches it."""
    if dtype is np.bool_:
        return TRUTH
    if not is_integer(dtype) or np.dtype(dtype) in (np.int32, np.int64):
        return ANY
    info = np.iinfo(dtype)
    return Range(info.min, info.max if info.max <= MAX_EXACT_INTEGER else math.inf)


def _inferred(b: Builder, x: Tensor, seen: dict[Tensor, Range | None]) -> Range | None:
    known = b.value(x)
    if known is not None and known.size:
        return _within_exact(float(known.min()), float(known.max())) if known.dtype.kind in "biuf" else None
    op = x.producer
    rule = None if op is None else _RULES.get(str(op.type))
    if op is None or len(seen) > MAX_TENSORS or (rule is None and op.type not in _MOVES):
        return _unknown(x)
    if any(t.volume == 0 for t in op.inputs):  # extremes of nothing are the neutral elements
        return _unknown(x)
    if rule is None:
        return _found(b, op.inputs[0], seen)
    found = rule(op, [_found(b, t, seen) for t in op.inputs])
    return _unknown(x) if found is None else _held(found, x.dtype)


Facts = Mapping[Tensor, bool]
"""Truth values of one item -> what they are supposed to be."""


def decided(b: Builder, condition: Tensor) -> bool | None:
    """The value of a condition of one item if it can have only one; None if it depends on the data."""
    found = value_range(b, condition)
    if found is not None and found.only is not None:
        return bool(found.only)
    facts = implied(b, condition)
    for x, truth in facts.items():  # can all of them be at once?
        ranges: dict[Tensor, Range | None] = _ranges({other: facts[other] for other in facts if other is not x})
        known = _inferred(b, x, ranges)
        if known is not None and known.only not in (None, truth):
            return False
    return None


def implied(b: Builder, condition: Tensor) -> Facts:
    """What must be if a condition of one item holds: the parts of conjunctions, and conditions of selections."""
    facts: dict[Tensor, bool] = {}
    pending = [(condition, True)]
    while pending and len(facts) < MAX_TENSORS:
        x, truth = pending.pop()
        x = _root(x)
        op = x.producer
        if b.value(x) is not None or x in facts:
            continue
        facts[x] = truth
        if op is not None and op.type == ("and" if truth else "or"):
            pending += [(t, truth) for t in op.inputs]
        elif op is not None and op.type == "not":
            pending.append((op.inputs[0], not truth))
        elif op is not None and op.type == "select":
            test, *branches = op.inputs
            for k, branch in enumerate(branches):
                known = value_range(b, branch)
                if known is not None and known.only == (not truth):  # then the other branch is selected
                    pending += [(test, k == 1), (branches[1 - k], truth)]
    return facts


def supposing(facts: Facts, x: Tensor) -> Tensor:
    """A tensor that has the same value if the facts hold: the branch that is selected then."""
    while (op := x.producer) is not None and op.type == "select" and _root(op.inputs[0]) in facts:
        x = op.inputs[1 if facts[_root(op.inputs[0])] else 2]
    return x


def _root(x: Tensor) -> Tensor:
    """What a truth value of one item is, apart from its shape."""
    while (op := x.producer) is not None and op.type in _MOVES and x.volume == 1 and op.inputs[0].volume == 1:
        x = op.inputs[0]
    return x


def _ranges(facts: Facts) -> dict[Tensor, Range | None]:
    return {x: Range(truth, truth) for x, truth in facts.items()}


def rounds_left(b: Builder, condition: Tensor) -> float:
    """How far the numbers that must be compared are apart at most: if they come closer each round, it has an end."""
    facts = implied(b, condition)
    left = math.inf
    for x, truth in facts.items():
        op = x.producer
        if op is not None and op.type in ("lt", "le", "gt", "ge"):
            is_rising = (op.type in ("lt", "le")) == truth
            lower, upper = op.inputs if is_rising else reversed(op.inputs)
            ranges = _ranges(facts)
            low, high = _found(b, lower, ranges), _found(b, upper, ranges)
            left = min(left, math.inf if low is None or high is None else high.high - low.low)
    return left


def _within_exact(low: float, high: float, limit: int = MAX_EXACT_INTEGER) -> Range | None:
    if math.isnan(low) or math.isnan(high):
        return None
    return Range(low if low >= -limit else -math.inf, high if high <= limit else math.inf)


_EXACT = {"float16": 2**11, "bfloat16": 2**8}


def _held(found: Range, dtype: Any) -> Range | None:
    """The range of results when they have been rounded to real numbers, or wrapped around to integers, of a type."""
    if math.isnan(found.low) or math.isnan(found.high):
        return None
    if is_float(dtype):  # rounding does not go beyond whole numbers that the type has
        whole = _rounded(math.floor, found).low, _rounded(math.ceil, found).high
        return _within_exact(*whole, _EXACT.get(np.dtype(dtype).name, MAX_EXACT_INTEGER))
    every = _any_of(dtype)
    return _within_exact(*found) if every.low <= found.low and found.high <= every.high else every


Rule = Callable[[Operation, list[Range | None]], Range | None]
"""The operation and the ranges of its operands -> the range of its result, None if it is unknown."""


def _on_known(rule: Callable[..., Range]) -> Rule:
    """A rule for ranges that must all be known."""

    def applied(op: Operation, ranges: list[Range | None]) -> Range | None:
        return None if None in ranges else rule(*ranges)

    return applied


def _product(x: Range, y: Range) -> Range:
    ends = [0.0 if 0 in (p, q) else p * q for p in x for q in y]
    return Range(min(ends), max(ends))


def _quotient(x: Range, y: Range) -> Range:
    """By a positive number; anything by others."""
    return Range(min(x.low / y.low, x.low / y.high), max(x.high / y.low, x.high / y.high)) if y.low > 0 else ANY


def _rounded(function: Callable[[float], float], x: Range) -> Range:
    return Range(*(end if math.isinf(end) else function(end) for end in x))


def _cast(op: Operation, ranges: list[Range | None]) -> Range | None:
    """Casts to integers truncate, casts to truth values compare with 0."""
    found, dtype = ranges[0], op.output.dtype
    if found is None or is_float(dtype):
        return found
    if dtype is np.bool_:
        return Range(0, 0) if found == (0, 0) else Range(1, 1) if found.low > 0 or found.high < 0 else TRUTH
    return _rounded(math.trunc, found)


def _select(op: Operation, ranges: list[Range | None]) -> Range | None:
    condition, x, y = ranges
    if condition is not None and condition.only is not None:
        return x if condition.only else y
    return _joined([x, y])


def _joined(ranges: list[Range | None]) -> Range | None:
    known = [item for item in ranges if item is not None]
    if len(known) < len(ranges):
        return None
    return Range(min(item.low for item in known), max(item.high for item in known))


def _sum(op: Operation, ranges: list[Range | None]) -> Range | None:
    count = math.prod(shape(op.inputs[0])) // max(math.prod(shape(op.output)), 1)
    if ranges[0] is None or op.attribs.get("normalize"):
        return None
    return Range(ranges[0].low * count, ranges[0].high * count)


def _position(op: Operation, ranges: list[Range | None]) -> Range:
    """Positions of extremes along axes."""
    return Range(0, math.prod(shape(op.inputs[0])) // max(math.prod(shape(op.output)), 1) - 1)


def _and(op: Operation, ranges: list[Range | None]) -> Range:
    x, y = (item or TRUTH for item in ranges)
    return Range(min(x.low, y.low), min(x.high, y.high))


def _or(op: Operation, ranges: list[Range | None]) -> Range:
    x, y = (item or TRUTH for item in ranges)
    return Range(max(x.low, y.low), max(x.high, y.high))


def _less(x: Range, y: Range) -> Range:
    return Range(1, 1) if x.high < y.low else Range(0, 0) if x.low >= y.high else TRUTH


def _less_or_equal(x: Range, y: Range) -> Range:
    return Range(1, 1) if x.high <= y.low else Range(0, 0) if x.low > y.high else TRUTH


def _equal(x: Range, y: Range) -> Range:
    if x.high < y.low or y.high < x.low:
        return Range(0, 0)
    return Range(1, 1) if x.only is not None and x == y else TRUTH


def _inverted(x: Range) -> Range:
    return Range(1 - x.high, 1 - x.low)


_RULES: dict[str, Rule] = {
    "cast": _cast,
    "select": _select,
    "concat": lambda op, ranges: _joined(ranges),
    "stack": lambda op, ranges: _joined(ranges),
    "sum_reduce": _sum,
    "argmax_reduce": _position,
    "argmin_reduce": _position,
    "and": _and,
    "or": _or,
    "not": _on_known(_inverted),
    "lt": _on_known(_less),
    "gt": _on_known(lambda x, y: _less(y, x)),
    "le": _on_known(_less_or_equal),
    "ge": _on_known(lambda x, y: _less_or_equal(y, x)),
    "eq": _on_known(_equal),
    "ne": _on_known(lambda x, y: _inverted(_equal(x, y))),
    "min": _on_known(lambda x, y: Range(min(x.low, y.low), min(x.high, y.high))),
    "max": _on_known(lambda x, y: Range(max(x.low, y.low), max(x.high, y.high))),
    "clamp": _on_known(lambda x, y, z: Range(min(max(x.low, y.low), z.low), min(max(x.high, y.high), z.high))),
    "add": _on_known(lambda x, y: Range(x.low + y.low, x.high + y.high)),
    "sub": _on_known(lambda x, y: Range(x.low - y.high, x.high - y.low)),
    "neg": _on_known(lambda x: Range(-x.high, -x.low)),
    "mul": _on_known(_product),
    "relu": _on_known(lambda x: Range(max(x.low, 0), max(x.high, 0))),
    "div": _on_known(_quotient),
    "abs": _on_known(lambda x: Range(max(x.low, -x.high, 0), max(-x.low, x.high))),
    "floor": _on_known(lambda x: _rounded(math.floor, x)),
    "ceil": _on_known(lambda x: _rounded(math.ceil, x)),
    "round": _on_known(lambda x: _rounded(round, x)),
}
