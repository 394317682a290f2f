"""The onnxruntime executor on models made with onnx.helper, against hand-computed values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nnef_tools.errors import ExecutionError, FileError, FormatError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.execution.onnxruntime.onnx import OnnxExecutor
from nnef_tools.execution.results.statistics import StatisticsCollector

from ..support.arrays import Array
from ..support.onnx_models import onnx_model

W = np.array([[1, 2], [3, -4], [5, 6]], np.float32)


def make_model(weights: Array = W) -> Any:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("TopK", ["r", "k"], ["values", "indices"]),
        helper.make_node("Neg", ["values"], ["y"]),
    ]
    return onnx_model(nodes, {"x": ["N", 3]}, {"y": ["N", 1]}, {"w": weights, "k": np.array([1])})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(make_model(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


X = np.array([[1, 1, 1], [0, 2, 0]], np.float32)


def test_run(path: Path) -> None:
    executor = make_executor(path, format="onnx")
    assert executor.backend == "onnxruntime"
    assert [(i.name, i.dtype, i.shape) for i in executor.inputs] == [("x", np.float32, (None, 3))]
    assert [i.name for i in executor.outputs] == ["y"]
    assert executor.run({"x": X})["y"].tolist() == [[-9], [-6]]
    assert executor.run({"x": X.astype(np.float64)})["y"].tolist() == [[-9], [-6]]


def test_constant_nodes_are_not_listed() -> None:
    text = "g (float[2] x) => (float[2] y) { two = Constant<value_float = 2.0>() y = Mul(x, two) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    executor = OnnxExecutor(model.SerializeToString())
    assert executor.tensor_names == ["x", "y"]
    assert executor.run({"x": X[0, :2]}, output_names=["two"])["two"] == 2


def test_intermediates(path: Path) -> None:
    executor = make_executor(path, format="onnx")
    assert executor.tensor_names == ["x", "m", "r", "values", "indices", "y"]
    results = executor.run({"x": X}, output_names=["m", "x", "indices", "w"])
    np.testing.assert_array_equal(results["m"], X @ W)
    np.testing.assert_array_equal(results["x"], X)
    np.testing.assert_array_equal(results["w"], W)
    assert results["indices"].tolist() == [[0], [0]] and results["indices"].dtype == np.int64
    with pytest.raises(UsageError, match=r"no tensor 'valuess'(.|\n)*'values'"):
        executor.run({"x": X}, output_names=["valuess"])


def test_statistics(path: Path) -> None:
    collector = StatisticsCollector()
    result = make_executor(path, format="onnx").run({"x": X}, observe=collector)
    assert list(result) == ["y"]
    assert set(collector.statistics) == {"x", "m", "r", "values", "indices", "y"}
    m = (X @ W).astype(np.float64)
    assert collector.to_json()["m"] == pytest.approx(
        {"min": m.min(), "max": m.max(), "mean": m.mean(), "std": m.std(ddof=1)}
    )


def test_external_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 2)).astype(np.float32)
    folder = tmp_path / "sub"
    folder.mkdir()
    onnx.save(
        make_model(weights), folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=50
    )
    assert (folder / "weights.bin").is_file()
    executor = make_executor(folder / "m.onnx", format="onnx")
    np.testing.assert_allclose(executor.run({"x": X}, output_names=["m"])["m"], X @ weights, rtol=1e-5)


def test_bytes_and_threads() -> None:
    executor = OnnxExecutor(make_model().SerializeToString(), threads=1)
    assert executor.run({"x": X}, output_names=["y", "r"])["y"].tolist() == [[-9], [-6]]


def test_failure_of_the_runtime(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[3] x, int64[1] i) => (float[1] y) { y = Gather(x, i) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    with pytest.raises(ExecutionError, match="onnxruntime failed"):
        make_executor(tmp_path / "m.onnx", format="onnx").run({"x": np.ones(3, np.float32), "i": np.array([7])})


def test_errors(path: Path, tmp_path: Path) -> None:
    executor = make_executor(path, format="onnx")
    with pytest.raises(UsageError, match=r"has values of shape \[2, 4\], the model wants \[\?, 3\]"):
        executor.run({"x": np.ones((2, 4), np.float32)})
    with pytest.raises(UsageError, match="not given"):
        executor.run({})
    with pytest.raises(UsageError, match="NNEF models only"):
        make_executor(path, format="onnx", custom_operators={"Relu": abs})
    with pytest.raises(FileError):
        make_executor(tmp_path / "none.onnx", format="onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(FormatError, match="cannot load"):
        make_executor(tmp_path / "bad.onnx", format="onnx")


def test_weights_of_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnef_tools.execution.onnxruntime.onnx.LARGE", 1000)
    weights = np.random.default_rng(0).integers(-4, 5, (64, 65)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    path = tmp_path / "m.onnx"
    onnx.save(onnx_model(nodes, {"x": [2, 64]}, {"y": [2, 65]}, {"w": weights}), path)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "m.onnx").symlink_to(path)
    x = np.random.default_rng(1).integers(-4, 5, (2, 64)).astype(np.float32)
    for file in (path, tmp_path / "links" / "m.onnx"):
        executor = OnnxExecutor(file)
        for names in (["y"], ["m"], ["m", "y"], ["y"]):  # sessions that take turns
            values = executor.run({"x": x}, output_names=names)
            assert len(executor._sessions) == 1
            np.testing.assert_array_equal(values.get("m", x @ weights), x @ weights)
            np.testing.assert_array_equal(values.get("y", np.maximum(x @ weights, 0)), np.maximum(x @ weights, 0))


def test_large_files_with_weights_in_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnef_tools.execution.onnxruntime.onnx.LARGE", 10)
    model = make_model()
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=50)
    assert OnnxExecutor(tmp_path / "m.onnx").run({"x": X}, output_names=["m"])["m"].tolist() == (X @ W).tolist()
