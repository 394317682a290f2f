"""Blocks that occur several times in a row: found by their structure, and drawn once with a count.

Two boxes agree if types, attributes, shapes and weights' shapes do, and if each input comes from as far before, or from
the very same box. A run of boxes that agree with those one period later is a repetition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
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

Links = dict[int, Link]


@dataclass(frozen=True)
class Repetition:
    """`count` blocks of `period` items in a row. saved: boxes that are left out if it is drawn once."""

    start: int
    period: int
    count: int
    saved: int

    @property
    def end(self) -> int:
        return self.start + self.period * self.count


def folded(scene: Scene) -> Scene:
    """The scene with repeated blocks drawn once, those in inner groups first."""
    links = dict(enumerate(scene.links))
    children = _folded_level(scene.children, list(links), links)
    return Scene(scene.title, children, list(links.values()), scene.left_out)


def _folded_level(items: list[Item], touching: list[int], links: Links) -> list[Item]:
    """The items with repetitions folded. touching: the links with an end in them; those of `links` change in place."""
    index = children_by_node(items)
    inner: dict[int, list[int]] = {}
    for k in touching:
        for child in {index.get(links[k].source, -1), index.get(links[k].target, -1)} - {-1}:
            inner.setdefault(child, []).append(k)
    for child, item in enumerate(items):
        if isinstance(item, Group):
            item.children = _folded_level(item.children, [k for k in inner.get(child, ()) if k in links], links)
    while len(items) > 1:
        touching = [k for k in touching if k in links]
        level = _Level(items, [links[k] for k in touching])
        found = level.repetitions()
        if not found:
            break
        items = level.fold(found, touching, links)
    return items


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
        known: dict[Hashable, int] = {}
        self.signatures = [
            known.setdefault(signature(item, tuple(sorted(own[k]))), len(known)) for k, item in enumerate(self.items)
        ]
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

    def repetitions(self) -> list[Repetition]:
        """The repetitions that leave out most boxes, and do not overlap, in order."""
        found: list[Repetition] = []
        weights = [sum(1 for _ in nodes_of([item])) for item in self.items]
        for period in self._periods():
            start, last = 0, len(self.items) - period
            while start < last:
                if self.signatures[start] != self.signatures[start + period]:
                    start += 1
                    continue
                length = self._run(start, period)
                count = length // period + 1
                if count > 1:
                    first = min(range(start, start + length % period + 1), key=lambda a: (self._crossing(a, period), a))
                    saved = sum(weights[first + period : first + count * period])
                    found += [Repetition(first, period, count, saved)] if saved >= MIN_SAVED else []
                start += max(1, length)
        chosen: list[Repetition] = []
        taken: set[int] = set()
        for one in sorted(found, key=lambda one: (-one.saved, one.period, one.start)):
            if taken.isdisjoint(range(one.start, one.end)):
                chosen.append(one)
                taken.update(range(one.start, one.end))
        return sorted(chosen, key=lambda one: one.start)

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

    def fold(self, found: Sequence[Repetition], touching: Sequence[int], links: Links) -> list[Item]:
        """The items with a group in the place of each repetition; links of its first block stand for those of all."""
        result: list[Item] = []
        copy: dict[Node, tuple[int, int]] = {}
        hidden: dict[Node, Node] = {}
        at = 0
        for one in found:
            copies = [self.items[k : k + one.period] for k in range(one.start, one.end, one.period)]
            first = list(nodes_of(copies[0]))
            own: dict[Node, Node] = {}
            for k, items in enumerate(copies):
                for shown, node in zip(first, nodes_of(items), strict=True):
                    copy[node] = one.start, k
                    if k:
                        own[node] = shown
            for group in groups_of([item for items in copies[1:] for item in items]):
                own.update({node: own[shown] for node, shown in group.hidden.items()})
            hidden.update(own)
            result += [*self.items[at : one.start], _block(copies[0], one.count, own)]
            at = one.end
        seen: set[Link] = set()
        for k in touching:
            link = links[k]
            a, b = copy.get(link.source), copy.get(link.target)
            source, target = hidden.get(link.source, link.source), hidden.get(link.target, link.target)
            tensor = link.tensor if source is link.source else source.outputs[_tensor_number(link)]
            links[k] = Link(source, target, tensor)
            is_inner = a is not None and b is not None and a[0] == b[0]
            if (is_inner and (a != b or a[1])) or links[k] in seen:  # type: ignore[index]
                del links[k]
            else:
                seen.add(links[k])
        return [*result, *self.items[at:]]


def _block(items: list[Item], count: int, hidden: dict[Node, Node]) -> Group:
    """The group that stands for a repetition, by its first block; if that is a group of its own, it is the block."""
    only = items[0]
    if len(items) == 1 and isinstance(only, Group) and only.count == 1:
        only.kind, only.count = "block", count
        only.hidden.update(hidden)
        return only
    return Group("block", "", items, count, hidden)


def _tensor_number(link: Link) -> int:
    return next(k for k, tensor in enumerate(link.source.outputs) if tensor is link.tensor)


def signature(item: Item, inner: Hashable = ()) -> Hashable:
    """What two items must have in common to be drawn as one. inner: the links within the item."""
    if isinstance(item, Group):
        return item.kind, item.count, tuple(signature(child) for child in item.children), inner
    rows = tuple((row.title, row.weights, _attributes(row)) for row in item.rows)
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
