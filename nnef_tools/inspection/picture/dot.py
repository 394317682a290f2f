"""A scene as text in the language of Graphviz, for those who have its program `dot` and want its layout or styles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .boxes import end_tip, operation_tip
from .drawing import FRAME, LINE
from .families import COLORS, ENDS
from .layout import group_title
from .scene import Item, Node, Scene, nodes_of
from .svg import FONT
from .text import clean, shape_label


def to_dot(scene: Scene) -> str:
    """The text of the dot file."""
    return "\n".join(_document(scene)) + "\n"


def _document(scene: Scene) -> Iterator[str]:
    names = {node: f"n{k}" for k, node in enumerate(nodes_of(scene.children))}
    font = FONT.partition(",")[0]
    yield f"digraph {_quoted(scene.title)} {{"
    yield f'  graph [fontname="{font}", fontsize=9, color="{FRAME}", style=rounded]'
    yield f'  node [shape=box, style="filled,rounded", fontname="{font}", fontsize=12, height=0.3]'
    yield f'  edge [fontname="{font}", fontsize=9, color="{LINE}", fontcolor="{LINE}", arrowsize=0.7]'
    yield from _items(scene.children, names, "  ", [0])
    for link in scene.links:
        label = "" if link.source.kind == "input" else f", label={_quoted(shape_label(link.tensor.shape))}"
        tip = _quoted(clean(link.tensor.name or "", 200))
        yield f"  {names[link.source]} -> {names[link.target]} [edgetooltip={tip}{label}]"
    yield "}"


def _items(items: Sequence[Item], names: dict[Node, str], indent: str, count: list[int]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Node):
            yield f"{indent}{names[item]} [{_node(item)}]"
            continue
        count[0] += 1
        yield f"{indent}subgraph cluster_{count[0]} {{"
        yield f"{indent}  label={_quoted(group_title(item))}"
        yield from _items(item.children, names, indent + "  ", count)
        yield f"{indent}}}"


def _node(node: Node) -> str:
    lines = [line for row in node.rows for line in (row.title, *row.small)]
    shape = ", shape=ellipse, style=filled" if node.kind in ("input", "output") else ""
    color = COLORS.get(node.rows[0].family, ENDS)
    tips = [operation_tip(operation) for operation in node.operations] or [end_tip(node)]
    return f'label={_quoted(chr(10).join(lines))}, fillcolor="{color}", tooltip={_quoted(chr(10).join(tips))}{shape}'


def _quoted(text: str) -> str:
    """A string of dot, with its line ends and nothing that is an escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
