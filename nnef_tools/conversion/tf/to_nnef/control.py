"""Operators that pass values on, and control flow that is decided when the model is converted.

The reader has put functions in where they are called, and made loops and branches of what TensorFlow 1 has for them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Graph, Tensor
from ....model.dtypes import is_integer
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.bounds import decided, note
from ...engine.rules import to_nnef
from .lists import TensorList, selected_lists
from .recurrent_loops import recurrent_layer


@to_nnef("tf", "CheckNumerics", "CheckNumericsV2")
def check_numerics(b: Builder, x: Tensor, *, message: str = "") -> Tensor:
    """CheckNumerics: the tensor itself; NNEF has no checks."""
    return x


@to_nnef("tf", "PlaceholderWithDefault")
def placeholder_with_default(b: Builder, x: Tensor, *, shape: Any = None) -> Tensor:
    """PlaceholderWithDefault: its default."""
    return x


@to_nnef("tf", "NoOp", "Assert", "ControlTrigger")
def nothing(b: Builder, *xs: Tensor, summarize: int = 3) -> list[Tensor]:
    """Operators without results."""
    return []


@to_nnef("tf", "Print")
def printed(b: Builder, x: Tensor, *xs: Tensor, message: str = "", first_n: int = -1, summarize: int = 3) -> Tensor:
    """Print: its first input."""
    return x


# branches


def _boolean(b: Builder, x: Tensor | None) -> Tensor:
    """A condition; numbers count as true unless they are zero."""
    if x is None:
        raise Unsupported("the condition depends on what was left out")
    if shape(x):
        raise Unsupported(f"a condition of shape {shape(x)}")
    return x if x.dtype is np.bool_ else b.ne(x, 0)


def _selected(b: Builder, condition: Tensor, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; item by item if they are lists."""
    if x is y:
        return x
    if isinstance(x, TensorList) or isinstance(y, TensorList):
        return selected_lists(b, condition, x, y)
    if x is None or y is None:
        raise Unsupported("a result depends on what was left out")
    if shape(x) != shape(y):
        raise Unsupported(f"the shape of the result depends on the condition: {shape(x)} or {shape(y)}")
    return b.select(condition, x, y)


@to_nnef("tf", "If", "StatelessIf")
def if_else(
    b: Builder, condition: Tensor, *xs: Tensor, then_branch: Graph, else_branch: Graph, output_shapes: Any = None
) -> list[Any]:
    """If: with a constant condition the chosen branch takes its place, else both are computed and one is selected.

    The selection is exact, as operators have no side effects; the results of both must have the same shape.
    """
    assert b.inline is not None
    known = decided(b, _boolean(b, condition))
    if known is not None:
        return list(b.inline(then_branch if known else else_branch, xs))
    test = _boolean(b, condition)
    results = []
    for branch, holds in ((then_branch, True), (else_branch, False)):
        try:
            results.append(_inlined(b, branch, xs, test, holds))
        except InvalidOperator as error:  # where the model gives a result the other one runs
            name, other = ("then_branch", else_branch) if holds else ("else_branch", then_branch)
            b.warnings[f"If never takes its {name}, which cannot be computed: {error.message}"] = None
            note(b, test, not holds)
            return list(b.inline(other, xs)) if holds else results[0]
    b.warnings["If with a condition that is computed: both branches are computed, one is selected"] = None
    return [_selected(b, test, x, y) for x, y in zip(*results, strict=True)]


def _inlined(b: Builder, body: Graph, xs: Sequence[Any], condition: Tensor, holds: bool) -> list[Any]:
    """The results of a branch, which count if the condition holds, or does not."""
    assert b.inline is not None
    outside, b.facts = b.facts, dict(b.facts)
    note(b, condition, holds)
    try:
        return list(b.inline(body, xs))
    finally:
        b.facts = outside


