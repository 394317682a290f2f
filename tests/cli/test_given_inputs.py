"""Inputs whose shapes or values the user gives, in place of those of the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

import nnef_tools
from nnef_tools.errors import ConversionError, FileError, UsageError

from ..support.arrays import Array, random
from ..support.commands import Run
from ..support.onnx_models import Typed, onnx_model, run_onnx
from ..support.tf_programs import freeze

node = helper.make_node
F = TensorProto.FLOAT


def classifier(path: Path, batch: int, flat: Sequence[int]) -> Path:
    """x [batch, 3, 8, 8] -> convolution -> flattened -> product -> y; the shapes of all values are declared."""
    weights = {"k": random(3, 3, 3, 3), "s": np.array(flat, np.int64), "w": random(192, 5, seed=1)}
    nodes = [
        node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        node("Reshape", ["c", "s"], ["f"]),
        node("MatMul", ["f", "w"], ["y"]),
    ]
    model = onnx_model(nodes, {"x": [batch, 3, 8, 8]}, {"y": [batch, 5]}, weights)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def scan(path: Path, width: int) -> Path:
    """x [4, width] -> running sums, by a body that declares the shapes of its values."""
    row: Any = ("a", F, [width]), ("s", F, [width])
    body = helper.make_graph(
        [node("Add", ["s", "a"], ["t"]), node("Identity", ["t"], ["u"])],
        "body",
        [helper.make_tensor_value_info(name, *rest) for name, *rest in (row[1], row[0])],
        [helper.make_tensor_value_info(name, F, [width]) for name in ("t", "u")],
    )
    nodes = [
        node("ReduceMin", ["x"], ["start"], axes=[0], keepdims=0),
        node("Scan", ["start", "x"], ["last", "y"], body=body, num_scan_inputs=1),
    ]
    onnx.save(onnx_model(nodes, {"x": [4, width]}, {"y": [4, width], "last": [width]}), path)
    return path


def run_nnef(path: Path, *inputs: Array) -> list[Array]:
    return list(nnef_tools.run_model(path, inputs, backend="numpy").values())


@pytest.mark.parametrize("target", ["m.nnef", "m.onnx"])
def test_fixed_extents_of_onnx(target: str, tmp_path: Path) -> None:
    source = classifier(tmp_path / "one.onnx", 1, [-1, 192])
    same = classifier(tmp_path / "four.onnx", 4, [-1, 192])
    x = random(4, 3, 8, 8, seed=2)
    report = nnef_tools.convert_model(source, tmp_path / target, input_shapes={"x": (4, 3, 8, 8)}, verify=1)
    assert report.verification is not None
    (result,) = nnef_tools.run_model(tmp_path / target, [x]).values()
    np.testing.assert_allclose(result, run_onnx(onnx.load(same), [x])[0], rtol=1e-4, atol=1e-5)


def test_fixed_extents_in_bodies(tmp_path: Path) -> None:
    x = random(4, 6, seed=3)
    nnef_tools.convert_model(scan(tmp_path / "m.onnx", 5), tmp_path / "m.nnef", input_shapes={"x": (4, 6)}, verify=1)
    expected = run_onnx(onnx.load(scan(tmp_path / "same.onnx", 6)), [x])
    for result, wanted in zip(run_nnef(tmp_path / "m.nnef", x), expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5)


def test_external_data_of_a_model_with_other_shapes(tmp_path: Path) -> None:
    source = classifier(tmp_path / "inside.onnx", 1, [-1, 192])
    onnx.save(onnx.load(source), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=100)
    nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", input_shapes={"x": (2, 3, 8, 8)}, verify=1)


@pytest.mark.parametrize("flat", [[1, 192], [1, -1]])
def test_operators_that_are_made_for_the_former_shape(flat: list[int], tmp_path: Path) -> None:
    source = classifier(tmp_path / "m.onnx", 1, flat)
    with pytest.raises(ConversionError) as error:
        nnef_tools.convert_model(source, tmp_path / "m.nnef", input_shapes={"x": (2, 3, 8, 8)})
    assert error.value.hint is not None
    assert error.value.hint.startswith("--shape replaces x:1,3,8,8")
    assert "plugin" not in error.value.hint


def test_fixed_extents_of_tensorflow_and_nnef(tmp_path: Path) -> None:
    w = random(8, 5)
    traced = freeze(lambda x: tf.nn.relu(tf.matmul(x, w)), (1, 8))
    (tmp_path / "m.pb").write_bytes(traced.graph_def.SerializeToString())
    name = str(nnef_tools.load_model(tmp_path / "m.pb").inputs[0].name)
    x = random(3, 8, seed=1)
    expected = np.maximum(x @ w, 0)
    for source, target in (("m.pb", "a.nnef"), ("m.nnef", "b.nnef"), ("m.nnef", "c.onnx"), ("m.tflite", "d.nnef")):
        if source != "m.pb" and not (tmp_path / source).exists():
            nnef_tools.convert_model(tmp_path / "m.pb", tmp_path / source, keep_io_names=True)
        shapes = {name: (3, 8)}
        nnef_tools.convert_model(tmp_path / source, tmp_path / target, input_shapes=shapes, verify=1)
        (result,) = nnef_tools.run_model(tmp_path / target, [x]).values()
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_execute_with_other_extents(run: Run, tmp_path: Path) -> None:
    source = classifier(tmp_path / "m.onnx", 1, [-1, 192])
    given = ("--random", "uniform(-1, 1)", "--shape", "x:2,3,8,8", "--output-path", tmp_path / "y.npz")
    status, _, error = run("execute", source, *given)
    assert status == 0, error
    assert np.load(tmp_path / "y.npz")["y"].shape == (2, 5)


def test_shapes_that_the_model_names(tmp_path: Path) -> None:
    """A named extent of one input holds for all, also where another input has a fixed one that is replaced."""
    model = onnx_model(
        [node("Add", ["a", "b"], ["c"]), node("Add", ["c", "d"], ["y"])],
        {"a": ["n", 2], "b": ["n", 2], "d": Typed("float32", [1, 3])},
        {"y": ["n", 3]},
    )
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 3), np.float32), "unused"))
    onnx.save(model, tmp_path / "m.onnx")
    graph = nnef_tools.load_model(tmp_path / "m.onnx", input_shapes={"a": (5, 2), "d": (1, 2)})
    assert [tensor.shape for tensor in graph.inputs] == [(5, 2), (5, 2), (1, 2)]
    assert graph.outputs[0].shape == (5, None)


def switched(path: Path) -> Path:
    """y = s * (moments or constants, as `training` says, subtracted from x [2, 4]); control flow of TensorFlow 1."""
    tf1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        x = tf1.placeholder(tf.float32, [2, 4], "x")
        keep = tf1.placeholder_with_default(tf.constant(0.5), [], "keep")
        training = tf1.placeholder(tf.bool, [], "training")
        noise = lambda: x + tf.random.uniform([2, 4])  # noqa: E731
        tf.multiply(tf1.cond(training, noise, lambda: x - 1.0), keep, name="y")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_values_choose_the_branches_of_tensorflow(run: Run, tmp_path: Path) -> None:
    source = switched(tmp_path / "m.pb")
    given = ("--set", "training=false", "keep=0.25", "--verify", "1", "--keep-io-names")
    status, _, error = run("convert", source, tmp_path / "m.nnef", *given)
    assert status == 0, error
    x = random(2, 4)
    np.testing.assert_array_equal(run_nnef(tmp_path / "m.nnef", x), [(x - 1) * np.float32(0.25)])
    graph = nnef_tools.load_model(tmp_path / "m.nnef")
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    with pytest.raises(ConversionError, match="random"):
        nnef_tools.convert_model(source, tmp_path / "m.nnef", set_inputs={"training": True, "keep": 1})


def test_values_in_every_format(tmp_path: Path) -> None:
    first = tmp_path / "m.onnx"
    model = onnx_model([node("Mul", ["x", "s"], ["y"])], {"x": [2, 3], "s": [2, 3]}, {"y": [2, 3]})
    onnx.save(model, first)
    x, s = random(2, 3), random(2, 3, seed=1)
    np.save(tmp_path / "s.npy", s.astype(np.float64))
    for suffix in (".onnx", ".nnef", ".pb", ".tflite"):
        source = tmp_path / f"m{suffix}"
        if not source.exists():
            nnef_tools.convert_model(first, source, keep_io_names=True)
        for target in ("a.nnef", f"a{suffix}"):
            values = {"s": tmp_path / "s.npy"}
            report = nnef_tools.convert_model(source, tmp_path / target, set_inputs=values, verify=1)
            assert report.verification is not None
            (result,) = nnef_tools.run_model(tmp_path / target, [x]).values()
            np.testing.assert_allclose(result, x * s, rtol=1e-6)


def test_value_of_a_branch_of_onnx(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    yes = helper.make_graph([node("Relu", ["x"], ["a"])], "yes", [], [info("a", F, [2, 3])])
    no = helper.make_graph([node("RandomNormalLike", ["x"], ["b"])], "no", [], [info("b", F, [2, 3])])
    nodes = [node("If", ["flag"], ["c"], then_branch=yes, else_branch=no), node("Add", ["c", "n"], ["y"])]
    inputs = {"x": [2, 3], "flag": Typed("bool", []), "n": ["k", 3]}
    onnx.save(onnx_model(nodes, inputs, {"y": [2, 3]}), tmp_path / "m.onnx")
    values = {"flag": True, "n": [[1, 2, 3]]}
    nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", set_inputs=values, verify=1)
    x = random(2, 3)
    np.testing.assert_allclose(run_nnef(tmp_path / "m.nnef", x), [np.maximum(x, 0) + [1, 2, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mask=1", "the model has no input 'mask' that could be set"),
        ("training=2", "items of type bool, which has no 2"),
        ("training=perhaps", "'perhaps' is no value for it"),
        ("keep=[1,2]", "input 'keep' has shape [], its value [2]"),
        ("keep=1e99", "items of type float32, which has no 1e+99"),
        ("keep=16777217", "items of type float32, which has no 16777217"),
        ("x=[[1,2],[3]]", "its lists differ in length"),
        ("keep", "'keep' is not a name with a value"),
    ],
)
def test_wrong_values(run: Run, text: str, message: str, tmp_path: Path) -> None:
    status, _, error = run("convert", switched(tmp_path / "m.pb"), tmp_path / "m.nnef", "--set", text)
    assert (status, message in error) == (1, True), error


def test_values_that_do_not_fit(tmp_path: Path) -> None:
    model = onnx_model([node("Mul", ["x", "s"], ["y"])], {"x": [2], "s": ["n"]}, {"y": ["n"]})
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"has shape \[\?\], which one number cannot fill"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", set_inputs={"s": 1})
    with pytest.raises(FileError, match="no such file"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", set_inputs={"s": "s.npy"})
    with pytest.raises(ConversionError, match="has no inputs"):
        nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", set_inputs={"s": [1, 2], "x": 1})


def test_shapes_of_inner_tensors_by_merged_names(run: Run, tmp_path: Path) -> None:
    """A name that TensorFlow's reader merges into another one names the same tensor for --shape, too."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.string, [None], "files")
        images = tf.identity(tf.reshape(tf.io.decode_raw(x, tf.float32), [-1, 2, 2]), "images")
        tf.nn.relu(images, name="y")
    (tmp_path / "m.pb").write_bytes(graph.as_graph_def(add_shapes=True).SerializeToString())
    cut = ("--input-names", "images", "--shape", "images:3,2,2")
    status, _, error = run("convert", tmp_path / "m.pb", tmp_path / "m.nnef", *cut)
    assert status == 0, error
    status, _, error = run("convert", tmp_path / "m.pb", tmp_path / "m.nnef", "--shape", "files:1")
    assert status == 3
    assert "string" in error
    assert "--input-names" in error
