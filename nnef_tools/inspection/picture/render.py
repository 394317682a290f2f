"""Pictures of graphs in all kinds of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ...errors import NnefToolsError, UsageError
from ...formats import NNEF, Dialect, load
from ...model import Graph, Operation
from ...ops.decomposition import decompose_operations
from ...ops.library import Library
from .dot import to_dot
from .layout import Layout
from .nodes import Look, flat_scene
from .page import Cost, Side, page
from .raster import to_pdf, to_png
from .repeats import folded
from .scene import Scene
from .scopes import grouped
from .svg import to_svg


@dataclass(frozen=True)
class Picture:
    """A picture file. scene: what it shows. warnings: about what it does not show as asked for."""

    content: bytes
    scene: Scene
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


def views_of(graph: Graph, look: Look) -> dict[str, Scene]:
    """The scenes between which a page can change: repeated blocks once, and all of them. The first is shown first."""
    views = {"once": scene_of(graph, replace(look, expand=False)), "all": scene_of(graph, replace(look, expand=True))}
    return dict(reversed(views.items())) if look.expand else views


def picture(graph: Graph, look: Look, kind: str, title: str, costs: Mapping[Operation, Cost] | None = None) -> Picture:
    """A picture of a sorted graph as 'svg', 'html', 'pdf', 'png' or 'dot'.

    title: of a page. costs: what its operations cost, for the colors of a page. MissingPackageError for pdf and png.
    """
    if kind == "html":
        views = views_of(graph, look)
        side = Side(title, graph, views, costs or {})
        return Picture(page(title, [side]).encode(), next(iter(views.values())))
    scene = scene_of(graph, look)
    if kind == "dot":
        return Picture(to_dot(scene).encode(), scene)
    drawing = Layout(scene).draw()
    if kind == "png":
        content, scale = to_png(drawing)
        size = f"{drawing.width:.0f} by {drawing.height:.0f}"
        small = f"the picture has {size} points, and is painted with {scale:.2g} pixels for each"
        return Picture(content, scene, (f"{small}; --format svg or html stays sharp",) if scale < 1 else ())
    if kind == "pdf":
        content, lacking = to_pdf(drawing)
        text = f"{len(lacking)} labels have letters that the font of the PDF lacks, such as '{''.join(lacking[:1])}'"
        return Picture(content, scene, (f"{text}; --format svg shows them",) if lacking else ())
    return Picture(to_svg(drawing).encode(), scene)
