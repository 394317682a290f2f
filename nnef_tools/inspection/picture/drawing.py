"""A finished picture: boxes, lines and text with their places, for all that writes or paints it. Units are pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

INK = "#1f2328"
FAINT = "#6b7280"
LINE = "#7a828e"
FRAME = "#a8afb9"


@dataclass(frozen=True)
class Box:
    """A rectangle. kind: 'node', 'row', 'frame' or 'key' (of the legend). tip: what a pointer over it shows."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    radius: float = 0
    tip: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Label:
    """A line of text. y: of its baseline. anchor: 'start', 'middle' or 'end'. width: as it was estimated."""

    x: float
    y: float
    text: str
    size: float
    width: float
    anchor: str = "middle"
    bold: bool = False
    color: str = INK


@dataclass(frozen=True)
class Line:
    """A line of straight and curved pieces. points: the first point; then one point for a straight piece, three for a
    cubic curve of Bezier (two controls and the end). arrow: does it end in one?"""

    start: tuple[float, float]
    pieces: tuple[tuple[tuple[float, float], ...], ...]
    arrow: bool
    tip: str = ""

    @property
    def end(self) -> tuple[float, float]:
        return self.pieces[-1][-1] if self.pieces else self.start


@dataclass
class Drawing:
    """All that is painted, in this order: frames, lines, boxes, labels."""

    title: str
    width: float = 0
    height: float = 0
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
