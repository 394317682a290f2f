"""The sizes of boxes and how they are painted: lines of operations in the colors of their families, and small print."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ...model import Operation, Tensor
from .drawing import FAINT, FRAME, INK, Box, Drawing, Label
from .families import COLORS, ENDS
from .scene import Node, Row
from .text import clean, dtype_label, shape_label, text_width, value_label

TITLE, SMALL = 12.0, 9.0
"""Font sizes."""

PADDING = 9.0
TITLE_LINE, SMALL_LINE, ROW_MARGIN = 15.0, 11.0, 3.0
LABEL_LINE = 14.0
"""Height of the strip below a box in which the shapes of its results are written."""

MIN_WIDTH = 56.0

MAX_LABELED = 4
"""Results of a box whose shapes are all written, at most; of more, the first one is."""


@dataclass(frozen=True)
class Size:
    """The extent of a box with the strip of labels below. box: width and height of the box alone.

    ports: the place of each result, from the middle of the box. labels: the shape of each, or nothing.
    """

    width: float
    height: float
    box: tuple[float, float]
    ports: dict[Tensor, float]
    labels: dict[Tensor, str]


def row_height(row: Row) -> float:
    """The height of one line of a box with its small print."""
    return TITLE_LINE + SMALL_LINE * len(row.small) + 2 * ROW_MARGIN


def measure(node: Node, used: list[Tensor]) -> Size:
    """The size of a box. used: its results that lead somewhere."""
    widths = [text_width(row.title, TITLE, bold=True) for row in node.rows]
    widths += [text_width(line, SMALL) for row in node.rows for line in row.small]
    labels = dict.fromkeys(used, "")
    if node.kind == "operation":
        shown = used if len(used) <= MAX_LABELED else used[:1]
        labels.update({tensor: shape_label(tensor.shape) for tensor in shown})
    slots = [float(ceil(max(16.0, text_width(labels[t], SMALL) + 14 if labels[t] else 0.0))) for t in used]
    single = len(used) == 1
    width = max(MIN_WIDTH, max(widths, default=0) + 2 * PADDING, 0 if single else sum(slots))
    width = _even(width)
    height = sum(map(row_height, node.rows))
    ports: dict[Tensor, float] = {}
    if single:
        ports[used[0]] = 0.0
    else:
        x = -_even(sum(slots)) / 2
        for tensor, slot in zip(used, slots, strict=True):
            ports[tensor] = x + 6.0
            x += slot
    outer = max(width, 2 * slots[0]) if single else width
    return Size(outer, height + (LABEL_LINE if any(labels.values()) else 0), (width, height), ports, labels)


def _even(width: float) -> float:
    """The next even number, so that middles are at whole pixels."""
    return 2.0 * ceil(width / 2)


def paint(drawing: Drawing, node: Node, size: Size, x: float, y: float) -> None:
    """Paints a box whose middle is at x, and whose upper border is at y."""
    width, height = size.box
    left = x - width / 2
    is_end = node.kind in ("input", "output")
    radius = min(height / 2, 14.0) if is_end else 4.0 if len(node.rows) == 1 else 2.0
    tip = "" if node.kind == "operation" else end_tip(node)
    first = node.rows[0]
    plain = ENDS if is_end or node.kind == "weight" else COLORS[first.family]
    single = len(node.rows) == 1
    fill = plain if single else "#ffffff"
    tip = operation_tip(first.operation) if single and first.operation else tip
    drawing.boxes.append(Box("node", left, y, width, height, fill, INK, radius, tip, dashed=node.kind == "weight"))
    top = y
    for k, row in enumerate(node.rows):
        tall = row_height(row)
        if not single:
            tip = operation_tip(row.operation) if row.operation else ""
            inset = 0.75
            drawing.boxes.append(
                Box("row", left + inset, top + (inset if k == 0 else 0), width - 2 * inset,
                    tall - (inset if k in (0, len(node.rows) - 1) else 0), COLORS[row.family], "none", 1.0, tip)
            )  # fmt: skip
        base = top + ROW_MARGIN + 12.0
        drawing.labels.append(Label(x, base, row.title, TITLE, text_width(row.title, TITLE, bold=True), bold=True))
        for n, line in enumerate(row.small):
            drawing.labels.append(
                Label(x, base + SMALL_LINE * (n + 1), line, SMALL, text_width(line, SMALL), color="#33383f")
            )
        top += tall
    for tensor, text in size.labels.items():
        if text:
            at = x + size.ports[tensor] + 4
            drawing.labels.append(
                Label(at, y + height + 10.5, text, SMALL, text_width(text, SMALL), "start", color=FAINT)
            )


def frame(
    drawing: Drawing, title: str, place: tuple[float, float, float, float], title_x: float, *, block: bool
) -> None:
    """Paints the frame of a group, with a shadow of two more behind it if it stands for a repeated block."""
    x, y, width, height = place
    if block:
        for shift in (6.0, 3.0):
            drawing.boxes.append(Box("frame", x + shift, y + shift, width - 6, height - 6, "#ffffff", FRAME, 6))
        width, height = width - 6, height - 6
    drawing.boxes.append(Box("frame", x, y, width, height, "#fbfbfa" if not block else "#f6f7f9", FRAME, 6))
    drawing.labels.append(
        Label(title_x, y + 12, title, SMALL, text_width(title, SMALL, bold=True), "start", bold=True, color=FAINT)
    )


def operation_tip(operation: Operation) -> str:
    """What a pointer over a box shows: names, attributes, item types and shapes."""
    lines = [f"{clean(operation.type or '?')} {clean(operation.name or '', 80)}".strip()]
    lines += [f"{clean(key)} = {value_label(value)}" for key, value in operation.attribs.items()]
    for word, tensors in (("in", operation.inputs), ("out", operation.outputs)):
        lines += [f"{word} {tensor_text(tensor)}" for tensor in tensors[:16]]
    return "\n".join(lines)


def tensor_text(tensor: Tensor) -> str:
    """Name, item type and shape of a tensor."""
    return f"{clean(tensor.name or '?', 80)}: {dtype_label(tensor.dtype)} {shape_label(tensor.shape)}"


def end_tip(node: Node) -> str:
    """What a pointer over an input, output or weight shows."""
    return "\n".join([node.kind, *map(tensor_text, node.outputs)])
