"""Control flow that is decided when the model is converted: branches are chosen, loops are unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Graph, Tensor
from ...building.lists import TensorList, stacked
from ...building.nnef import Builder
from ...compose.slicing import slice_axes
from ...engine.rules import Bool, Int, Ints, to_nnef
from ..common import positive, reshape, shape, squeeze


@to_nnef("onnx", "If")
def if_else(b: Builder, condition: Tensor, *, then_branch: Graph, else_branch: Graph) -> list[Tensor | None]:
    """If: with a constant condition the chosen branch takes its place, else both are computed and one is selected.

    The selection is exact, as operators have no side effects; the results of both must have the same shape. A branch
    that no runtime can compute with inputs of these shapes is never chosen where the model gives a result.
    """
    assert b.inline is not None
    known = b.value(condition)
    if known is not None:
        return b.inline(then_branch if bool(known.reshape(())) else else_branch, [])
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


def selected(b: Builder, condition: Tensor, x: Any, y: Any) -> Any:
    """x where the condition, a tensor of one item, is true, else y; item by item for sequences of one length."""
    if x is y:
        return x
    if isinstance(x, TensorList) and isinstance(y, TensorList):
        if len(x.items) != len(y.items):
            raise Unsupported(
                f"the length of a sequence depends on the condition: {len(x.items)} or {len(y.items)} items"
            )
        pairs = zip(x.items, y.items, strict=True)
        return TensorList(tuple(selected(b, condition, first, second) for first, second in pairs), x.dtype)
    if shape(x) != shape(y):
        raise Unsupported(f"the shape of the result depends on the condition: {shape(x)} or {shape(y)}")
    return b.select(reshape(b, condition, [1] * len(shape(x))), x, y)


def _stacked(b: Builder, items: Sequence[Tensor], axis: int = 0, reverse: bool = False) -> Tensor:
    """One tensor of the values of all iterations, along a new axis."""
    if not items:
        raise Unsupported("a loop without iterations has empty scan outputs")
    return stacked(b, list(items)[::-1] if reverse else list(items), axis=axis)


@to_nnef("onnx", "Loop")
def loop(b: Builder, limit: Int | None, condition: Bool | None, *carried: Tensor, body: Graph) -> list[Tensor | None]:
    """Loop with a trip count that follows from constants: the body is repeated."""
    assert b.inline is not None
    state: list[Tensor | None] = list(carried)
    collected: list[list[Tensor]] = []
    running = condition is None or condition
    iteration = 0
    while running and (limit is None or iteration < limit):
        b.steps.take(1, len(b.graph.operations))
        going = b.constant(np.asarray(True))
        results = b.inline(body, [b.constant(np.asarray(iteration, np.int64)), going, *state])
        test = None if results[0] is None else b.value(results[0])
        if test is None:
            raise Unsupported("the number of iterations depends on the data")
        running = bool(test)
        state = results[1 : len(state) + 1]
        collected.append([t for t in results[len(state) + 1 :] if t is not None])
        iteration += 1
    count = len(body.outputs) - 1 - len(state)
    return [*state, *(_stacked(b, [items[k] for items in collected]) for k in range(count))]


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
