"""The columns of a tall picture: it is cut between layers where a single tensor leads on, to fit a page best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .layers import Plan

PAGE = 1.3
"""Height of a page, in its widths."""

GUTTER = 44.0
TOP = 30.0
"""Room above the first layer of a further column, for the line that comes in."""

SMALLEST = 900.0
"""Pictures that are not taller are not cut."""

MAX_COLUMNS = 8

GAIN = 1.15
"""How much larger a further column must make the picture."""


@dataclass(frozen=True)
class Column:
    """The layers from `first` to before `end`, moved by x and y. bottom: where they end. gutter: x of the way up to the
    column from the one before."""

    first: int
    end: int
    x: float
    y: float
    bottom: float = 0
    gutter: float = 0


def columns(
    plan: Plan, tops: Sequence[float], bottoms: Sequence[float], spans: Sequence[tuple[float, float]]
) -> list[Column]:
    """The columns by which the picture is printed largest on a page; none if one is enough.

    tops, bottoms: of the layers. spans: left and right end of each.
    """
    if not bottoms or bottoms[-1] <= SMALLEST:
        return []
    cuts = _cuts(plan)
    if not cuts:
        return []
    best: tuple[float, list[Column]] = (_scale(max(b for _, b in spans) - min(a for a, _ in spans), bottoms[-1]), [])
    for count in range(2, MAX_COLUMNS + 1):
        bounds = _bounds(cuts, tops, bottoms, count)
        if len(bounds) != count + 1:
            break
        made = _placed(bounds, tops, bottoms, spans)
        right = max(column.x + max(b for _, b in spans[column.first : column.end]) for column in made)
        scale = _scale(right, max(column.bottom for column in made))
        if scale > best[0] * GAIN:
            best = scale, made
    return best[1]


def _scale(width: float, height: float) -> float:
    return min(1 / max(width, 1.0), PAGE / max(height, 1.0))


def _cuts(plan: Plan) -> list[int]:
    """The layers before which the picture may be cut: a single wire leads there."""
    return [k + 1 for k, layer in enumerate(plan.layers[:-1]) if sum(len(cell.below) for cell in layer) == 1]


def _bounds(cuts: Sequence[int], tops: Sequence[float], bottoms: Sequence[float], count: int) -> list[int]:
    """Where columns begin and end, such that the tallest one is lowest: by halving the height that is allowed."""

    def fill(height: float) -> list[int]:
        bounds = [0]
        for cut, after in zip(cuts, [*cuts[1:], len(tops)], strict=True):
            if bottoms[after - 1] - tops[bounds[-1]] > height:
                bounds.append(cut)
        return [*bounds, len(tops)]

    low, high = 0.0, bottoms[-1]
    for _ in range(30):
        middle = (low + high) / 2
        if len(fill(middle)) <= count + 1:
            high = middle
        else:
            low = middle
    return fill(high)


def _placed(
    bounds: Sequence[int], tops: Sequence[float], bottoms: Sequence[float], spans: Sequence[tuple[float, float]]
) -> list[Column]:
    made: list[Column] = []
    right = 0.0
    for k, (first, end) in enumerate(pairwise(bounds)):
        left = min(a for a, _ in spans[first:end])
        x = right + (GUTTER if k else 0) - left
        y = (TOP if k else 0) - tops[first]
        made.append(Column(first, end, x, y, bottoms[end - 1] + y, right + GUTTER / 2))
        right = x + max(b for _, b in spans[first:end])
    return made
