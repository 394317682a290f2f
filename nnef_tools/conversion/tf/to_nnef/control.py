"""Operators that pass values on, and control flow that is decided when the model is converted.

The reader has put functions in where they are called, and made loops and branches of what TensorFlow 1 has for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Graph, Tensor
from ...building.lists import TensorList
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...compose.complex_pairs import ComplexPair
from ...compose.counts import either
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


def _boolean(b: Builder, x: Tensor) -> Tensor:
    """A condition; numbers count as true unless they are zero."""
    if shape(x):
        raise Unsupported(f"a condition of shape {shape(x)}")
    return x if x.dtype is np.bool_ else b.ne(x, 0)


def _selected(b: Builder, condition: Tensor, x: Any, y: Any) -> Any:
    if isinstance(x, TensorList) or isinstance(y, TensorList):
        raise Unsupported("a list that depends on a computed condition")
    if x in b.masks or y in b.masks:
        return either(b, condition, x, y)
    if isinstance(x, ComplexPair) and isinstance(y, ComplexPair):
        return ComplexPair(_selected(b, condition, x.re, y.re), _selected(b, condition, x.im, y.im))
    if shape(x) != shape(y):
        raise Unsupported(f"the shape of the result depends on the condition: {shape(x)} or {shape(y)}")
    return x if x is y else b.select(reshape(b, condition, [1] * len(shape(x))), x, y)


@to_nnef("tf", "If", "StatelessIf")
def if_else(
    b: Builder, condition: Tensor, *xs: Tensor, then_branch: Graph, else_branch: Graph, output_shapes: Any = None
) -> list[Any]:
    """If: with a constant condition the chosen branch takes its place, else both are computed and one is selected.

    The selection is exact, as operators have no side effects; the results of both must have the same shape.
    """
    assert b.inline is not None
    known = b.value(_boolean(b, condition))
    if known is not None:
        return list(b.inline(then_branch if bool(known) else else_branch, xs))
    results = zip(b.inline(then_branch, xs), b.inline(else_branch, xs), strict=True)
    b.warnings["If with a condition that is computed: both branches are computed, one is selected"] = None
    return [_selected(b, _boolean(b, condition), x, y) for x, y in results]


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


@to_nnef("tf", "While", "StatelessWhile")
def while_loop(
    b: Builder, *state: Tensor, cond: Graph, body: Graph, output_shapes: Any = None, parallel_iterations: int = 10
) -> list[Any]:
    """While: a recurrent layer, or the body as often as the condition, which must follow from constants, says."""
    assert b.inline is not None
    known_layer = recurrent_layer(b, state, cond, body)
    if known_layer is not None:
        return known_layer
    values: list[Any] = list(state)
    while True:
        test = b.inline(cond, values)[0]
        going = None if test is None else b.value(_boolean(b, test))
        if going is None:
            raise Unsupported("the number of iterations depends on the data")
        if not going:
            return values
        b.steps.take(1, len(b.graph.operations))
        values = list(b.inline(body, values))
