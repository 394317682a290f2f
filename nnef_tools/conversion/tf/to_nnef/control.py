"""Operators that pass values on, and control flow that is decided when the model is converted.

The reader has put functions in where they are called, and made loops and branches of what TensorFlow 1 has for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Graph, Tensor
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.loops import repeated, selected
from ...compose.ranges import decided
from ...engine.rules import to_nnef
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
            results.append(list(b.inline(branch, xs)))
        except InvalidOperator as error:  # where the model gives a result the other one runs
            name, other = ("then_branch", else_branch) if holds else ("else_branch", then_branch)
            b.warnings[f"If never takes its {name}, which cannot be computed: {error.message}"] = None
            return list(b.inline(other, xs)) if holds else results[0]
    b.warnings["If with a condition that is computed: both branches are computed, one is selected"] = None
    return [selected(b, test, x, y) for x, y in zip(*results, strict=True)]


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
        chosen = [selected(b, here, x, y) for x, y in zip(results[k], chosen, strict=True)]
    return chosen


# loops


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

    def is_left(values: Sequence[Any]) -> Tensor:
        assert b.inline is not None
        return _boolean(b, b.inline(cond, values)[0])

    def run(_count: int, values: list[Any]) -> tuple[Tensor, list[Any]]:
        assert b.inline is not None
        results = list(b.inline(body, values))
        return is_left(results), results

    ends, is_counted = repeated(b, state, is_left(state), run, wanted=[True] * len(state), guarded=True)
    if not is_counted:
        b.warnings["While with a computed end: all rounds that there can be are computed, and selected from"] = None
    return ends
