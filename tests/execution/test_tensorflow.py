"""Running TensorFlow graphs by TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import FileError, FormatError, UsageError
from nnef_tools.execution import make_executor

tf = pytest.importorskip("tensorflow", reason="it runs the models")
tf1 = tf.compat.v1


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = relu(x @ w), parts of y, and the texts of y."""
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (None, 2), name="x")
        y = tf.nn.relu(tf.matmul(x, tf.constant([[1.0, -1, 0], [0, 2, 1]], name="w"), name="product"), name="y")
        tf.split(y, 3, axis=1, name="parts")
        tf.strings.as_string(y, name="text")
    path = tmp_path / "model.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


X = np.array([[1, -2], [3, 4]], np.float32)
Y = np.array([[1, 0, 0], [3, 5, 4]], np.float32)


def test_names_and_types(model: Path) -> None:
    executor = make_executor(model, format="tf")
    assert executor.backend == "tensorflow"
    assert [(i.name, i.dtype, i.shape) for i in executor.inputs] == [("x:0", np.float32, (None, 2))]
    assert [i.name for i in executor.outputs] == ["parts:0", "parts:1", "parts:2", "text:0"]
    assert executor.tensor_names == ["x:0", "product:0", "y:0", "parts:0", "parts:1", "parts:2", "text:0"]


@pytest.mark.parametrize("name", ["x", "x:0"])
def test_values(model: Path, name: str) -> None:
    executor = make_executor(model, format="tf", backend="tensorflow")
    result = executor.run({name: X})
    assert list(result) == ["parts:0", "parts:1", "parts:2", "text:0"]
    np.testing.assert_array_equal(result["parts:1"], Y[:, 1:2])
    assert result["text:0"].dtype == np.object_
    result = executor.run({name: X.astype(np.float64)}, output_names=["y", "y:0", "parts:2", "x", "w"])
    np.testing.assert_array_equal(result["y"], Y)
    np.testing.assert_array_equal(result["y:0"], Y)
    np.testing.assert_array_equal(result["x"], X)
    assert result["w"].shape == (2, 3)


def test_observed_values(model: Path) -> None:
    seen: dict[str, Any] = {}
    make_executor(model, format="tf").run({"x": X}, observe=lambda name, value: seen.update({name: value}))
    assert list(seen) == ["x:0", "product:0", "y:0", "parts:0", "parts:1", "parts:2", "text:0"]
    np.testing.assert_array_equal(seen["product:0"], [[1, -5, -2], [3, 5, 4]])


def test_errors(model: Path, tmp_path: Path) -> None:
    executor = make_executor(model, format="tf")
    with pytest.raises(UsageError, match="no tensor 'parst'") as caught:
        executor.run({"x": X}, output_names=["parst"])
    assert "'parts:0'" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no input 'z"):
        executor.run({"z": X})
    with pytest.raises(UsageError, match=r"has values of shape \[2, 1\], the model wants \[\?, 2\]"):
        executor.run({"x": X[:, :1]})
    with pytest.raises(FileError):
        make_executor(tmp_path / "missing.pb", format="tf")
    (tmp_path / "bad.pb").write_bytes(b"\xff")
    with pytest.raises(FormatError):
        make_executor(tmp_path / "bad.pb", format="tf")
    for options in ({"backend": "torch"}, {"decomposed": ["x"]}, {"device": "cuda"}):
        with pytest.raises(UsageError):
            make_executor(model, format="tf", **options)  # type: ignore[arg-type]


def test_composites_cannot_be_run(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (2,), name="x")
        tf.raw_ops.PyFunc(input=[x], token="lp_norm", Tout=[tf.float32], name="y")
    (tmp_path / "m.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(UsageError, match="'lp_norm'"):
        make_executor(tmp_path / "m.pb", format="tf")


def test_loops(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (), name="x")
        y = tf.while_loop(lambda k, a: k < 3, lambda k, a: (k + 1, a * 2), (0, x))[1]
        tf.identity(y, name="y")
    (tmp_path / "m.pb").write_bytes(graph.as_graph_def().SerializeToString())
    seen: dict[str, Any] = {}
    executor = make_executor(tmp_path / "m.pb", format="tf")
    result = executor.run({"x": np.float32(1.5)}, observe=lambda name, value: seen.update({name: value}))
    assert result["y:0"] == 12
    assert "y:0" in seen


def test_large_weights_are_fed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_executor(model, format="tf")
    monkeypatch.setattr("nnef_tools.execution.tensorflow.LARGE_WEIGHT", 8)
    monkeypatch.setattr("nnef_tools.execution.tensorflow.LARGE_GRAPH", 8)
    fed = make_executor(model, format="tf")
    assert fed.tensor_names == plain.tensor_names and fed.inputs == plain.inputs
    for names in (None, ["product", "w"]):
        found, expected = (executor.run({"x": X}, output_names=names) for executor in (fed, plain))
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
