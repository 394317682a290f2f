"""Pictures of graphs in all kinds of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ...errors import NnefToolsError, UsageError
from ...formats import NNEF, Dialect, load
from ...model import Graph
from ...ops.decomposition import decompose_operations
from ...ops.library import Library
from .dot import to_dot
from .layout import Layout
from .nodes import Look, flat_scene
from .raster import to_pdf, to_png
from .repeats import folded
from .scene import Scene
from .scopes import grouped
from .svg import to_svg


@dataclass(frozen=True)
class Picture:
    """The contents of a picture file. warnings: about what the file does not show as asked for."""

    content: bytes
    warnings: tuple[str, ...] = ()


def prepare(graph: Graph, dialect: Dialect, decomposed: bool | Sequence[str] = False) -> int:
    """Infers the shapes that a file leaves out, in place, and puts definitions in the place of compound operations.

    decomposed: their names, or True for all. Returns the number of tensors whose shapes are not known. UsageError for
    names without a definition, and for other formats than NNEF.
    """
    if dialect.complete_shapes is not None:
        with suppress(NnefToolsError):  # what rules say of operators that they refuse is no matter here
            load(dialect.complete_shapes)(graph)
    if decomposed:
        if dialect is not NNEF.dialect:
            raise UsageError("only NNEF operations can be decomposed")
        library = Library.of(graph)
        decompose_operations(graph, None if isinstance(decomposed, bool) else decomposed, library)
        graph.sort()
    made = [tensor for op in graph.operations for tensor in op.outputs]
    return sum(tensor.shape is None or None in tensor.shape for tensor in made)


def scene_of(graph: Graph, look: Look) -> Scene:
    """What is to be drawn of a sorted graph: boxes in scopes, links, repeated blocks once unless all are asked for."""
    scene = flat_scene(graph, look)
    scene.children = grouped(list(scene.nodes), scene.links)
    return scene if look.expand else folded(scene)


def _svg(scene: Scene) -> Picture:
    return Picture(to_svg(Layout(scene).draw()).encode())


def _png(scene: Scene) -> Picture:
    drawing = Layout(scene).draw()
    content, scale = to_png(drawing)
    size = f"{drawing.width:.0f} by {drawing.height:.0f}"
    small = f"the picture has {size} points, and is painted with {scale:.2g} pixels for each"
    return Picture(content, (f"{small}; --format svg or html stays sharp",) if scale < 1 else ())


def _pdf(scene: Scene) -> Picture:
    content, lacking = to_pdf(Layout(scene).draw())
    text = (
        f"{len(lacking)} labels have letters that the font of the PDF lacks, such as '{lacking[0]}'" if lacking else ""
    )
    return Picture(content, (f"{text}; --format svg shows them",) if lacking else ())


def _dot(scene: Scene) -> Picture:
    return Picture(to_dot(scene).encode())


PICTURES: dict[str, Callable[[Scene], Picture]] = {"svg": _svg, "pdf": _pdf, "png": _png, "dot": _dot}
"""Kind of file -> what makes it of a scene."""
