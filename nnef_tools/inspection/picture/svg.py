"""A drawing as SVG: plain shapes and text that every program shows, with tool tips, without scripts and references."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from .drawing import LINE, Box, Drawing, Label, Line
from .text import clean

FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', 'Bitstream Vera Sans', sans-serif"


def to_svg(drawing: Drawing) -> str:
    """The text of the SVG file."""
    return "\n".join(_document(drawing)) + "\n"


def _document(drawing: Drawing) -> Iterator[str]:
    width, height = round(drawing.width), round(drawing.height)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONT}">'
    )
    yield f"<title>{escape(clean(drawing.title, 80))}</title>"
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    yield from (_box(box) for box in drawing.boxes if box.kind == "frame")
    yield f'<g fill="none" stroke="{LINE}" stroke-width="1.2" stroke-linejoin="round">'
    yield from map(_line, drawing.lines)
    yield "</g>"
    yield f'<g fill="{LINE}">'
    yield from (_arrow(line) for line in drawing.lines if line.arrow)
    yield "</g>"
    yield from (_box(box) for box in drawing.boxes if box.kind != "frame")
    yield from map(_label, drawing.labels)
    yield "</svg>"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _tip(text: str) -> str:
    shown = "\n".join(clean(line, 400) for line in text.split("\n"))
    return f"<title>{escape(shown)}</title>" if text else ""


def _box(box: Box) -> str:
    dash = ' stroke-dasharray="4 3"' if box.dashed else ""
    stroke = (
        f' stroke="{box.stroke}" stroke-width="{0.8 if box.kind != "frame" else 1}"' if box.stroke != "none" else ""
    )
    return (
        f'<rect class="{box.kind}" x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" '
        f'rx="{_n(box.radius)}" fill="{box.fill}"{stroke}{dash}>{_tip(box.tip)}</rect>'
    )


def _line(line: Line) -> str:
    path = [f"M{_n(line.start[0])} {_n(line.start[1])}"]
    for piece in line.pieces:
        points = " ".join(f"{_n(x)} {_n(y)}" for x, y in piece)
        path.append(f"{'L' if len(piece) == 1 else 'C'}{points}")
    return f'<path class="edge" d="{"".join(path)}">{_tip(line.tip)}</path>'


def _arrow(line: Line) -> str:
    x, y = line.end
    return f'<path d="M{_n(x)} {_n(y)}L{_n(x - 3.5)} {_n(y - 7)}L{_n(x + 3.5)} {_n(y - 7)}Z"/>'


def _label(label: Label) -> str:
    weight = ' font-weight="bold"' if label.bold else ""
    anchor = f' text-anchor="{label.anchor}"' if label.anchor != "start" else ""
    return (
        f'<text x="{_n(label.x)}" y="{_n(label.y)}" font-size="{_n(label.size)}"{weight}{anchor} '
        f"fill={quoteattr(label.color)}>{escape(label.text)}</text>"
    )
