"""A page with two models beside each other, their differences marked."""

from __future__ import annotations

from typing import Any

from ...model import Operation
from ..difference import Change, Difference
from .nodes import Look
from .page import Side, page
from .render import views_of


def comparison_page(found: Difference, titles: tuple[str, str]) -> str:
    """The text of the page."""
    numbers = [{op: k for k, op in enumerate(graph.operations)} for graph in (found.a, found.b)]
    sides = []
    for side, graph in enumerate((found.a, found.b)):
        changes = {_operation(change, side): change for change in found.changes}
        own = {op: change for op, change in changes.items() if op is not None}
        sides.append(
            Side(
                titles[side],
                graph,
                views_of(graph, Look(expand=True)),
                marks={op: change.kind for op, change in own.items()},
                partners={op: numbers[1 - side][found.partners[op]] for op in numbers[side] if op in found.partners},
                notes={op: change.details for op, change in own.items()},
            )
        )
    return page(f"{titles[0]} and {titles[1]}", sides, [_entry(change, numbers) for change in found.changes])


def _operation(change: Change, side: int) -> Operation | None:
    return change.b if side else change.a


def _entry(change: Change, numbers: list[dict[Operation, int]]) -> dict[str, Any]:
    """An entry of the list of changes: with the numbers of its operations, None for none."""
    ends = [None if op is None else numbers[side][op] for side, op in enumerate((change.a, change.b))]
    return {"kind": change.kind, "text": change.text, "a": ends[0], "b": ends[1]}
