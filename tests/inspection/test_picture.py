"""Pictures: what is drawn, and that nothing lies on something else, in the model of the picture and in the SVG."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from nnef_tools.inspection.picture.drawing import Box, Drawing, Label, Line
from nnef_tools.inspection.picture.families import family
from nnef_tools.inspection.picture.layers import crossings, plans_of
from nnef_tools.inspection.picture.layout import Layout
from nnef_tools.inspection.picture.nodes import Look
from nnef_tools.inspection.picture.render import scene_of
from nnef_tools.inspection.picture.scene import Scene, groups_of, nodes_of
from nnef_tools.inspection.picture.svg import to_svg
from nnef_tools.model import Graph, Operation, Tensor

SHAPE = (1, 8, 16, 16)


class Maker:
    """Makes graphs of ONNX operators."""

    def __init__(self) -> None:
        self.graph = Graph("net")
        self.x = Tensor(self.graph, "x", SHAPE, np.float32)
        self.graph.inputs = [self.x]

    def op(self, type: str, *inputs: Tensor, name: str = "", outputs: int = 1, shape=SHAPE, **attribs) -> Tensor:
        made = [Tensor(self.graph, f"t{len(self.graph.tensors)}", shape, np.float32) for _ in range(outputs)]
        Operation(self.graph, type, name=name or None, inputs=inputs, outputs=tuple(made), attribs=attribs)
        return made[0]

    def conv(self, x: Tensor, channels: int = 8, name: str = "", **attribs) -> Tensor:
        weight = Tensor(self.graph, f"w{len(self.graph.tensors)}", data=np.zeros((channels, 8, 3, 3), np.float32))
        weight.shape, weight.dtype = (channels, 8, 3, 3), np.float32
        return self.op("Conv", x, weight, name=name, **attribs)

    def done(self, *outputs: Tensor) -> Graph:
        self.graph.outputs = outputs
        return self.graph


def residual_net(blocks: int = 6, scopes: bool = False, **last) -> Graph:
    m = Maker()
    x = m.op("MaxPool", m.x)
    for k in range(blocks):
        at = f"/stage/block.{k}/" if scopes else ""
        y = m.op("Relu", m.conv(x, name=at and f"{at}conv1/Conv"), name=at and f"{at}relu/Relu")
        y = m.conv(y, name=at and f"{at}conv2/Conv", **(last if k == blocks - 1 else {}))
        x = m.op("Relu", m.op("Add", x, y, name=at and f"{at}Add"), name=at and f"{at}Relu")
    return m.done(m.op("GlobalAveragePool", x))


def u_net() -> Graph:
    m = Maker()
    skips, x = [], m.x
    for _ in range(4):
        x = m.conv(m.op("Relu", m.conv(x)))
        skips.append(x)
        x = m.op("MaxPool", x)
    for skip in reversed(skips):
        x = m.conv(m.op("Concat", skip, m.op("ConvTranspose", x)))
    return m.done(x)


def heads() -> Graph:
    m = Maker()
    x = m.conv(m.x)
    parts = [m.op("Split", x, outputs=6)]
    split = parts[0].producer
    assert split is not None
    ends = [m.op("Sigmoid", tensor, shape=(1, 8, 16, 16, 3)) for tensor in split.outputs]
    return m.done(m.op("Concat", *ends[:3]), m.op("TopK", *ends[3:], outputs=2), x)


def tangle(seed: int, count: int = 40) -> Graph:
    choose = random.Random(seed)
    m = Maker()
    tensors = [m.x]
    for k in range(count):
        inputs = choose.sample(tensors[-12:], min(len(tensors), choose.randint(1, 3)))
        name = f"/{choose.choice('abc')}/{choose.choice('de')}/op{k}" if seed % 2 else ""
        kind = choose.choice(["Conv", "Relu", "Concat", "Mystery.With_a_long_name"])
        tensors.append(m.op(kind, *inputs, name=name, outputs=choose.randint(1, 2)))
    return m.done(*[t for t in m.graph.tensors if not t.has_consumer])


GRAPHS: dict[str, Callable[[], Graph]] = {
    "residual": residual_net,
    "scopes": lambda: residual_net(scopes=True),
    "long": lambda: residual_net(24, kernel=1),
    "u_net": u_net,
    "heads": heads,
    **{f"tangle{seed}": (lambda seed=seed: tangle(seed)) for seed in range(5)},
}


@pytest.fixture(scope="module", params=GRAPHS, ids=str)
def drawing(request: pytest.FixtureRequest) -> Drawing:
    return Layout(scene_of(GRAPHS[request.param](), Look(expand=request.param == "long"))).draw()


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Do two rectangles (left, top, right, bottom) have more than a border in common?"""
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.1 and min(a[3], b[3]) - max(a[1], b[1]) > 0.1


