"""Blocks that occur several times in a row: found by their structure, and drawn once with a count.

Two boxes agree if types, attributes, shapes and weights' shapes do, and if each input comes from as far before, or from
the very same box. A run of boxes that agree with those one period later is a repetition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from ...model import Graph
from .scene import Group, Item, Link, Node, Scene, children_by_node, groups_of, nodes_of
from .scopes import sorted_items

MIN_SAVED = 3
"""A block is folded if that leaves out at least so many boxes."""

MAX_PERIODS = 12
"""How many periods are tried, those that most boxes suggest."""

Reference = tuple[Node, int, int, int, int]
"""Source box, distance of its item, number of the box in that item and of the tensor, number of the target box."""


def folded(scene: Scene) -> Scene:
    """The scene with repeated blocks drawn once, those in inner groups first."""
    children, links = _folded_level(scene.children, scene.links)
    return Scene(scene.title, children, links, scene.left_out)


def _folded_level(items: list[Item], links: list[Link]) -> tuple[list[Item], list[Link]]:
    result: list[Item] = []
    for item in items:
        if isinstance(item, Group):
            item.children, links = _folded_level(item.children, links)
        result.append(item)
    while len(result) > 1:
        level = _Level(result, links)
        found = level.best_repetition()
        if found is None:
            break
        result, links = level.fold(*found)
    return result, links


class _Level:
    """The items of one level in order, with what is needed to compare them."""

    def __init__(self, items: Sequence[Item], links: Sequence[Link]) -> None:
        self.items = sorted_items(items, links)
        self.links = links
        self.index = children_by_node(self.items)
        self.place = {node: k for item in self.items for k, node in enumerate(nodes_of([item]))}
        own: list[list[tuple[int, int, int]]] = [[] for _ in self.items]
        for link in links:
            k = self.index.get(link.source)
            if k is not None and k == self.index.get(link.target):
                own[k].append((self.place[link.source], self.place[link.target], _tensor_number(link)))
        self.signatures = [signature(item, tuple(sorted(own[k]))) for k, item in enumerate(self.items)]
        self.references = self._references()

    def _references(self) -> list[list[Reference]]:
        found: list[list[Reference]] = [[] for _ in self.items]
        for link in self.links:
            target = self.index.get(link.target)
            source = self.index.get(link.source)
            if target is None or source == target:
                continue
            distance = 0 if source is None else target - source
            number = self.place.get(link.source, 0)
            found[target].append((link.source, distance, number, _tensor_number(link), self.place[link.target]))
        return found

    def _agree(self, a: int, b: int, start: int, outer: dict[tuple[Node, int], tuple[Node, int]]) -> bool:
        """Do two items have the same structure, with inputs from corresponding places?

        start: of the run that they are in. outer: what is before the run -> what stands in its place one period later.
        """
        if self.signatures[a] != self.signatures[b] or len(self.references[a]) != len(self.references[b]):
            return False
        for x, y in zip(self.references[a], self.references[b], strict=True):
            if x[3:] != y[3:]:
                return False
            if x[0] is y[0]:
                continue
            if x[1] and a - x[1] >= start:
                if x[1:3] != y[1:3]:
                    return False
            elif not start <= b - y[1] < b or outer.setdefault((x[0], x[3]), (y[0], y[3])) != (y[0], y[3]):
                return False
        return True

    def best_repetition(self) -> tuple[int, int, int] | None:
        """Start, period and count of the repetition that leaves out most boxes."""
        best: tuple[float, tuple[int, int, int]] | None = None
        weights = [sum(1 for _ in nodes_of([item])) for item in self.items]
        for period in self._periods():
            start = 0
            while start + period < len(self.items):
                length = self._run(start, period)
                count = length // period + 1
                if count > 1:
                    first = min(range(start, start + length % period + 1), key=lambda a: (self._crossing(a, period), a))
                    saved = sum(weights[first + period : first + count * period])
                    if saved >= MIN_SAVED and (best is None or saved > best[0]):
                        best = saved, (first, period, count)
                start += max(1, length)
        return best[1] if best else None

    def _run(self, start: int, period: int) -> int:
        """How many items from a start on agree with those one period later."""
        length, end = 0, len(self.items) - period
        outer: dict[tuple[Node, int], tuple[Node, int]] = {}
        while start + length < end and self._agree(start + length, start + length + period, start, outer):
            length += 1
        return length

    def _periods(self) -> list[int]:
        places: dict[Hashable, list[int]] = {}
        votes: Counter[int] = Counter()
        for k, own in enumerate(self.signatures):
            before = places.setdefault(own, [])
            votes.update(k - other for other in before[-MAX_PERIODS:])
            before.append(k)
        return sorted(period for period, _ in votes.most_common(MAX_PERIODS))

    def _crossing(self, start: int, period: int) -> int:
        """The number of tensors that cross the first inner border of a repetition."""
        border = start + period
        crossing = set()
        for k in range(border, min(border + period, len(self.items))):
            for source, distance, _, number, _ in self.references[k]:
                if distance and start <= k - distance < border:
                    crossing.add((source, number))
        return len(crossing)

    def fold(self, start: int, period: int, count: int) -> tuple[list[Item], list[Link]]:
        """The items with a group in the place of a repetition, and the links with its first block in that of all."""
        copies = [self.items[start + k * period : start + (k + 1) * period] for k in range(count)]
        first = list(nodes_of(copies[0]))
        copy = {node: (k, j) for k, items in enumerate(copies) for j, node in enumerate(nodes_of(items))}
        hidden = {node: first[j] for node, (k, j) in copy.items() if k}
        for group in groups_of([item for items in copies[1:] for item in items]):
            hidden.update({node: hidden[shown] for node, shown in group.hidden.items()})
        links: dict[Link, None] = {}
        for link in self.links:
            a, b = copy.get(link.source), copy.get(link.target)
            if a and b and (a[0] != b[0] or a[0]):
                continue
            source, target = hidden.get(link.source, link.source), hidden.get(link.target, link.target)
            tensor = link.tensor if source is link.source else source.outputs[_tensor_number(link)]
            links[Link(source, target, tensor)] = None
        only = copies[0][0]
        if period == 1 and isinstance(only, Group) and only.count == 1:
            only.kind, only.count = "block", count
            only.hidden.update(hidden)
            block = only
        else:
            block = Group("block", "", copies[0], count, hidden)
        rest = self.items[start + count * period :]
        return [*self.items[:start], block, *rest], list(links)


def _tensor_number(link: Link) -> int:
    return next(k for k, tensor in enumerate(link.source.outputs) if tensor is link.tensor)


def signature(item: Item, inner: Hashable = ()) -> Hashable:
    """What two items must have in common to be drawn as one. inner: the links within the item."""
    if isinstance(item, Group):
        return item.kind, item.count, tuple(signature(child) for child in item.children), inner
    rows = tuple((row.title, row.small, _attributes(row)) for row in item.rows)
    outputs = tuple((tensor.shape, tensor.dtype) for tensor in item.outputs)
    own = "" if item.kind == "operation" else id(item)
    return item.kind, own, rows, outputs


def _attributes(row: Any) -> Hashable:
    operation = row.operation
    return () if operation is None else tuple(sorted((key, _hashable(v)) for key, v in operation.attribs.items()))


def _hashable(value: Any) -> str:
    """An attribute as text that is the same for equal ones only; graphs are equal to themselves only."""
    if isinstance(value, Graph):
        return f"graph {id(value)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hash(value.tobytes())}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_hashable, value))}]"
    return repr(value)
