"""The command visualize, as the 1.0 series documents it and as it is written today."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from nnef_tools.cli.main import main
from tests.support.caffe2_models import recorded

NNEF = """version 1.0;
graph net(x) -> (y)
{
    x = external<scalar>(shape = [1, 3, 8, 8]);
    w = variable<scalar>(shape = [4, 3, 3, 3], label = 'w');
    c = conv(x, w, 0.0);
    y = softmax(c);
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import numpy as np

    from nnef_tools.language.tensor_file import write_tensor

    folder = tmp_path / "net.nnef"
    folder.mkdir()
    (folder / "graph.nnef").write_text(NNEF)
    with (folder / "w.dat").open("wb") as file:
        write_tensor(file, np.zeros((4, 3, 3, 3), np.float32))
    return folder


def texts(path: Path) -> list[str]:
    return [element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_it_writes_svg_beside_the_model(model: Path) -> None:
    assert main(["visualize", str(model)]) == 0
    shown = texts(model.with_name("net.nnef.svg"))
    assert {"x", "conv", "softmax", "4×3×3×3 · 0", "1×4×8×8"} <= set(shown)


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        (["--show-variables"], "weight", "missing"),
        (["--verbose"], "padding = []", "missing"),
        (["--decompose"], "sum_reduce", "softmax"),
        (["--decompose", "softmax"], "sum_reduce", "softmax"),
        (["--infer-shapes"], "1×4×8×8", "?"),
    ],
)
def test_documented_options(model: Path, options: list[str], present: str, absent: str) -> None:
    assert main(["visualize", str(model), "--format", "svg", *options]) == 0
    shown = texts(model.with_name("net.nnef.svg"))
    assert present in shown
    assert absent not in shown


def test_python_m_and_dot_without_graphviz(model: Path) -> None:
    command = [sys.executable, "-m", "nnef_tools.visualize", str(model), "--format", "dot", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith('digraph "net" {')
    assert 'label="conv\\n4×3×3×3 · 0\\nsoftmax"' in done.stdout


@pytest.mark.parametrize(
    ("suffix", "package", "head"), [("png", "resvg_py", b"\x89PNG"), ("pdf", "reportlab", b"%PDF")]
)
def test_png_and_pdf(model: Path, tmp_path: Path, suffix: str, package: str, head: bytes) -> None:
    pytest.importorskip(package)
    path = tmp_path / f"picture.{suffix}"
    assert main(["visualize", str(model), "-o", str(path)]) == 0
    assert path.read_bytes().startswith(head)


@pytest.mark.parametrize(("suffix", "package"), [("png", "resvg_py"), ("pdf", "reportlab")])
def test_a_missing_package_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suffix: str, package: str
) -> None:
    for name in (package, f"{package}.pdfbase"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["visualize", str(model), "--format", suffix]) == 6
    assert "pip install 'nnef-tools[visualize]'" in capsys.readouterr().err
    assert not model.with_name(f"net.nnef.{suffix}").exists()


def test_errors(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["visualize"]) == 1
    assert main(["visualize", str(model), "-o", str(tmp_path / "picture.jpg")]) == 1
    assert main(["visualize", str(model), "--decompose", "conv"]) == 1
    assert main(["visualize", str(tmp_path / "missing.onnx")]) == 2
    assert capsys.readouterr().err.count("error: ") == 4


def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["visualize", str(model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["schema"] == "nnef-tools.picture/1"
    assert facts["written"] == [f"{model}.svg"]
    assert facts["operations"] == 2


def test_a_model_with_all_extents_is_opened_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nnef_tools.inspection.opening as opening

    opened = []
    original = opening.open_model
    monkeypatch.setattr(opening, "open_model", lambda path, *args: opened.append(path) or original(path, *args))
    assert main(["visualize", str(model), "--format", "html"]) == 0
    assert opened == [model]


def test_what_decomposed_operations_cost_is_shown(model: Path) -> None:
    macs = 4 * 8 * 8 * 3 * 3 * 3
    assert main(["visualize", str(model), "--format", "html", "--decompose", "softmax"]) == 0
    assert f'"macs":{macs}' in model.with_name("net.nnef.html").read_text()


def test_shapes_that_caffe2_files_leave_out_are_drawn(tmp_path: Path) -> None:
    net = recorded("groupnorm_nhwc")
    folder = net.write(tmp_path)
    assert main(["visualize", str(folder)]) == 0
    shape = "×".join(map(str, net.outputs["y"].shape))
    assert f"{shape} float32" in texts(tmp_path / "groupnorm_nhwc.svg")
