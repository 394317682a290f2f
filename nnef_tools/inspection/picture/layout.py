"""From a scene to a drawing: groups from the inside out, each laid out by itself and then a box in the one around it.

A tensor that enters or leaves a group does so at one place of its border. A tall picture continues in further columns
where only one tensor leads on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from ...model import Tensor
from . import boxes
from .boxes import SMALL, Size
from .columns import Column, columns
from .coordinates import place
from .drawing import INK, Box, Drawing, Label, Line
from .families import COLORS
from .layers import Cell, Key, Plan, Wire, plans_of
from .scene import Group, Node, Scene, nodes_of
from .text import text_width

MARGIN = 16.0
FRAME_PADDING = 12.0
TITLE_BAND = 18.0
SHADOW = 6.0
GAP = 14.0
"""Between two layers whose lines are all straight; curves have more room."""

Point = tuple[float, float]


@dataclass(eq=False)
class Laid:
    """A group that is laid out. x, y: of its cells, the middle and the upper border, from its left upper corner."""

    plan: Plan
    width: float
    height: float
    x: dict[Cell, float]
    y: dict[Cell, float]
    tops: list[float]
    bottoms: list[float]
    title_x: float = 0

    def entry(self, key: Key) -> float:
        """Where a tensor comes in, from the middle."""
        return self.x[self.plan.entries[key]] - self.width / 2

    def exit(self, key: Key) -> float:
        """Where a tensor goes out, from the middle."""
        return self.x[self.plan.exits[key]] - self.width / 2


class Layout:
    """The layout of a scene. wraps: may it continue in further columns?"""

    def __init__(self, scene: Scene, *, wraps: bool = True) -> None:
        self.scene = scene
        self.sizes = sizes_of(scene)
        self.groups: dict[Group, Laid] = {}
        top, inner = plans_of(scene)
        for group, made in inner.items():
            self.groups[group] = self._lay_out(made, group)
        self.top = self._lay_out(top, None)
        self.columns = columns(self.top.plan, self.top.tops, self.top.bottoms, self._spans()) if wraps else []

    def _spans(self) -> list[tuple[float, float]]:
        """Left and right end of each layer of the outermost level."""
        spans = []
        for layer in self.top.plan.layers:
            ends = [(self.top.x[c] - self._width(c) / 2, self.top.x[c] + self._width(c) / 2) for c in layer]
            spans.append((min(a for a, _ in ends), max(b for _, b in ends)))
        return spans

    def _width(self, cell: Cell) -> float:
        if cell.item is None:
            return 4.0
        return self.sizes[cell.item].width if isinstance(cell.item, Node) else self.groups[cell.item].width

    def _height(self, cell: Cell) -> float:
        if cell.item is None:
            return 0.0
        return self.sizes[cell.item].height if isinstance(cell.item, Node) else self.groups[cell.item].height

    def _offset(self, wire: Wire, is_lower: bool) -> float:
        """Where a wire ends, from the middle of the cell at that end."""
        item = (wire.target if is_lower else wire.source).item
        if isinstance(item, Group):
            laid = self.groups[item]
            return laid.entry(wire.key) if is_lower else laid.exit(wire.key)
        return 0.0 if item is None or is_lower else self.sizes[item].ports[wire.key[1]]

    def _lay_out(self, made: Plan, group: Group | None) -> Laid:
        x = place(made.layers, self._width, self._offset)
        left = min((x[cell] - self._width(cell) / 2 for cell in x), default=0.0)
        right = max((x[cell] + self._width(cell) / 2 for cell in x), default=0.0)
        pad = 0.0 if group is None else FRAME_PADDING
        x = {cell: at - left + pad for cell, at in x.items()}
        width = right - left + 2 * pad
        y: dict[Cell, float] = {}
        tops, bottoms = [], []
        entries, exits = set(made.entries.values()), set(made.exits.values())
        at = 0.0 if group is None else TITLE_BAND
        for k, layer in enumerate(made.layers):
            tall = max(map(self._height, layer))
            if k:
                at_border = made.layers[k - 1][0] in entries or layer[0] in exits
                at += self._gap(made.layers[k - 1], x, at_border=at_border)
            tops.append(at)
            for cell in layer:
                y[cell] = at
            at += tall
            bottoms.append(at)
        laid = Laid(made, width, at + (pad if not exits else 4.0), x, y, tops, bottoms)
        if group is not None:
            self._add_title(laid, group)
        return laid

    def _gap(self, upper: Sequence[Cell], x: dict[Cell, float], *, at_border: bool) -> float:
        """The distance to the next layer: more where wires go far to the side, little to the border of a group."""
        wires = [wire for cell in upper for wire in cell.below]
        ends = [(x[w.source] + self._offset(w, False), x[w.target] + self._offset(w, True)) for w in wires]
        aside = max((abs(a - b) for a, b in ends), default=0.0)
        return (5.0 if at_border else GAP) + min(44.0, aside / 5)

    def _add_title(self, laid: Laid, group: Group) -> None:
        """Makes room for the title left or right of the tensors that come in."""
        wide = text_width(group_title(group), SMALL, bold=True) + 8
        ports = sorted(laid.x[cell] for cell in laid.plan.entries.values())
        if not ports or wide + 4 <= ports[0]:
            laid.title_x = 8.0
        else:
            laid.title_x = ports[-1] + 8
        if group.count > 1:
            laid.width += SHADOW
            laid.height += SHADOW
        laid.width = 2.0 * ceil(max(laid.width, laid.title_x + wide) / 2)

    # painting

    def draw(self) -> Drawing:
        """The drawing, with a legend of the families in it."""
        drawing = Drawing(self.scene.title)
        parts = self.columns or [Column(0, len(self.top.plan.layers), 0.0, 0.0)]
        shifts = {k: (part.x, part.y) for part in parts for k in range(part.first, part.end)}
        self._draw_level(drawing, self.top, [shifts[k] for k in range(len(self.top.plan.layers))], None)
        for before, after in pairwise(parts):
            drawing.lines.append(self._turn(before, after))
        ends = [(box.x + box.width, box.y + box.height) for box in drawing.boxes]
        ends += [
            (label.x + label.width * {"start": 1, "middle": 0.5, "end": 0}[label.anchor], label.y + 4)
            for label in drawing.labels
        ]
        drawing.width = max((x for x, _ in ends), default=0.0)
        drawing.height = max((y for _, y in ends), default=0.0)
        self._legend(drawing)
        return _shifted(drawing, MARGIN)

    def _draw_level(self, drawing: Drawing, laid: Laid, shifts: Sequence[Point], group: Group | None) -> None:
        turns = {part.first for part in self.columns[1:]} if group is None else set()
        for k, layer in enumerate(laid.plan.layers):
            dx, dy = shifts[k]
            for cell in layer:
                x, y = laid.x[cell] + dx, laid.y[cell] + dy
                if isinstance(cell.item, Node):
                    boxes.paint(drawing, cell.item, self.sizes[cell.item], x, y)
                elif isinstance(cell.item, Group):
                    inner = self.groups[cell.item]
                    corner = x - inner.width / 2, y
                    boxes.frame(
                        drawing,
                        group_title(cell.item),
                        (*corner, inner.width, inner.height),
                        corner[0] + inner.title_x,
                        block=cell.item.count > 1,
                    )
                    self._draw_level(drawing, inner, [corner] * len(inner.plan.layers), cell.item)
        for line in self._lines(laid, shifts, turns):
            drawing.lines.append(line)

    def _lines(self, laid: Laid, shifts: Sequence[Point], turns: set[int]) -> Iterable[Line]:
        """The wires of a level, as lines from box to box, or to the border of a group."""
        for k, layer in enumerate(laid.plan.layers):
            dx, dy = shifts[k]
            for cell in layer:
                if k + 1 in turns:
                    continue
                for wire in cell.below:
                    yield self._line(laid, wire, k, dx, dy)

    def _line(self, laid: Laid, wire: Wire, k: int, dx: float, dy: float) -> Line:
        x, y = self._start(laid, wire, k)
        x1, x2 = x + dx, laid.x[wire.target] + self._offset(wire, True) + dx
        low, top = laid.bottoms[k] + dy, laid.tops[k + 1] + dy
        pieces: list[tuple[Point, ...]] = [((x1, low),)] if y + dy < low else []
        middle = (low + top) / 2
        pieces.append(((x2, top),) if abs(x1 - x2) < 0.5 else ((x1, middle), (x2, middle), (x2, top)))
        pieces += self._ending(laid, wire, k + 1, x2, dy)
        return Line((x1, y + dy), tuple(pieces), isinstance(wire.target.item, Node), boxes.tensor_text(wire.key[1]))

    def _ending(self, laid: Laid, wire: Wire, k: int, x: float, dy: float) -> list[tuple[Point, ...]]:
        """The straight piece through a layer: to its end where a trunk passes, or to where a group goes on."""
        target = wire.target
        if isinstance(target.item, Node):
            return []
        if isinstance(target.item, Group):
            inner = self.groups[target.item]
            return [((x, laid.tops[k] + dy + inner.y[inner.plan.entries[wire.key]]),)]
        return [((x, (laid.bottoms[k] if target.below else laid.height) + dy),)]

    def _start(self, laid: Laid, wire: Wire, k: int) -> Point:
        """Where a wire begins: below a box, at the lower border of a group, or where its trunk passes."""
        cell = wire.source
        x = laid.x[cell] + self._offset(wire, False)
        if isinstance(cell.item, Node):
            return x, laid.y[cell] + self.sizes[cell.item].box[1]
        return x, laid.bottoms[k] if cell.above and cell.item is None else laid.y[cell] + self._height(cell)

    def _turn(self, before: Column, after: Column) -> Line:
        """The line from the end of a column up to the start of the next one."""
        laid = self.top
        wire = next(wire for cell in laid.plan.layers[before.end - 1] for wire in cell.below)
        x1, y1 = self._start(laid, wire, before.end - 1)
        x1, y1 = x1 + before.x, y1 + before.y
        x2 = laid.x[wire.target] + self._offset(wire, True) + after.x
        y2 = laid.tops[after.first] + after.y
        low, high, between = before.bottom + 14, y2 - 14, after.gutter
        way = _rounded([(x1, y1), (x1, low), (between, low), (between, high), (x2, high), (x2, y2)])
        pieces = (*way, *self._ending(laid, wire, after.first, x2, after.y))
        return Line((x1, y1), pieces, isinstance(wire.target.item, Node), boxes.tensor_text(wire.key[1]))

    def _legend(self, drawing: Drawing) -> None:
        """The families of the picture with their colors, in lines below it."""
        used = {row.family for node in nodes_of(self.scene.children) for row in node.rows}
        x, y = 0.0, drawing.height + 22
        for name in COLORS:
            if name not in used:
                continue
            wide = 14 + text_width(name, SMALL) + 16
            if x and x + wide > max(drawing.width, 240):
                x, y = 0.0, y + 15
            drawing.boxes.append(Box("key", x, y, 10, 10, COLORS[name], INK, 2))
            drawing.labels.append(Label(x + 14, y + 8.5, name, SMALL, text_width(name, SMALL), "start"))
            drawing.width = max(drawing.width, x + wide - 16)
            x += wide
        drawing.height = y + 12


def group_title(group: Group) -> str:
    """Name and count of a group."""
    return f"{group.title} ×{group.count}".strip() if group.count > 1 else group.title


def sizes_of(scene: Scene) -> dict[Node, Size]:
    """The size of every box."""
    used: dict[Node, dict[Tensor, None]] = {}
    for link in scene.links:
        used.setdefault(link.source, {})[link.tensor] = None
    ordered = {node: [t for t in node.outputs if t in used.get(node, {})] for node in nodes_of(scene.children)}
    return {node: boxes.measure(node, tensors) for node, tensors in ordered.items()}


def _rounded(points: Sequence[Point], radius: float = 8.0) -> Iterable[tuple[Point, ...]]:
    """A way along straight lines with its corners rounded, from the second point on."""
    for k in range(1, len(points) - 1):
        (ax, ay), (bx, by), (cx, cy) = points[k - 1], points[k], points[k + 1]
        first, second = abs(ax - bx) + abs(ay - by), abs(bx - cx) + abs(by - cy)
        if first < 0.5 or second < 0.5:
            continue
        r = min(radius, first / 2, second / 2)
        before = bx + (ax - bx) / first * r, by + (ay - by) / first * r
        after = bx + (cx - bx) / second * r, by + (cy - by) / second * r
        yield (before,)
        yield ((bx, by), (bx, by), after)
    yield (points[-1],)


def _shifted(drawing: Drawing, by: float) -> Drawing:
    from dataclasses import replace

    def move(point: Point) -> Point:
        return point[0] + by, point[1] + by

    return Drawing(
        drawing.title,
        drawing.width + 2 * by,
        drawing.height + 2 * by,
        [replace(box, x=box.x + by, y=box.y + by) for box in drawing.boxes],
        [
            replace(line, start=move(line.start), pieces=tuple(tuple(map(move, p)) for p in line.pieces))
            for line in drawing.lines
        ],
        [replace(label, x=label.x + by, y=label.y + by) for label in drawing.labels],
    )
