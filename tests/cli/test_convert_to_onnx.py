"""`convert` to ONNX: there and back, rewriting, options, verification."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import nnef_tools
from nnef_tools.conversion.onnx.from_nnef.converter import DEFAULT_OPSET

from ..support.commands import Run
from ..support.onnx_models import run_onnx

X = np.random.default_rng(3).uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)


def test_there_and_back(run: Run, model: Path, tmp_path: Path) -> None:
    folder, back, mapping = tmp_path / "net.nnef", tmp_path / "back.onnx", tmp_path / "mapping.json"
    assert run("convert", model, folder)[0] == 0
    status, out, err = run("convert", folder, back, "--verify", "--tensor-mapping", mapping)
    assert (status, out) == (0, f"Written '{back}'\nWritten '{mapping}'\n"), err
    assert "verified on 3 random inputs" in err
    onnx.checker.check_model(str(back), full_check=True)
    result = onnx.load(back)
    assert [node.op_type for node in result.graph.node] == ["Conv", "Relu", "MaxPool"]
    assert result.opset_import[0].version == DEFAULT_OPSET
    assert {item.name for item in result.graph.initializer} == {"w", "b"}
    assert [item.name for item in (*result.graph.input, *result.graph.output)] == ["x", "y"]
    np.testing.assert_allclose(run_onnx(back, [X])[0], run_onnx(model, [X])[0], rtol=1e-5, atol=1e-6)
    assert "c" in json.loads(mapping.read_text()).values()


def test_operator_set(run: Run, model: Path, tmp_path: Path) -> None:
    run("convert", model, tmp_path / "net.nnef")
    assert run("convert", tmp_path / "net.nnef", tmp_path / "old.onnx", "--opset", 13)[0] == 0
    assert onnx.load(tmp_path / "old.onnx").opset_import[0].version == 13
    status, _, err = run("convert", tmp_path / "net.nnef", tmp_path / "no.onnx", "--opset", 7)
    assert status == 1 and "opset 7 is not supported" in err
    _, _, err = run("convert", model, tmp_path / "again.nnef", "--opset", 13)
    assert "opset has no effect in this conversion" in err


def test_rewrites_onnx(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.onnx"
    assert run("convert", model, target, "--verify")[0] == 0
    result = onnx.load(target)
    assert [node.name for node in result.graph.node] == ["conv", "act", "pool"]
    assert {(entry.domain, entry.version) for entry in result.opset_import} == {("", 17), ("com.example", 1)}
    np.testing.assert_array_equal(run_onnx(target, [X])[0], run_onnx(model, [X])[0])


def test_external_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    text = """version 1.0;
graph net(x) -> (y)
{
    x = external(shape = [1, 3, 8, 8]);
    w = variable(shape = [40, 3, 3, 3], label = 'w');
    y = conv(x, w);
}
"""
    (tmp_path / "net" / "graph.nnef").write_text(text)
    from nnef_tools.language.tensor_file import write_tensor

    weights = np.random.default_rng(0).standard_normal((40, 3, 3, 3)).astype(np.float32)
    write_tensor(str(tmp_path / "net" / "w.dat"), weights)
    target = tmp_path / "net.onnx"
    assert run("convert", tmp_path / "net", target, "--external-data", "--verify")[0] == 0
    assert (tmp_path / "net.onnx.data").read_bytes() == weights.tobytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net", "net.onnx", "net.onnx.data"]
    files = [target, tmp_path / "net.onnx.data"]
    facts = json.loads(run("convert", tmp_path / "net", target, "--external-data", "--json")[1])
    assert facts["written"] == [str(file) for file in files]
    assert facts["target"]["size"] == sum(file.stat().st_size for file in files)
    again = json.loads(run("convert", target, tmp_path / "again.onnx", "--json")[1])
    assert again["source"]["size"] == facts["target"]["size"]
    assert again["written"] == [str(tmp_path / "again.onnx")]
    assert again["target"]["size"] == (tmp_path / "again.onnx").stat().st_size
    assert run("convert", tmp_path / "net", target, "--external-data")[1].splitlines() == [
        f"Written '{file}'" for file in files
    ]


def test_decompose_before_conversion(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    text = "version 1.0; graph net(x) -> (y) { x = external(shape = [2, 3]); y = silu(x); }"
    (tmp_path / "net" / "graph.nnef").write_text(text)
    assert run("convert", tmp_path / "net", tmp_path / "a.onnx", "--decompose", "--verify")[0] == 0
    types = [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node]
    assert "Sigmoid" not in types and "Exp" in types


def test_verification_does_not_use_the_conversion(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that computes something else is found, though NNEF models run in onnxruntime elsewhere."""
    from nnef_tools.conversion.engine import rules

    run("convert", model, tmp_path / "net.nnef")
    wrong = rules.Rule("onnx", "relu", 1, "", lambda b, x: b.Sigmoid(x))
    monkeypatch.setitem(rules._from_nnef, ("onnx", "relu"), wrong)
    status, _, err = run("convert", tmp_path / "net.nnef", tmp_path / "bad.onnx", "--verify")
    assert status == 4, err
    assert "the first tensor that differs is 'relu1' of relu, which became 'r' of Sigmoid" in err
    assert not (tmp_path / "bad.onnx").exists()


def test_refusals_name_operator_and_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    text = """version 1.0;
extension KHR_enable_fragment_definitions;
fragment bitwise_and(x: tensor<integer>, y: tensor<integer>) -> (z: tensor<integer>);
graph net(x) -> (y) { x = external<integer>(shape = [2]); y = bitwise_and(x, x); }
"""
    (tmp_path / "net" / "graph.nnef").write_text(text)
    status, _, err = run("convert", tmp_path / "net", tmp_path / "a.onnx", "--opset", 17)
    assert status == 3
    assert "bitwise_and" in err and "--opset 18" in err
    assert run("convert", tmp_path / "net", tmp_path / "a.onnx", "--verify")[0] == 0


def test_python_api(model: Path, tmp_path: Path) -> None:
    nnef_tools.convert_model(model, tmp_path / "net.nnef")
    report = nnef_tools.convert_model(tmp_path / "net.nnef", tmp_path / "net.onnx", opset=15)
    assert report.written == (str(tmp_path / "net.onnx"),)
    graph = nnef_tools.load_model(tmp_path / "net.onnx")
    assert graph.metadata["opset"] == {"": 15}
    nnef_tools.save_model(graph, tmp_path / "saved.onnx", external_data=True)
    np.testing.assert_array_equal(run_onnx(tmp_path / "saved.onnx", [X])[0], run_onnx(tmp_path / "net.onnx", [X])[0])
