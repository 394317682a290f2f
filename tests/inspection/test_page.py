"""The page to look around in, in a real browser; skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.inspection.difference import difference
from nnef_tools.inspection.picture.comparison import comparison_page
from nnef_tools.inspection.picture.nodes import Look
from nnef_tools.inspection.picture.page import Cost
from nnef_tools.inspection.picture.render import picture
from nnef_tools.inspection.picture.statistics import weight_statistics
from nnef_tools.model import Graph, Operation, Tensor

HOSTILE = "</script><img src=x onerror=alert(1)><!--"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if BROWSER is None:
        pytest.skip("there is no chromium")
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


class Tab:
    """A page that is open. problems: errors of its script, alerts, and requests for anything else."""

    def __init__(self, browser: Any, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        self.problems: list[str] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 800})
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self._check(request.url, path))
        self.page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        self.page.goto(path.as_uri())
        self.page.wait_for_function("window.page && page.viewers.every(viewer => viewer.mapImage)")

    def _check(self, url: str, path: Path) -> None:
        if url != path.as_uri():
            self.problems.append(f"requests {url}")

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def boxes(self) -> int:
        return self.run("page.viewers[0].boxes.length")

    def panel(self) -> str:
        return self.page.inner_text("#panel")

    def click(self, node: int, side: int = 0) -> None:
        place = self.run(
            f"(() => {{ const v = page.viewers[{side}]; v.center(v.boxOf.get({node})); v.paint();"
            f" const r = v.canvas.getBoundingClientRect(), p = v.screen({node}); return [r.x + p[0], r.y + p[1]]; }})()"
        )
        self.page.mouse.click(*place)


def net(blocks: int, kinds: int = 1) -> Graph:
    """Blocks of five operators in scopes; `kinds` of them differ, so that not all are drawn as one."""
    graph = Graph("net")
    x = Tensor(graph, "image", (1, 8, 4, 4), np.float32)
    graph.inputs = [x]
    weight = np.linspace(-1, 1, 576, dtype=np.float32).reshape(8, 8, 3, 3)

    def add(type: str, name: str, *inputs: Tensor, **attribs: Any) -> Tensor:
        out = Tensor(graph, f"{name}_out", (1, 8, 4, 4), np.float32)
        Operation(graph, type, name=name, inputs=inputs, outputs=out, attribs=attribs)
        return out

    for k in range(blocks):
        at = f"stage{k // 10}/block{k}"
        w = Tensor(graph, f"{at}/weight", weight.shape, np.float32, weight, {"scale": 0.25})
        y = add("Conv", f"{at}/Conv", x, w, group=k % kinds + 1, strides=[1, 1])
        z = add("MaxPool", f"{at}/MaxPool", add("Resize", f"{at}/Resize", y))
        x = add("Concat", f"{at}/Concat", x, y, z)
    graph.outputs = [add("Softmax", f"last/{HOSTILE}", x, axis=1)]
    return graph


def page_of(graph: Graph) -> str:
    costs = {op: Cost(1000 * k, 64) for k, op in enumerate(graph.operations)}
    return picture(graph, Look(), "html", HOSTILE, costs).content.decode()


def test_text_of_models_is_never_markup() -> None:
    text = page_of(net(3))
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "<img src=x" not in text
    data = json.loads(text.partition('type="application/json" id="data">')[2].partition("</script>")[0])
    assert data["sides"][0]["operations"][-1]["name"] == f"last/{HOSTILE}"
    assert "http" not in text.replace("http-equiv", "")


def test_two_thousand_operators_open_and_are_found(browser: Any, tmp_path: Path) -> None:
    graph = net(500, kinds=500)
    assert len(graph.operations) == 2001
    tab = Tab(browser, tmp_path / "page.html", page_of(graph))
    assert tab.boxes() == 2003
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("block321/conv")
    assert tab.page.inner_text("#found") == "1 found"
    tab.page.keyboard.press("Enter")
    assert "stage32/block321/Conv" in tab.panel()
    assert tab.run("page.viewers[0].selected.node") >= 0
    assert tab.problems == []


def test_a_click_shows_attributes_weights_and_costs(browser: Any, tmp_path: Path) -> None:
    graph = net(4, kinds=4)
    tab = Tab(browser, tmp_path / "page.html", page_of(graph))
    for number in (0, 8):
        op = graph.operations[number]
        tab.click(tab.run(f"page.viewers[0].ofOperation.get({number})"))
        panel = tab.panel()
        shown = panel.replace("\t", " ").split("\n")
        for line in (
            f"name {op.name}", f"group {op.attribs['group']}", "strides [1, 1]", f"MACs {1000 * number:,}",
            "memory 64 bytes", f"name {op.inputs[1].name}", "shape 8×8×3×3", "type float32", "scale 0.25",
            "min, max -1, 1",
        ):  # fmt: skip
            assert line in shown, (line, panel)
    tab.click(tab.run("page.viewers[0].ofOperation.get(16)"))
    assert f"last/{HOSTILE}" in tab.panel()
    assert tab.problems == []


def test_repeated_blocks_and_frames_open_and_close(browser: Any, tmp_path: Path) -> None:
    tab = Tab(browser, tmp_path / "page.html", page_of(net(9)))
    assert tab.boxes() == 4 + 3
    tab.page.keyboard.press("e")
    assert tab.boxes() == 36 + 3
    tab.page.keyboard.press("c")
    closed = tab.boxes()
    assert closed < 36
    frame = tab.run("(() => { const v = page.viewers[0]; v.paint(); const f = v.frames.find(f => f.isClosed),"
                    " r = v.canvas.getBoundingClientRect();"
                    " return [r.x + (f.x + 30) * v.scale + v.dx, r.y + (f.y + 10) * v.scale + v.dy]; })()")  # fmt: skip
    tab.page.mouse.click(*frame)
    assert tab.boxes() > closed
    tab.page.keyboard.press("c")
    tab.page.keyboard.press("e")
    assert tab.boxes() == 4 + 3
    assert tab.problems == []


def test_keys_move_along_edges_and_paths_are_marked(browser: Any, tmp_path: Path) -> None:
    tab = Tab(browser, tmp_path / "page.html", page_of(net(3, kinds=3)))
    start = tab.run("page.viewers[0].ofOperation.get(0)")
    tab.run(f"page.viewers[0].select({{ node: {start} }})")
    tab.page.keyboard.press("ArrowUp")
    assert tab.run("page.viewers[0].view.nodes[page.viewers[0].selected.node].kind") == "input"
    tab.page.keyboard.press("p")
    assert tab.run("page.viewers[0].marked().nodes.size") == tab.boxes()
    for key in ("h", "d", "f", "+", "-", "Escape"):
        tab.page.keyboard.press(key)
    assert tab.run("page.viewers[0].selected") is None
    assert tab.run("document.documentElement.classList.contains('dark')")
    tab.page.emulate_media(media="print")
    tab.run("page.print()")
    assert tab.run("document.getElementById('print').src").startswith("data:image/png")
    assert tab.problems == []


def test_boxes_on_the_canvas_do_not_overlap(browser: Any, tmp_path: Path) -> None:
    tab = Tab(browser, tmp_path / "page.html", page_of(net(12, kinds=5)))
    for key in ("e", "c", "c"):
        tab.page.keyboard.press(key)
        boxes = np.array(tab.run("page.viewers[0].boxes.map(b => [b.x - b.w / 2, b.y, b.x + b.w / 2, b.y + b.h])"))
        low, high = (
            np.maximum(boxes[:, None, :2], boxes[None, :, :2]),
            np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]),
        )
        overlapping = (low < high).all(-1)
        assert overlapping.sum() == len(boxes)  # each with itself
    assert tab.problems == []


def test_a_comparison_marks_planted_edits_and_nothing_else(browser: Any, tmp_path: Path) -> None:
    from tests.inspection.test_difference import EDITS, Net

    a, b = Net(True), Net(True)
    expected = [edit(b) for edit in EDITS]
    text = comparison_page(difference(a.graph, b.graph), ("a", HOSTILE))
    tab = Tab(browser, tmp_path / "page.html", text)
    assert tab.run("page.data.changes.length") == len(expected) >= 10
    marks = "page.viewers[{}].side.operations.filter(op => op.mark).map(op => op.mark + ' ' + op.type)"
    renamed = {"Relu": "Sigmoid"}  # by the edit of a type
    on_b = [f"{kind} {renamed.get(type, type)}" for kind, type, _ in expected if kind != "removed"]
    assert sorted(tab.run(marks.format(0))) == sorted(f"{kind} {type}" for kind, type, _ in expected if kind != "added")
    assert sorted(tab.run(marks.format(1))) == sorted(on_b)
    tab.page.click(".change:has-text('strides [1, 1] -> [2, 2]')")
    assert tab.run("page.viewers.map(v => v.side.operations[v.selected.row].attributes[0].join(' '))") == [
        "strides [1, 1]", "strides [2, 2]",
    ]  # fmt: skip
    assert tab.problems == []


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.bool_, np.float64])
def test_statistics_of_weights(dtype: Any) -> None:
    data = (np.random.default_rng(0).standard_normal((300, 700)) * 3).astype(dtype)
    data[0, 0] = 0
    found = weight_statistics(data)
    values = data.astype(np.float64)
    assert found is not None
    assert found["min"] == values.min()
    assert found["max"] == values.max()
    assert found["mean"] == pytest.approx(values.mean())
    assert found["std"] == pytest.approx(values.std())
    assert found["zeros"] == (values == 0).sum()
    assert found["histogram"] == np.histogram(values, 32)[0].tolist()


def test_statistics_of_values_that_are_not_finite() -> None:
    found = weight_statistics(np.array([1.0, np.nan, np.inf, 3.0]))
    assert found is not None
    assert (found["not_finite"], found["min"], found["max"]) == (2, 1.0, 3.0)
    assert weight_statistics(np.array([np.nan])) == {"count": 1, "zeros": 0, "not_finite": 1}
    assert weight_statistics(np.array(["a"])) is None
