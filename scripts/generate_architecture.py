"""Brings the picture in docs/architecture.md up to date: what imports what, as a graph of Mermaid.

An arrow leads from a component to one that it imports; arrows that follow from others are left out. Dotted ones lead
to what the pages of formats/ only name. A test fails while the page is out of date.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nnef_tools"
TARGET = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- picture -->\n", "<!-- end of picture -->\n"

INNER = "conversion"
"""The component that is drawn with its folders."""

HIDDEN = (
    "__init__", "__main__", "convert", "execute", "generate", "gmac", "image_tensor", "interpreter", "quantize",
    "random_tensor", "utils", "version", "visualize",
)  # fmt: skip
"""Entry points, and import paths of the 1.0 series that only forward."""

Names = tuple[str, ...]
Graph = dict[str, set[str]]


def nodes(path: Path) -> Iterator[ast.AST]:
    """The syntax tree of a module."""
    return ast.walk(ast.parse(path.read_text("utf-8")))


def imported(path: Path) -> Iterator[Names]:
    """The modules of the package that a module imports, also within functions and for types."""
    folder = path.relative_to(PACKAGE).parent.parts
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*folder[: len(folder) - node.level + 1], *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                file = PACKAGE.joinpath(*base, alias.name)
                yield (*base, alias.name) if file.is_dir() or file.with_suffix(".py").is_file() else base


def named(path: Path) -> Iterator[Names]:
    """The modules that strings of a module name, such as `io.onnx:Reader`."""
    for node in nodes(path):
        if isinstance(node, ast.Constant) and re.fullmatch(r"\w+(\.\w+)+(:\w+)?", str(node.value)):
            yield tuple(str(node.value).partition(":")[0].split("."))


def graph_of(pairs: Iterable[tuple[str, str]]) -> Graph:
    """Each component, with the others that it has arrows to: those that do not follow from other arrows.

    Components that import each other are one.
    """
    graph: Graph = {}
    for a, b in pairs:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set())
    known = {a: _reached(graph, a) for a in graph}
    names = {a: " and ".join(sorted({a, *(b for b in known[a] if a in known[b])})) for a in graph}
    merged = {names[a]: {names[b] for b in known[a]} - {names[a]} for a in graph}
    return {a: others - {c for b in others for c in merged[b]} for a, others in merged.items()}


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    pending = [*graph[start]]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += graph[name]
    return found


def picture() -> str:
    """The graph in Mermaid."""
    paths = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in sorted(PACKAGE.rglob("*.py"))}
    pairs = [(own, other) for own, path in paths.items() for other in imported(path) if other]
    outer = graph_of([(a[0], b[0]) for a, b in pairs if not {a[0], b[0]} & {*HIDDEN}])
    inside = [(a[1], b[1]) for a, b in pairs if len(a) > 2 and len(b) > 1 and a[0] == b[0] == INNER]
    loaded = {other[0] for own, path in paths.items() if own[0] == "formats" for other in named(path)}
    lines = ["flowchart TD", f"subgraph {INNER}", *_arrows(graph_of(inside), f"{INNER}_"), "end", *_arrows(outer)]
    lines += [f"formats -.-> {name}" for name in sorted(loaded & outer.keys() - outer["formats"])]
    return "".join(f"{line}\n" for line in ("```mermaid", *lines, "```"))


def _arrows(graph: Graph, prefix: str = "") -> Iterator[str]:
    for name in sorted(graph):
        if prefix:
            yield f"{prefix}{name.replace(' ', '_')}[{name}]"
        for other in sorted(graph[name]):
            yield f"{prefix}{name.replace(' ', '_')} --> {prefix}{other.replace(' ', '_')}"


def generate() -> str:
    """The page with the present picture."""
    before, _, rest = TARGET.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}{picture()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    TARGET.write_text(generate(), "utf-8")