def extent(box: Box) -> tuple[float, ...]:
    return box.x, box.y, box.x + box.width, box.y + box.height


def text_extent(label: Label) -> tuple[float, ...]:
    left = label.x - label.width * {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor]
    return left, label.y - 0.72 * label.size, left + label.width, label.y


def way(line: Line) -> np.ndarray:
    """Points along a line, close to each other: [n, 2]."""
    start, parts = line.start, []
    t = np.linspace(0, 1, 24)[:, None]
    for piece in line.pieces:
        a, b, c, d = np.array([start, *piece] if len(piece) == 3 else [start, start, piece[-1], piece[-1]])
        parts.append((1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d)
        start = piece[-1]
    return np.concatenate(parts)


def passed(line: Line, areas: np.ndarray, inset: float) -> np.ndarray:
    """Does a line pass through each of the rectangles [n, 4], apart from a margin inside?"""
    points = way(line)[:, None]
    return ((points > areas[:, :2] + inset) & (points < areas[:, 2:] - inset)).all(-1).any(0)


def test_boxes_and_labels_do_not_overlap(drawing: Drawing) -> None:
    boxes = [extent(box) for box in drawing.boxes if box.kind in ("node", "key")]
    labels = [text_extent(label) for label in drawing.labels]
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    assert not [pair for pair in combinations(labels, 2) if overlap(*pair)]
    for label in labels:
        around = [box for box in boxes if overlap(label, box)]
        inside = [b for b in around if b[0] <= label[0] and label[2] <= b[2] and b[1] <= label[1] and label[3] <= b[3]]
        assert around == inside


def test_frames_contain_what_they_touch(drawing: Drawing) -> None:
    frames = [extent(box) for box in drawing.boxes if box.kind == "frame"]
    for box in drawing.boxes:
        if box.kind == "node":
            a = extent(box)
            for frame in frames:
                inside = frame[0] < a[0] and frame[1] < a[1] and a[2] < frame[2] and a[3] < frame[3]
                assert inside or not overlap(a, frame)


def test_lines_lead_from_box_to_box_and_pass_between_all_others(drawing: Drawing) -> None:
    boxes = [extent(box) for box in drawing.boxes if box.kind == "node"]
    ends = {(round(line.end[0]), round(line.end[1])) for line in drawing.lines if not line.arrow}
    for line in drawing.lines:
        x, y = line.start
        below = any(b[0] <= x <= b[2] and abs(b[3] - y) < 0.6 for b in boxes)
        assert below or (round(x), round(y)) in ends
        if line.arrow:
            x, y = line.end
            assert any(b[0] <= x <= b[2] and abs(b[1] - y) < 0.6 for b in boxes)
        assert not passed(line, np.array(boxes), 1.0).any()


def test_lines_do_not_pass_through_labels_below_boxes(drawing: Drawing) -> None:
    labels = np.array([text_extent(label) for label in drawing.labels])
    for line in drawing.lines:
        assert not passed(line, labels, 0.0).any()


def test_the_svg_has_the_same_boxes_inside_its_view(drawing: Drawing) -> None:
    root = ET.fromstring(to_svg(drawing))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    space = "{http://www.w3.org/2000/svg}"
    rects = [r for r in root.iter(f"{space}rect") if r.get("class") == "node"]
    assert len(rects) == sum(box.kind == "node" for box in drawing.boxes)
    areas = []
    for rect in rects:
        x, y, w, h = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        areas.append((x, y, x + w, y + h))
    assert not [pair for pair in combinations(areas, 2) if overlap(*pair)]
    for path in root.iter(f"{space}path"):
        numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path.attrib["d"])]
        assert all(0 <= n <= max(width, height) for n in numbers)


@pytest.mark.parametrize("name", ["residual", "scopes", "long", "u_net", "heads"])
def test_planar_nets_are_drawn_without_crossings(name: str) -> None:
    top, inner = plans_of(scene_of(GRAPHS[name](), Look()))
    assert [crossings(made.layers) for made in (top, *inner.values())] == [0] * (1 + len(inner))


def test_tensors_enter_a_frame_without_crossing() -> None:
    m = Maker()
    side = m.op("Resize", m.op("MaxPool", m.x))
    y = m.op("Concat", m.op("Concat", m.conv(m.x, name="/a/1"), side, name="/a/2"), m.x, name="/a/3")
    top, inner = plans_of(scene_of(m.done(m.op("Concat", y, m.x), side), Look()))
    assert len(inner) == 1
    assert [crossings(made.layers) for made in (top, *inner.values())] == [0, 0]


