"""Layers of the items of one group, and their order from left to right: all of a layout that does not depend on sizes.

The method is that of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures"
(1981). A tensor is one trunk that passes through the layers between its source and its last target, and branches there.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from random import Random

from ...model import Tensor
from .scene import Group, Item, Link, Node, Scene, children_by_node, groups_of

SWEEPS = 10
TRIES = 8
TRIED_CELLS = 400
"""Further first orders are tried in plans that are not larger."""

SWAPS = 40
"""Cells of a layer at most, for neighbors to be exchanged where that avoids crossings."""

Key = tuple[Node, Tensor]
"""A tensor, with the box that it comes from."""


@dataclass(eq=False)
class Cell:
    """A place in a layer: of an item, of a trunk that passes (`key`), or of its end at the border of the group."""

    item: Item | None = None
    key: Key | None = None
    above: list[Wire] = field(default_factory=list)
    below: list[Wire] = field(default_factory=list)
    left: Cell | None = None
    right: Cell | None = None


@dataclass(eq=False)
class Wire:
    """A piece of a trunk between two cells in neighboring layers.

    upper, lower: where it ends in its cells, from 0 at the left to 1 at the right.
    """

    key: Key
    source: Cell
    target: Cell
    upper: float = 0.5
    lower: float = 0.5


@dataclass(eq=False)
class Plan:
    """The layers of a group from top to bottom, in order. entries, exits: cells of tensors that come in and go out."""

    layers: list[list[Cell]]
    entries: dict[Key, Cell]
    exits: dict[Key, Cell]


Plans = dict[Group, Plan]


def plans_of(scene: Scene) -> tuple[Plan, Plans]:
    """The plan of the outermost level of a scene, and those of its groups, made from the inside out."""
    links = links_by_group(scene)
    inner: Plans = {}
    for group in reversed(list(groups_of(scene.children))):
        inner[group] = plan(group.children, links[group], inner)
    return plan(scene.children, scene.links, inner), inner


def links_by_group(scene: Scene) -> dict[Group, list[Link]]:
    """The links that begin or end in each group."""
    owners: dict[Node, list[Group]] = {}

    def walk(items: Sequence[Item], outer: list[Group]) -> None:
        for item in items:
            if isinstance(item, Node):
                owners[item] = outer
            else:
                walk(item.children, [*outer, item])

    walk(scene.children, [])
    found: dict[Group, list[Link]] = {group: [] for group in groups_of(scene.children)}
    for link in scene.links:
        for group in dict.fromkeys((*owners[link.source], *owners[link.target])):
            found[group].append(link)
    return found


def plan(items: Sequence[Item], links: Iterable[Link], inner: Plans) -> Plan:
    """The plan of a group with these items. links: all with an end in one of them. inner: of the groups among these."""
    index = children_by_node(items)
    own = [link for link in links if index.get(link.source) != index.get(link.target)]
    ranks = _ranks(items, own, index)
    has_entries = any(link.source not in index for link in own)
    has_exits = any(link.target not in index for link in own)
    shift = 1 if has_entries else 0
    count = max(ranks, default=-1) + 1 + shift + (1 if has_exits else 0)
    result = Plan([[] for _ in range(count)], {}, {})
    cells = [Cell(item) for item in items]
    targets: dict[Key, dict[Cell, int]] = {}
    for cell, rank in zip(cells, ranks, strict=True):
        result.layers[rank + shift].append(cell)
    for link in own:
        key = link.source, link.tensor
        if link.source not in index and key not in result.entries:
            result.entries[key] = Cell(key=key)
            result.layers[0].append(result.entries[key])
        if link.target in index:
            k = index[link.target]
            targets.setdefault(key, {})[cells[k]] = ranks[k] + shift
        else:
            if key not in result.exits:
                result.exits[key] = Cell(key=key)
                result.layers[-1].append(result.exits[key])
            targets.setdefault(key, {})[result.exits[key]] = count - 1
    for key, ends in targets.items():
        inside = index.get(key[0])
        source, rank = (result.entries[key], 0) if inside is None else (cells[inside], ranks[inside] + shift)
        _draw_trunk(result, key, source, rank, ends)
    for cell in (cell for layer in result.layers for cell in layer):
        for wire in cell.below:
            wire.upper, wire.lower = (
                _exit_place(cell.item, wire.key, inner),
                _entry_place(wire.target.item, wire.key, inner),
            )
    _order(result.layers)
    return result


def _exit_place(item: Item | None, key: Key, inner: Plans) -> float:
    if isinstance(item, Group):
        ends = inner[item].layers[-1]
        return (ends.index(inner[item].exits[key]) + 1) / (len(ends) + 1)
    return 0.5 if item is None else (item.outputs.index(key[1]) + 1) / (len(item.outputs) + 1)


def _entry_place(item: Item | None, key: Key, inner: Plans) -> float:
    if not isinstance(item, Group):
        return 0.5
    ends = inner[item].layers[0]
    return (ends.index(inner[item].entries[key]) + 1) / (len(ends) + 1)


def _ranks(items: Sequence[Item], links: Iterable[Link], index: dict[Node, int]) -> list[int]:
    """Layers by the longest way to each item; what has few inputs moves down to what it is used by."""
    after: list[set[int]] = [set() for _ in items]
    count = [0] * len(items)
    used_below = [False] * len(items)
    for link in links:
        a, b = index.get(link.source), index.get(link.target)
        if a is not None and b is None:
            used_below[a] = True
        elif a is not None and b is not None and b not in after[a]:
            after[a].add(b)
            count[b] += 1
    before = list(count)
    ranks = [0] * len(items)
    ready = [k for k, number in enumerate(count) if number == 0]
    order = []
    while ready:
        k = ready.pop()
        order.append(k)
        for other in after[k]:
            ranks[other] = max(ranks[other], ranks[k] + 1)
            count[other] -= 1
            if count[other] == 0:
                ready.append(other)
    for k in reversed(order):
        if after[k] and not used_below[k] and before[k] < len(after[k]) + (before[k] == 0):
            ranks[k] = min(ranks[other] for other in after[k]) - 1
    return ranks


def _draw_trunk(result: Plan, key: Key, source: Cell, rank: int, ends: dict[Cell, int]) -> None:
    trunk = source
    for layer in range(rank + 1, max(ends.values()) + 1):
        for cell, at in ends.items():
            if at == layer:
                _connect(Wire(key, trunk, cell))
        if any(at > layer for at in ends.values()):
            passing = Cell(key=key)
            result.layers[layer].append(passing)
            _connect(Wire(key, trunk, passing))
            trunk = passing


def _connect(wire: Wire) -> None:
    wire.source.below.append(wire)
    wire.target.above.append(wire)


def _upper(wire: Wire) -> float:
    return wire.upper


def crossings(layers: Sequence[Sequence[Cell]]) -> int:
    """The number of crossings between neighboring layers."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {cell: k for k, cell in enumerate(lower)}
        passed: list[float] = []
        for cell in upper:
            for _, wires in groupby(sorted(cell.below, key=_upper), _upper):
                ends = [place[wire.target] + wire.lower for wire in wires]
                total += sum(len(passed) - bisect_right(passed, end) for end in ends)
                for end in ends:
                    insort(passed, end)
    return total


