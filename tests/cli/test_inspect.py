"""`nnef-tools inspect` and `nnef-tools gmac`, as their users type them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.support.commands import Run
from tests.support.onnx_models import onnx_model

MACS = 4 * 6 * 6 * 3 * 3 * 3


def test_inspect(model: Path, run: Run) -> None:
    status, out, err = run("inspect", model, "--ops")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"model         {model}"
    assert "inputs        x: float32 [1, 3, 8, 8]" in lines
    assert "operators     3: 1 Conv, 1 MaxPool, 1 Relu" in lines
    assert any(line.startswith("MACs          ") for line in lines)
    assert [line.split()[0] for line in lines[-4:]] == ["operator", "Conv", "Relu", "MaxPool"]


def test_inspect_as_json(model: Path, run: Run) -> None:
    status, out, _ = run("inspect", model, "--ops", "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["schema"], found["status"]) == ("nnef-tools.summary/1", "ok")
    assert found["operators"] == {"Conv": 1, "MaxPool": 1, "Relu": 1}
    assert found["macs"] == sum(row["macs"] for row in found["operator_rows"])


def test_open_extents(dynamic_model: Path, run: Run) -> None:
    status, out, _ = run("inspect", dynamic_model)
    assert status == 0
    assert "x: float32 [N, 3, H, W]" in out
    assert "MACs          not known: the inputs leave extents open" in out
    assert "activations not known" in out and "--shape 'x:?,3,?,?'" in out
    status, out, _ = run("inspect", dynamic_model, "--shape", "x:1,3,8,8")
    assert "not known" not in out
    status, _, err = run("gmac", dynamic_model)
    assert status == 3
    assert "--shape 'x:?,3,?,?'" in err


def test_gmac(model: Path, run: Run) -> None:
    status, out, err = run("gmac", model)
    assert (status, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("GMACs = ")
    assert second.startswith("Total memory in Mbytes (supposing float32) = ")
    with_pooling = json.loads(run("gmac", model, "--include-pooling", "--json")[1])
    without = json.loads(run("gmac", model, "--json")[1])
    assert with_pooling["macs"] - without["macs"] == 4 * 4 * 4 * 2 * 2
    assert float(first.partition("=")[2]) == pytest.approx(without["macs"] / 1e9)
    assert float(second.partition("=")[2]) == pytest.approx(without["items"] * 4 / 1e6)


def test_gmac_names_what_it_cannot_count(custom_model: Path, run: Run) -> None:
    status, out, err = run("gmac", custom_model)
    assert status == 0
    assert out.startswith("GMACs = 0.0\n")
    assert "the MACs of 3 operator(s) are not known" in err
    assert "Foo" in err and "Bar" in err


def test_gmac_with_custom_shapes(tmp_path: Path, run: Run) -> None:
    plugin = tmp_path / "shapes.py"
    plugin.write_text("CUSTOM_SHAPES = {'foo': lambda x, **attribs: x}\n", "utf-8")
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "graph.nnef").write_text(
        "version 1.0;\nextension KHR_enable_fragment_definitions;\n"
        "fragment foo(x: tensor<scalar>) -> (y: tensor<scalar>);\n"
        "graph net(x) -> (y) { x = external(shape = [2, 5]); w = external(shape = [3, 5]); "
        "f = foo(x); y = linear(f, w); }\n".replace("net(x)", "net(x, w)"),
        "utf-8",
    )
    status, out, err = run("gmac", folder, "--custom-shapes", plugin)
    assert (status, out.splitlines()[0]) == (0, f"GMACs = {2 * 3 * 5 / 1e9}")
    assert "foo" in err
    status, _, err = run("gmac", folder)
    assert status == 0
    assert "linear" in err and "--custom-shapes" in err


@pytest.mark.parametrize("command", ["inspect", "gmac"])
def test_mistakes(command: str, tmp_path: Path, run: Run) -> None:
    assert run(command)[0] == 1
    status, _, err = run(command, tmp_path / "missing.onnx")
    assert status == 2
    assert err.startswith("error: ")
    assert "Traceback" not in err
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 100)
    assert run(command, tmp_path / "bad.onnx")[0] == 2


def test_operators_are_refused_by_name_without_onnx(
    custom_model: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package `onnx` has definitions of the operators of the standard only."""
    nodes = [helper.make_node("MeanVarianceNormalization", ["x"], ["y"])]
    onnx.save(onnx_model(nodes, {"x": [1, 2, 3, 3]}, {"y": [1, 2, 3, 3]}), tmp_path / "standard.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "nnef_tools.io.onnx.functions", raising=False)
    status, _, err = run("convert", custom_model, tmp_path / "m.nnef")
    assert (status, "there is no rule for com.example.Foo" in err) == (3, True)
    assert run("inspect", custom_model)[0] == 0
    status, _, err = run("convert", tmp_path / "standard.onnx", tmp_path / "m.nnef")
    assert (status, "the package 'onnx'" in err) == (3, True)


def test_inspect_names_what_it_cannot_count(custom_model: Path, run: Run) -> None:
    out = run("inspect", custom_model)[1]
    assert "              without 2 Foo: there is no rule for com.example.Foo-1\n" in out


@pytest.mark.parametrize("command", ["inspect", "gmac", "visualize", "execute"])
def test_the_format_of_the_model_has_one_name_in_all_commands(command: str, model: Path, run: Run) -> None:
    options = ["--random", "uniform"] if command == "execute" else []
    status, _, err = run(command, model, "--input-format", "tflite", *options)
    assert status == 2
    assert "TFL3" in err


@pytest.mark.parametrize("command", ["inspect", "gmac", "visualize", "diff"])
def test_options_for_readers_of_other_formats_are_named(command: str, model: Path, run: Run) -> None:
    models = [model, model] if command == "diff" else [model]
    status, _, err = run(command, *models, "--signature", "serve", "--weights", "net.caffemodel")
    assert status == 0
    assert [f"warning: --{name} has no effect on ONNX models" in err for name in ("signature", "weights")] == [True] * 2