def blocks(scene: Scene) -> list[tuple[int, int]]:
    """Boxes and count of the repeated blocks."""
    return [(len(list(nodes_of(g.children))), g.count) for g in groups_of(scene.children) if g.count > 1]


@pytest.mark.parametrize("scopes", [False, True])
def test_repeated_blocks_are_drawn_once(scopes: bool) -> None:
    graph = residual_net(6, scopes)
    folded = scene_of(graph, Look())
    assert blocks(folded) == [(3, 6)]
    assert blocks(scene_of(graph, Look(verbose=True))) == [(3, 6)]
    everything = scene_of(graph, Look(expand=True))
    assert not blocks(everything)
    drawn = [op for node in everything.nodes for op in node.operations]
    assert len(drawn) == len(set(drawn)) == len(graph.operations)
    (group,) = [g for g in groups_of(folded.children) if g.count > 1]
    kept = [op for node in folded.nodes for op in node.operations]
    assert {*kept, *(op for node in group.hidden for op in node.operations)} == set(graph.operations)


def test_blocks_with_another_attribute_or_weight_are_drawn() -> None:
    assert blocks(scene_of(residual_net(6, dilations=[2, 2]), Look())) == [(3, 5)]
    m = Maker()
    x = m.x
    for channels in (8, 8, 8, 8, 16, 8):
        x = m.op("MaxPool", m.conv(x, channels))
    assert blocks(scene_of(m.done(x), Look())) == [(2, 4)]


def test_blocks_that_take_something_else_are_drawn() -> None:
    m = Maker()
    x = m.x
    sides = [m.op("Mystery", m.x, key=k) for k in range(6)]
    for side in sides:
        x = m.op("Concat", m.op("MaxPool", m.conv(x)), side)
    assert blocks(scene_of(m.done(x), Look())) == []


def test_a_scope_that_is_left_and_entered_again_is_cut() -> None:
    m = Maker()
    a = m.op("Conv", m.x, name="/a/1")
    a = m.op("Concat", a, m.op("Conv", a, name="/a/2"), name="/a/3")
    b = m.op("Concat", m.op("MaxPool", a, name="b1"), a, name="b2")
    c = m.op("Concat", m.op("Conv", m.op("Conv", b, name="/a/4"), name="/a/5"), b, name="/a/6")
    scene = scene_of(m.done(c), Look())
    assert [[len(list(nodes_of(g.children))), g.title] for g in groups_of(scene.children)] == [[3, "a"], [3, "a"]]


def test_names_are_text_and_never_markup() -> None:
    name = "</title><script>alert(1)</script>&\x00\x1b\ud800"
    m = Maker()
    y = m.op(name, m.x, name=f"{name}/op", **{"k<": name})
    graph = m.done(y)
    graph.inputs[0].name = y.name = graph.name = name
    text = to_svg(Layout(scene_of(graph, Look(verbose=True))).draw())
    root = ET.fromstring(text)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "title", "rect", "g", "path", "text"}


def test_what_is_not_drawn_is_counted() -> None:
    body = residual_net(2)
    m = Maker()
    folded_weight = m.op("Identity", m.conv(m.x).producer.inputs[1])
    m.op("If", m.x, then_branch=body, else_branch=residual_net(1))
    scene = scene_of(m.done(m.conv(folded_weight)), Look())
    inside = len(body.operations) + len(residual_net(1).operations)
    assert scene.left_out == {"constant_operations": 2, "body_operations": inside}


def test_weights_are_small_print_or_boxes() -> None:
    graph = residual_net(1)
    plain = scene_of(graph, Look())
    assert "8×8×3×3" in {line for node in plain.nodes for row in node.rows for line in row.small}
    shown = scene_of(graph, Look(variables=True))
    assert [node.kind for node in shown.nodes].count("weight") == 2


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("Scale", "arithmetic"), ("Eltwise", "arithmetic"), ("SquaredDifference", "arithmetic"), ("BNLL", "activation"),
        ("Erfc", "activation"), ("SpatialBN", "normalization"), ("FC", "linear"), ("Int8FC", "linear"),
        ("Prod", "pooling"), ("Pack", "shape"), ("com.example.Foreign", "other"),
    ],
)  # fmt: skip
def test_operators_of_all_formats_have_families(type: str, expected: str) -> None:
    assert family(type) == expected
