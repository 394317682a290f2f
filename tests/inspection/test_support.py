"""What `ops` lists is what conversions do, and the plugins that it makes can be used as they are."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nnef_tools.cli.main import main
from nnef_tools.errors import UsageError
from nnef_tools.inspection.missing import find_missing, plugin_text
from nnef_tools.inspection.opening import open_sized
from nnef_tools.inspection.support import REFUSED, RULE, conversions, supported
from nnef_tools.io.nnef import Reader
from tests.support.commands import Run, runner
from tests.support.onnx_models import onnx_model


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(capfd)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """x -> Foo -> Bar of two results, Relu, and NonZero of the result, which no plugin can replace."""
    nodes = [
        helper.make_node("Foo", ["x"], ["f"], name="foo1", domain="com.example", alpha=2.0, k=[1, 2]),
        helper.make_node("Bar", ["f", "x"], ["g", "h"], domain="com.example", mode='a"b', text="\n"),
        helper.make_node("Relu", ["g"], ["y"]),
    ]
    proto = onnx_model(nodes, {"x": ["N", 5]}, {"y": ["N", 5], "h": ["N", 2]}, domains=("com.example",))
    for name in "fg":
        proto.graph.value_info.append(helper.make_tensor_value_info(name, 1, ["N", 5]))
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_every_conversion_has_operators() -> None:
    for source, target in conversions():
        found = supported(source.name, target.name)
        assert sum(item.by == RULE for item in found) > (50 if source.name == "caffe" else 100)  # which has 86 in all
        names = [item.operator for item in found]
        assert len(set(names)) == len(names)
        assert all(item.text for item in found if item.by == REFUSED)


def test_operators_by_name() -> None:
    found = supported("onnx", None, ["conv", "NoSuch"])
    assert [(item.operator, item.by) for item in found] == [("Conv", RULE), ("NoSuch", REFUSED)]
    assert [(item.source, item.target) for item in supported("onnx", "tflite", ["add"])] == [
        ("onnx", "nnef"),
        ("nnef", "tflite"),
    ]
    constants = supported("onnx", "nnef", ["TopK"])[0].constants
    assert "k" in [name.lower() for name in constants]
    with pytest.raises(UsageError, match="there is no conversion"):
        supported("nnef", "nnef")


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("completed", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_plugin_can_be_used_as_it_is(model: Path, tmp_path: Path, run: Run) -> None:
    plugin = tmp_path / "completed.py"
    status, out, err = run("ops", "--missing", model, "--plugin", plugin)
    assert (status, out) == (3, "")
    assert "com.example.Foo" in err and "com.example.Bar" in err
    module = _module(plugin)
    assert set(module.CUSTOM_TRANSFORMS) == {"com.example.Foo", "com.example.Bar"}
    assert module.CUSTOM_SHAPES["foo"]([3, 4]) == [3, 4]
    options = [word for name in ("converters", "shapes", "fragments") for word in (f"--custom-{name}", plugin)]
    assert run("convert", model, tmp_path / "m.nnef", "--shape", "x:1,5", *options)[0] == 0
    graph = Reader(custom_shapes=module.CUSTOM_SHAPES)(tmp_path / "m.nnef")
    called = {op.type: op for op in graph.operations}
    assert called["foo"].attribs["alpha"] == 2.0 and called["foo"].attribs["k"] == [1, 2]
    assert len(called["bar"].outputs) == 2
    assert called["bar"].attribs["mode"] == 'a"b'
    where = ("--random", "uniform", "--output-path", tmp_path / "out", "--custom-operators", plugin)
    status, _, err = run("execute", tmp_path / "m.nnef", *where)
    assert status == 5
    assert "complete foo in the plugin" in err


def test_what_no_plugin_can_do_is_said(tmp_path: Path, run: Run) -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["y"])]
    onnx.save(onnx_model(nodes, {"x": [2, 5]}, {"y": None}), tmp_path / "m.onnx")
    status, out, err = run("ops", "--missing", tmp_path / "m.onnx")
    assert (status, out) == (3, "")
    assert "depends on the data" in err and "no plugin can convert them" in err


def test_nothing_is_missing(tmp_path: Path, run: Run) -> None:
    onnx.save(onnx_model([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": [2]}), tmp_path / "m.onnx")
    assert run("ops", "--missing", tmp_path / "m.onnx")[:2] == (0, "all operators convert to nnef\n")
    assert run("ops", "--missing", tmp_path / "m.onnx", "--to", "tflite")[0] == 0


def test_lists_as_json(model: Path, run: Run) -> None:
    found = json.loads(run("ops", "--from", "nnef", "--to", "tf", "--json")[1])
    assert found["schema"] == "nnef-tools.operators/1"
    assert {item["by"] for item in found["operators"]} == {"rule", "definition", "refused"}
    assert [item["operator"] for item in found["operators"] if item["by"] == "refused"] == ["multiclass_nms"]
    missing = json.loads(run("ops", "--missing", model, "--json")[1])
    assert [item["type"] for item in missing["missing"]] == ["com.example.Bar", "com.example.Foo"]
    compile(missing["plugin"], "plugin", "exec")


def test_names_from_models_stay_names(tmp_path: Path) -> None:
    """A type that would be code in a careless text."""
    evil = 'x"]: 1}\nimport os\nos.abort()  #'
    nodes = [helper.make_node(evil, ["x"], ["y"], name="\n'''", domain="com.example", s="\\", f=float("inf"))]
    onnx.save(onnx_model(nodes, {"x": [2]}, {"y": [2]}, domains=("com.example",)), tmp_path / "m.onnx")
    (tmp_path / "completed.py").write_text(plugin_text(find_missing(open_sized(tmp_path / "m.onnx"))), "utf-8")
    module = _module(tmp_path / "completed.py")
    assert list(module.CUSTOM_TRANSFORMS) == [f"com.example.{evil}"]
    assert module.CUSTOM_TRANSFORMS[f"com.example.{evil}"].defaults == {"s": "\\", "f": np.inf}


def test_mistakes(model: Path) -> None:
    assert main(["ops", "--plugin", "x.py"]) == 1
    assert main(["ops", "--missing", str(model.parent / "none.onnx")]) == 2
    folder = model.parent / "n.nnef"
    folder.mkdir()
    (folder / "graph.nnef").write_text(
        "version 1.0;\ngraph n(x) -> (y) { x = external(shape = [2]); y = relu(x); }", "utf-8"
    )
    assert main(["ops", "--missing", str(folder)]) == 1
    assert main(["ops", "--missing", str(folder), "--to", "onnx"]) == 0
