"""Places of cells within their layers, such that lines are as straight as the order and the sizes allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf

from .layers import Cell, Wire

SWEEPS = 30
STRAIGHTENED = 3
SETTLED = 0.1
"""If no cell moves farther in a sweep, it was the last one."""
GAP = 18.0
"""Between two neighbors in a layer."""

STRAIGHT = {2: 12.0, 1: 1.0, 0: 1.0}
"""Weight of a wire by the number of its ends that only pass, which have to be straight above all."""

Offset = Callable[[Wire, bool], float]
"""Place of an end of a wire, from the middle of its cell. The flag: is it the lower end?"""


def place(layers: Sequence[Sequence[Cell]], width: Callable[[Cell], float], offset: Offset) -> dict[Cell, float]:
    """The x coordinate of the middle of each cell, whole; cells of a layer do not overlap and stay in order.

    Each layer in turn is put where its wires to the layer above, below or both are shortest, in the sense of least
    squares; with the borders between cells this is a monotone regression, solved exactly by pooling neighbors.
    """
    x: dict[Cell, float] = {}
    for layer in layers:
        at = -sum(width(cell) + GAP for cell in layer) / 2
        for cell in layer:
            x[cell] = at + (width(cell) + GAP) / 2
            at += width(cell) + GAP
    for layer in layers:
        for a, b in pairwise(layer):
            a.right, b.left = b, a
    pulls = {cell: _pulls(cell, offset) for layer in layers for cell in layer}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        both = sweep >= SWEEPS // 2
        moved = 0.0
        for layer in layers if down else reversed(layers):
            moved = max(moved, _settle(layer, x, pulls, width, above=down or both, below=not down or both))
        if both and moved < SETTLED:
            break
    for _ in range(STRAIGHTENED):
        for run in _runs(layers):
            _straighten(run, x, width, offset)
    return {cell: float(round(at)) for cell, at in x.items()}


def _runs(layers: Sequence[Sequence[Cell]]) -> list[list[Wire]]:
    """Wires that follow each other as one line should: through trunks, and from one box to the only next one."""
    following: dict[Cell, Wire] = {}
    for layer in layers:
        for cell in layer:
            for wire in cell.below:
                passes = cell.item is None and wire.target.item is None
                single = len(cell.below) == 1 and len(wire.target.above) == 1
                if passes or single:
                    following[cell] = wire
    targets = {wire.target for wire in following.values()}
    runs = []
    for cell in following:
        if cell not in targets:
            run = [following[cell]]
            while run[-1].target in following:
                run.append(following[run[-1].target])
            runs.append(run)
    return runs


def _straighten(
    run: Sequence[Wire],
    x: dict[Cell, float],
    width: Callable[[Cell], float],
    offset: Offset,
) -> None:
    """Moves the cells of a run so that it is as few straight lines as the room between their neighbors allows."""
    shift = 0.0
    shifts = [(run[0].source, shift)]
    for wire in run:
        shift += offset(wire, False) - offset(wire, True)
        shifts.append((wire.target, shift))
    part: list[tuple[Cell, float]] = []
    low, high = -inf, inf
    for cell, shift in shifts:
        left, right = cell.left, cell.right
        first = -inf if left is None else x[left] + (width(left) + width(cell)) / 2 + GAP - shift
        last = inf if right is None else x[right] - (width(right) + width(cell)) / 2 - GAP - shift
        if max(low, first) > min(high, last):
            _align(part, x, low, high)
            part, low, high = [], first, last
        low, high = max(low, first), min(high, last)
        part.append((cell, shift))
    _align(part, x, low, high)


def _align(part: Sequence[tuple[Cell, float]], x: dict[Cell, float], low: float, high: float) -> None:
    """Puts cells on a line between two bounds, near to where they are."""
    if part and low <= high:
        line = min(max(sum(x[cell] - shift for cell, shift in part) / len(part), low), high)
        for cell, shift in part:
            x[cell] = line + shift


Pull = tuple[Cell, float, float]
"""The cell at the other end of a wire, how far the middles have to be apart, weight."""


def _pulls(cell: Cell, offset: Offset) -> tuple[list[Pull], list[Pull]]:
    """Of the wires above and below."""
    above = [(w.source, offset(w, False) - offset(w, True), _weight(w)) for w in cell.above]
    below = [(w.target, offset(w, True) - offset(w, False), _weight(w)) for w in cell.below]
    return above, below


def _weight(wire: Wire) -> float:
    passing = (wire.source.item is None) + (wire.target.item is None)
    single = len(wire.source.below) == 1 and len(wire.target.above) == 1
    return STRAIGHT[passing] * (4.0 if single else 1.0)


def _settle(
    layer: Sequence[Cell],
    x: dict[Cell, float],
    pulls: dict[Cell, tuple[list[Pull], list[Pull]]],
    width: Callable[[Cell], float],
    *,
    above: bool,
    below: bool,
) -> float:
    """Puts a layer where it wants to be, and returns how far a cell moves at most."""
    means, weights, shifts = [], [], []
    shift = 0.0
    for k, cell in enumerate(layer):
        own = (pulls[cell][0] if above else []) + (pulls[cell][1] if below else [])
        total = sum(weight for _, _, weight in own)
        wanted = sum((x[other] + apart) * weight for other, apart, weight in own) / total if own else x[cell]
        if k:
            shift += (width(layer[k - 1]) + width(cell)) / 2 + GAP
        means.append(wanted - shift)
        weights.append(total if own else 0.05)
        shifts.append(shift)
    moved = 0.0
    for cell, value, shift in zip(layer, _monotone(means, weights), shifts, strict=True):
        moved = max(moved, abs(x[cell] - value - shift))
        x[cell] = value + shift
    return moved


def _monotone(means: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence that is nearest by weighted least squares."""
    pools: list[tuple[float, float, int]] = []
    for mean, weight in zip(means, weights, strict=True):
        count = 1
        while pools and pools[-1][0] > mean:
            other, other_weight, other_count = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            count += other_count
        pools.append((mean, weight, count))
    return [mean for mean, _, count in pools for _ in range(count)]