@to_nnef("tf", "Case", "StatelessCase")
def case(b: Builder, index: Tensor, *xs: Tensor, branches: list[Graph], output_shapes: Any = None) -> list[Any]:
    """Case: the branch of a constant index, else all are computed and one is selected; the last for any other index."""
    assert b.inline is not None
    known = b.value(index)
    last = len(branches) - 1
    if known is not None:
        k = int(known)
        return list(b.inline(branches[k if 0 <= k <= last else last], xs))
    results = [list(b.inline(branch, xs)) for branch in branches]
    b.warnings["Case with an index that is computed: all branches are computed, one is selected"] = None
    chosen = results[last]
    for k in range(last):
        here = b.eq(index, k)
        chosen = [_selected(b, here, x, y) for x, y in zip(results[k], chosen, strict=True)]
    return chosen


# loops

_UNBOUNDED = "the number of iterations depends on the data, and no highest number follows from constants"


@to_nnef("tf", "While", "StatelessWhile")
def while_loop(
    b: Builder, *state: Tensor, cond: Graph, body: Graph, output_shapes: Any = None, parallel_iterations: int = 10
) -> list[Any]:
    """While: a recurrent layer, else the body for each round.

    Where the end is computed, the body is repeated as often as it can be run at most, which must follow from constants,
    and the values of the last round that runs are selected.
    """
    assert b.inline is not None
    known_layer = recurrent_layer(b, state, cond, body)
    if known_layer is not None:
        return known_layer
    return _rounds(b, state, cond, body)


def _rounds(b: Builder, state: Sequence[Any], cond: Graph, body: Graph) -> list[Any]:
    """The values at the end of a loop that is unrolled.

    Rounds after the end get the values at the end, so that they cannot leave a tensor or overflow; but they count on,
    which gives the loop its bound. Without that, a round that cannot be computed, for it reads behind a list, does not
    run where the model gives a result.
    """
    outside, b.facts = b.facts, dict(b.facts)
    try:
        ends, rounds = _unrolled(b, state, cond, body)
    finally:
        b.facts = outside
    if rounds is not None:
        text = f"While with a computed end: all {rounds} rounds are computed, the values at the end are selected"
        b.warnings[text] = None
    return ends


def _unrolled(b: Builder, state: Sequence[Any], cond: Graph, body: Graph) -> tuple[list[Any], int | None]:
    """The values at the end; and, if that is computed, how many rounds there are."""
    assert b.inline is not None
    given: list[Any] = list(state)
    ends = given
    running: Tensor | None = None
    limit: float | None = None
    for count in itertools.count():
        test = _boolean(b, b.inline(cond, given)[0])
        going = decided(b, test)
        if going is False:
            break
        b.steps.take(1, len(b.graph.operations))
        if going is None:
            running = test if running is None else b.and_(running, test)
            note(b, running, True)  # else the results of this round do not count
        try:
            results = list(b.inline(body, given))
        except InvalidOperator:
            if going is None:
                break
            raise
        if going is None and limit is None:
            read = max((len(x.items) for x in given if isinstance(x, TensorList)), default=-1)
            limit = math.inf if _is_bounded(b, cond, given, results) else count + read
        if limit is not None and count > limit:
            raise Unsupported(_UNBOUNDED)
        ends = [r if running is None else _selected(b, running, r, e) for r, e in zip(results, ends, strict=True)]
        given = [r if _is_constant(b, r) else e for r, e in zip(results, ends, strict=True)]
    return ends, None if running is None else count


def _is_constant(b: Builder, value: Any) -> bool:
    return isinstance(value, Tensor) and b.value(value) is not None


def _is_bounded(b: Builder, cond: Graph, before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Does the condition fail in any case when what a round counts has gone as far as possible?"""
    assert b.inline is not None
    far = list(after)
    for k, (old, new) in enumerate(zip(before, after, strict=True)):
        if _is_constant(b, old) and _is_constant(b, new) and not shape(new) and new.dtype is not np.bool_:
            change = np.sign(float(b.value(new)) - float(b.value(old)))  # type: ignore[arg-type]
            limit = np.iinfo(new.dtype) if is_integer(new.dtype) else np.finfo(new.dtype)
            far[k] = b.constant(limit.max if change > 0 else limit.min, new.dtype) if change else new
    return decided(b, _boolean(b, b.inline(cond, far)[0])) is False
