"""Control flow that is decided when the model is converted: branches are chosen, loops are unrolled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Graph, Tensor
from ...building.lists import stacked
from ...building.nnef import Builder
from ...compose.loops import repeated, selected
from ...compose.ranges import ANY, Range, decided, value_range
from ...compose.slicing import slice_axes
from ...engine.rules import Ints, to_nnef
from ..common import positive, reshape, shape, squeeze


@to_nnef("onnx", "If")
def if_else(b: Builder, condition: Tensor, *, then_branch: Graph, else_branch: Graph) -> list[Tensor | None]:
    """If: with a constant condition the chosen branch takes its place, else both are computed and one is selected.

    The selection is exact, as operators have no side effects; the results of both must have the same shape. A branch
    that no runtime can compute with inputs of these shapes is never chosen where the model gives a result.
    """
    assert b.inline is not None
    known = decided(b, condition)
    if known is not None:
        return b.inline(then_branch if known else else_branch, [])
    wanted = b.wanted
    try:
        first = b.inline(then_branch, [])
    except InvalidOperator as error:
        b.warnings[f"If always takes its else_branch, as then_branch cannot be computed: {error.message}"] = None
        return b.inline(else_branch, [])
    try:
        second = b.inline(else_branch, [])
    except InvalidOperator as error:
        b.warnings[f"If always takes its then_branch, as else_branch cannot be computed: {error.message}"] = None
        return first
    results = list(zip(first, second, strict=True))
    b.warnings["If with a condition that is computed: both branches are computed, one is selected"] = None
    used = [pair if is_used else (None, None) for pair, is_used in zip(results, wanted, strict=False)]
    return [None if x is None or y is None else selected(b, condition, x, y) for x, y in used]


def _stacked(b: Builder, items: Sequence[Tensor], axis: int = 0, reverse: bool = False) -> Tensor:
    """One tensor of the values of all iterations, along a new axis."""
    if not items:
        raise Unsupported("a loop without iterations has empty scan outputs")
    return stacked(b, list(items)[::-1] if reverse else list(items), axis=axis)


MAY_FAIL = frozenset(
    ("Gather", "GatherElements", "GatherND", "Scatter", "ScatterElements", "ScatterND", "TensorScatter", "SequenceAt")
    + ("Div", "Mod")
)
"""Operators that runtimes refuse to compute for some values: positions outside of a tensor, integers divided by 0."""


@to_nnef("onnx", "Loop")
def loop(b: Builder, limit: Tensor | None, condition: Tensor | None, *carried: Tensor, body: Graph) -> list[Any]:
    """Loop: the body as often as it can run at most; what rounds compute that the source would not run is dropped."""
    collected: list[list[Any]] = []
    yes = b.constant(np.asarray(True))
    count = Range(math.inf, math.inf) if limit is None else value_range(b, limit) or ANY

    def is_left(iteration: int, condition: Tensor | None) -> Tensor:
        if iteration >= count.high:
            return b.constant(np.asarray(False))
        parts = [] if condition is None or decided(b, condition) else [reshape(b, condition, [])]
        if limit is not None and iteration >= count.low:
            parts.append(b.gt(reshape(b, limit, []), b.constant(iteration, np.int64)))
        return reduce(b.and_, parts) if parts else yes

    def run(iteration: int, state: list[Any]) -> tuple[Tensor, list[Any]]:
        assert b.inline is not None
        again, *results = b.inline(body, [b.constant(np.asarray(iteration, np.int64)), yes, *state])
        collected.append(results[len(state) :])
        return is_left(iteration + 1, again), results[: len(state)]

    wanted = [*b.wanted, *[False] * (len(body.outputs) - 1 - len(b.wanted))]
    state, is_counted = repeated(
        b,
        carried,
        is_left(0, condition),
        run,
        wanted=wanted[: len(carried)],
        bound=count.high,
        guarded=not MAY_FAIL.isdisjoint(_types(body)),
        counts=body.inputs[0].has_consumer,
    )
    if not is_counted:
        text = f"Loop whose end is computed: all {len(collected)} rounds that there can be are made, and selected from"
        b.warnings[text] = None
    return [*state, *_scanned(b, collected, wanted[len(carried) :], is_counted)]


def _scanned(b: Builder, collected: list[list[Any]], wanted: list[bool], is_counted: bool) -> list[Tensor | None]:
    """What the rounds of a loop give, stacked. wanted: which of it is used. is_counted: are all rounds made?"""
    if any(wanted) and not is_counted:
        raise Unsupported(
            "the shape of the result depends on the data: a part for each round, and their number is computed"
        )
    return [_stacked(b, [items[k] for items in collected]) if used else None for k, used in enumerate(wanted)]


def _types(graph: Graph) -> set[str]:
    """The types of the operators in a graph and the graphs in it."""
    found = {str(op.type) for op in graph.operations}
    nested = (v for op in graph.operations for v in op.attribs.values() if isinstance(v, Graph))
    return found.union(*map(_types, nested))


@to_nnef("onnx", "Scan", since=8)
def scan_batches(
    b: Builder,
    sequence_lens: Ints | None,
    *inputs: Tensor,
    body: Graph,
    num_scan_inputs: int,
    directions: list[int] | None = None,
) -> list[Tensor | None]:
    """Scan-8: `scan` for each sequence of a batch, which is the first axis of all inputs and results."""
    batch, length = shape(inputs[-1])[:2]
    if sequence_lens is not None and set(sequence_lens) != {length}:
        raise Unsupported(
            f"sequence_lens = {sequence_lens}: ONNX does not define what follows on sequences shorter than {length}"
        )
    sequences = zip(*(b.unstack(x, axis=0) if batch > 1 else [squeeze(b, x, [0])] for x in inputs), strict=True)
    results = [
        scan(b, *parts, body=body, num_scan_inputs=num_scan_inputs, scan_input_directions=directions)
        for parts in sequences
    ]
    return [_stacked(b, [t for t in items if t is not None]) for items in zip(*results, strict=True)]


@to_nnef("onnx", "Scan", since=9)
def scan(
    b: Builder,
    *inputs: Tensor,
    body: Graph,
    num_scan_inputs: int,
    scan_input_axes: list[int] | None = None,
    scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None,
    scan_output_directions: list[int] | None = None,
) -> list[Tensor | None]:
    """Scan: the body is repeated for each slice of the scanned inputs."""
    assert b.inline is not None
    split = len(inputs) - num_scan_inputs
    state: list[Tensor | None] = list(inputs[:split])
    scanned = inputs[split:]
    in_axes = [positive(k, len(shape(x))) for k, x in zip(scan_input_axes or [0] * len(scanned), scanned, strict=True)]
    backwards = scan_input_directions or [0] * len(scanned)
    extents = {shape(x)[k] for x, k in zip(scanned, in_axes, strict=True)}
    if len(extents) != 1:
        raise Unsupported(f"the scanned inputs have different lengths {sorted(extents)}")
    length = extents.pop()
    collected: list[list[Tensor]] = []
    for iteration in range(length):
        b.steps.take(1, len(b.graph.operations))
        items = []
        for x, k, reverse in zip(scanned, in_axes, backwards, strict=True):
            at = length - 1 - iteration if reverse else iteration
            items.append(squeeze(b, slice_axes(b, x, [at], [at + 1], [k], [1]), [k]))
        results = b.inline(body, [*state, *items])
        state = results[: len(state)]
        collected.append([t for t in results[len(state) :] if t is not None])
    count = len(body.outputs) - len(state)
    axes = scan_output_axes or [0] * count
    reversed_outputs = scan_output_directions or [0] * count
    stacked = [_stacked(b, [items[k] for items in collected], axes[k], bool(reversed_outputs[k])) for k in range(count)]
    return [*state, *stacked]