def _order(layers: list[list[Cell]]) -> None:
    """Orders the cells of all layers, in place, from several first orders; that with the fewest crossings counts."""
    best, fewest = _swept(layers)
    random = Random(0)
    tries = TRIES if sum(map(len, layers)) <= TRIED_CELLS else 0
    for attempt in range(tries):
        if not fewest:
            break
        start = (
            [layer[::-1] for layer in layers]
            if attempt == 0
            else [random.sample(layer, len(layer)) for layer in layers]
        )
        order, count = _swept(start)
        if count < fewest:
            best, fewest = order, count
    layers[:] = best


def _swept(start: list[list[Cell]]) -> tuple[list[list[Cell]], int]:
    """The best order by barycenters in sweeps down and up, and its crossings."""
    layers = [list(layer) for layer in start]
    best, fewest = [list(layer) for layer in layers], crossings(layers)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for k in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            place = {cell: float(n) for n, cell in enumerate(layers[k - 1 if down else k + 1])}
            _sort_layer(layers[k], place, down=down)
        for k in range(len(layers)):
            if len(layers[k]) <= SWAPS:
                _swap(layers, k)
        now = crossings(layers)
        if now < fewest:
            best, fewest = [list(layer) for layer in layers], now
    return best, fewest


def _sort_layer(layer: list[Cell], place: dict[Cell, float], *, down: bool) -> None:
    means: dict[Cell, float] = {}
    for n, cell in enumerate(layer):
        ends = (
            [place[w.source] + w.upper for w in cell.above] if down else [place[w.target] + w.lower for w in cell.below]
        )
        means[cell] = sum(ends) / len(ends) if ends else n + 0.5
    layer.sort(key=lambda cell: means[cell])


def _swap(layers: list[list[Cell]], k: int) -> None:
    """Exchanges neighbors in a layer where that leaves fewer crossings."""
    layer = layers[k]
    above = {cell: n for n, cell in enumerate(layers[k - 1])} if k else {}
    below = {cell: n for n, cell in enumerate(layers[k + 1])} if k + 1 < len(layers) else {}
    up = {cell: [above[wire.source] + wire.upper for wire in cell.above] for cell in layer}
    down = {cell: [below[wire.target] + wire.lower for wire in cell.below] for cell in layer}
    for _ in layer:
        changed = False
        for n in range(len(layer) - 1):
            a, b = layer[n], layer[n + 1]
            gain = _inverted(up[a], up[b]) + _inverted(down[a], down[b])
            if gain > 0:
                layer[n], layer[n + 1] = b, a
                changed = True
        if not changed:
            return


def _inverted(left: Sequence[float], right: Sequence[float]) -> int:
    """Crossings of two neighbors' wires, less those after an exchange."""
    return sum((a > b) - (a < b) for a in left for b in right)
