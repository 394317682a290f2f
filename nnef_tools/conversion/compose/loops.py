"""Loops and choices whose condition may be computed: rounds are unrolled to a bound, and what counts is selected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ...budget import current
from ...errors import InvalidOperator, Unsupported
from ...model import Tensor
from ..building.complex_pairs import ComplexPair
from ..building.lists import TensorList
from ..building.nnef import Builder
from ..building.shapes import reshape, shape
from .counts import either
from .ranges import decided, implied, rounds_left, supposing


def selected(b: Builder, condition: Tensor, x: Any, y: Any) -> Any:
    """x where the condition, a tensor of one item, is true, else y; item by item for lists of one length."""
    if x is y:
        return x
    if x is None or y is None:
        raise Unsupported("a result depends on what was left out")
    if isinstance(x, TensorList) and isinstance(y, TensorList):
        return _selected_list(b, condition, x, y)
    if isinstance(x, ComplexPair) and isinstance(y, ComplexPair):
        return ComplexPair(selected(b, condition, x.re, y.re), selected(b, condition, x.im, y.im))
    if x in b.masks or y in b.masks:
        return either(b, condition, x, y)
    if shape(x) != shape(y):
        raise Unsupported(f"the shape of the result depends on the condition: {shape(x)} or {shape(y)}")
    if x.dtype is np.bool_ and not shape(x):
        known = [b.value(x), b.value(y)]
        if known == [True, False]:
            return reshape(b, condition, [])
        if known == [False, True]:
            return b.not_(reshape(b, condition, []))
    return b.select(reshape(b, condition, []), x, y)


def _selected_list(b: Builder, condition: Tensor, x: TensorList, y: TensorList) -> TensorList:
    """Zeros stand for items that have not been written."""
    items = []
    for first, second in zip_longest(x.items, y.items):
        other = first if first is not None else second
        zeros = None
        if other is not None and (first is None or second is None):
            zeros = b.constant(np.broadcast_to(np.zeros((), x.dtype), shape(other)))
        pair = [zeros if item is None else item for item in (first, second)]
        items.append(selected(b, condition, *pair))
    varies = x.varies or y.varies or len(x.items) != len(y.items)
    return TensorList(tuple(items), x.dtype, x.extents or y.extents, varies)


Body = Callable[[int, list[Any]], tuple[Tensor, list[Any]]]
"""The number of a round and the values that it gets -> whether there is another one after it, and the new values."""

UNSEEN = 16
"""A loop whose bound does not show in its condition gets that part of the budget for steps."""


def repeated(
    b: Builder,
    values: Sequence[Any],
    going: Tensor,
    body: Body,
    *,
    wanted: Sequence[bool],
    bound: float = math.inf,
    guarded: bool = False,
    counts: bool = False,
) -> tuple[list[Any], bool]:
    """The values after the last round of a loop that is unrolled, and whether it is known how many rounds there are.

    If conditions depend on the data, there are as many rounds as there can be, and a result keeps its value from the
    first round on that the source would not make.

    going: is there a first round? wanted: the values that are used after the loop; the others may change their shape.
    bound: the most rounds that there can be. guarded: whether a round that does not count has to get what the last one
    that counts got, since it could fail otherwise. counts: does the body use the number of the round?

    Unsupported if the number of rounds has no bound.
    """
    final, new = list(values), list(values)
    given = new
    made: Tensor | None = None  # does the round count? None if it surely does
    left = math.inf
    count = 0
    while (known := decided(b, going)) is not False:
        if known is None:
            facts = implied(b, going)
            new = [supposing(facts, x) if isinstance(x, Tensor) else x for x in new]
            closer = min(rounds_left(b, going), bound - count)
            if not closer < left and not counts and count and not _is_advanced(b, new, given):
                raise _without_bound("there is no upper bound for it")
            left = closer
            made = going if made is None else b.and_(reshape(b, made, shape(going)), going)
        if made is None or not guarded:
            given = new
        else:
            given = [_guarded(b, made, *pair) for pair in zip(new, given, strict=True)]
        if made is not None and left == math.inf and count > current().steps // UNSEEN:
            raise _without_bound(f"no upper bound for it shows in {count:,} rounds")
        b.steps.take(1, len(b.graph.operations))
        try:
            going, new = body(count, given)
        except InvalidOperator as error:
            if made is None:
                raise
            b.warnings[f"a loop makes no more than {count} rounds, as the next cannot be computed: {error.message}"] = (
                None
            )
            break
        count += 1
        if made is None:
            final = new
        else:
            rows = zip(new, final, wanted, strict=True)
            final = [selected(b, made, x, y) if used else y for x, y, used in rows]
    return final, made is None


def _without_bound(problem: str) -> Unsupported:
    return Unsupported(
        f"the number of iterations depends on the data, and {problem}",
        hint="bound it in the model by a constant, as min(n, 16) does",
    )


def _is_advanced(b: Builder, new: Sequence[Any], given: Sequence[Any]) -> bool:
    """Has a constant, such as a counter, another value than in the round before?"""
    pairs = [(b.value(x), b.value(y)) for x, y in zip(new, given, strict=True) if _is_number(x) and _is_number(y)]
    return any(x is not None and y is not None and x != y for x, y in pairs)


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.volume == 1


def _guarded(b: Builder, made: Tensor, new: Any, given: Any) -> Any:
    """What a round gets; constants have the values that it would get anyway."""
    is_constant = isinstance(new, Tensor) and b.value(new) is not None
    return new if new is None or is_constant else selected(b, made, new, given)
