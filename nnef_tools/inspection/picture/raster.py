"""Drawings as PNG, by resvg, and as PDF with its fonts inside, by reportlab: wheels without system libraries."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from ...errors import MissingPackageError, UsageError
from .drawing import LINE, Box, Drawing, Label, Line
from .svg import to_svg

MAX_PIXELS = 1 << 26
"""Of a PNG; larger pictures are painted smaller."""

MAX_PAGE = 14400
"""Largest side of a page of PDF, in points."""

SCALE = 2.0
"""Pixels of a PNG per unit of the drawing."""


def to_png(drawing: Drawing, scale: float = SCALE) -> tuple[bytes, float]:
    """The bytes of a PNG, and the scale at which it was painted: smaller than asked for if it would be too large.

    MissingPackageError. Text is painted in a font of the system, or else in one that reportlab brings along.
    """
    try:
        import resvg_py
    except ImportError:
        raise MissingPackageError("resvg-py", "to write PNG", "visualize") from None
    scale = min(scale, (MAX_PIXELS / max(drawing.width * drawing.height, 1.0)) ** 0.5, 32000 / drawing.height)
    fonts = [str(path) for path in _fonts()]
    if not fonts:  # where the system has none either, all text would be missing
        raise MissingPackageError("reportlab", "for the font of PNG", "visualize")
    return bytes(resvg_py.svg_to_bytes(svg_string=to_svg(drawing), zoom=scale, font_files=fonts)), scale


def to_pdf(drawing: Drawing) -> tuple[bytes, list[str]]:
    """The bytes of a PDF of one page, and the labels with letters that its font lacks.

    MissingPackageError. UsageError for a picture that is too large.
    """
    try:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont
        from reportlab.pdfgen.canvas import Canvas
    except ImportError:
        raise MissingPackageError("reportlab", "to write PDF", "visualize") from None
    if max(drawing.width, drawing.height) > MAX_PAGE:
        raise UsageError("the picture is too large for a page of PDF", hint="--format svg or html has no limit")
    regular, bold = _fonts()
    pdfmetrics.registerFont(TTFont("Picture", regular))
    pdfmetrics.registerFont(TTFont("PictureBold", bold))
    known = pdfmetrics.getFont("Picture").face.charToGlyph
    lacking = [label.text for label in drawing.labels if any(ord(letter) not in known for letter in label.text)]
    out = BytesIO()
    canvas = Canvas(out, pagesize=(drawing.width, drawing.height), invariant=1)
    canvas.setTitle(drawing.title)
    canvas.translate(0, drawing.height)
    canvas.scale(1, -1)
    _paint(canvas, drawing)
    canvas.save()
    return out.getvalue(), lacking


def _fonts() -> list[Any]:
    """The files of Bitstream Vera Sans, regular and bold, in the package reportlab; none if that is not installed."""
    try:
        folder = importlib.resources.files("reportlab") / "fonts"
    except ModuleNotFoundError:
        return []
    return [folder / "Vera.ttf", folder / "VeraBd.ttf"]


def _paint(canvas: Any, drawing: Drawing) -> None:
    for box in drawing.boxes:
        if box.kind == "frame":
            _box(canvas, box)
    canvas.setLineWidth(1.2)
    canvas.setStrokeColor(LINE)
    canvas.setFillColor(LINE)
    for line in drawing.lines:
        _line(canvas, line)
    for box in drawing.boxes:
        if box.kind != "frame":
            _box(canvas, box)
    for label in drawing.labels:
        _label(canvas, label)


def _box(canvas: Any, box: Box) -> None:
    canvas.setFillColor(box.fill)
    has_stroke = box.stroke != "none"
    if has_stroke:
        canvas.setStrokeColor(box.stroke)
        canvas.setLineWidth(0.8)
    canvas.setDash(*((4, 3) if box.dashed else ()))
    canvas.roundRect(box.x, box.y, box.width, box.height, box.radius, stroke=int(has_stroke), fill=1)
    canvas.setDash()


def _line(canvas: Any, line: Line) -> None:
    path = canvas.beginPath()
    path.moveTo(*line.start)
    for piece in line.pieces:
        (path.lineTo if len(piece) == 1 else path.curveTo)(*_flat(piece))
    canvas.drawPath(path)
    if line.arrow:
        x, y = line.end
        arrow = canvas.beginPath()
        arrow.moveTo(x, y)
        arrow.lineTo(x - 3.5, y - 7)
        arrow.lineTo(x + 3.5, y - 7)
        arrow.close()
        canvas.drawPath(arrow, stroke=0, fill=1)


def _flat(points: Iterable[tuple[float, float]]) -> list[float]:
    return [value for point in points for value in point]


def _label(canvas: Any, label: Label) -> None:
    name = "PictureBold" if label.bold else "Picture"
    wide = canvas.stringWidth(label.text, name, label.size)
    left = label.x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor]
    canvas.saveState()
    canvas.translate(left, label.y)
    canvas.scale(1, -1)
    canvas.setFont(name, label.size)
    canvas.setFillColor(label.color)
    canvas.drawString(0, 0, label.text)
    canvas.restoreState()
