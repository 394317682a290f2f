"""NNEF models with custom operations, of which too little or just enough is known, converted to each format and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nnef_tools
from nnef_tools.io.tf.graphdef import Reader as TfReader
from nnef_tools.language.tensor_file import read_tensor

from ..support.commands import Run

HEADER = "version 1.0;\nextension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"
OPAQUE = "fragment my_op(x: tensor<scalar>, a: scalar) -> (y: tensor<scalar>);\n"
TWICE = "fragment twice(x: tensor<scalar>) -> (y: tensor<scalar>) { z = x * 2.0; y = z + 0.0; }\n"
PARTS = """fragment parts(x: tensor<scalar>) -> (y: tensor<scalar>[], z: tensor<logical>)
{ y = split(x, axis = 1, ratios = [1, 2]); z = x > 0.0; }
"""
PLUGIN = """
from nnef_tools import Transform
CUSTOM_SHAPES = {"my_op": lambda x, a: x, "parts": lambda x: ([[x[0], 1, *x[2:]], [x[0], 2, *x[2:]]], x)}
CUSTOM_TRANSFORMS = {"my_op": Transform("MyOp", inputs="!I[0]", outputs="!O[0]", attribs={"a": "!a"}, custom=True)}
CUSTOM_OPERATORS = {"parts": lambda x: ([x[:, :1] + 1, x[:, 1:]], x > 0)}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def write(folder: Path, fragments: str, results: str, *lines: str) -> Path:
    """A model with the input x [1, 3, 4, 6]."""
    path = folder / "net.nnef"
    path.mkdir()
    body = "\n".join(["x = external(shape = [1, 3, 4, 6]);", *lines])
    (path / "graph.nnef").write_text(f"{HEADER}{fragments}graph net(x) -> ({results})\n{{\n{body}\n}}\n")
    return path


@pytest.mark.parametrize("suffix", ["onnx", "pb"])
@pytest.mark.parametrize("option", ["--mirror-unsupported", "--custom-converters"])
def test_unknown_shapes_are_refused(run: Run, suffix: str, option: str, plugin: Path, tmp_path: Path) -> None:
    lines = ("y = my_op(x, a = 2.0);", "r = relu(y);", "z = max_pool(r, size = [1, 1, 2, 2], border = 'ignore');")
    model, target = write(tmp_path, OPAQUE, "z", *lines), tmp_path / f"out.{suffix}"
    options = [option, *([plugin] if option == "--custom-converters" else [])]
    status, _, err = run("convert", model, target, *options)
    assert status == 3, err
    assert (
        "relu          1  shape of tensor 'y' is not known (give the shape function of 'my_op' with --custom-shapes)"
        in err
    )
    assert not target.exists()
    status, _, err = run("convert", model, target, *options, "--custom-shapes", plugin)
    assert status == 0, err


@pytest.mark.parametrize("suffix", ["onnx", "pb"])
def test_outputs_of_unknown_shape(run: Run, suffix: str, tmp_path: Path) -> None:
    """ONNX files have to tell the rank of an output, TensorFlow's need not."""
    model, target = write(tmp_path, OPAQUE, "y", "y = my_op(x, a = 2.0);"), tmp_path / f"out.{suffix}"
    status, _, err = run("convert", model, target, "--mirror-unsupported")
    assert status == (3 if suffix == "onnx" else 0)
    assert "my_op" in err
    status, _, err = run("convert", model, target, "--mirror-unsupported", "--io-transpose")
    assert status == 3
    assert (
        "shape of tensor 'y' is not known" in err and "give the shape function of 'my_op' with --custom-shapes" in err
    )


@pytest.mark.parametrize("suffix", ["onnx", "pb"])
def test_custom_shapes_beside_decomposed_operations(run: Run, suffix: str, plugin: Path, tmp_path: Path) -> None:
    lines = ("y = my_op(x, a = 2.0);", "z = twice(y);", "p = max_pool(z, size = [1, 1, 2, 2], border = 'ignore');")
    model, target = write(tmp_path, OPAQUE + TWICE, "p", *lines), tmp_path / f"out.{suffix}"
    status, _, err = run("convert", model, target, "--mirror-unsupported", "--custom-shapes", plugin)
    assert status == 0, err
    graph = nnef_tools.load_model(target)
    assert {"my_op", "MaxPool"} <= {op.type for op in graph.operations}


@pytest.mark.parametrize("suffix", ["nnef", "onnx"])
def test_an_option_without_effect_does_not_change_what_is_verified(run: Run, suffix: str, tmp_path: Path) -> None:
    model, target = write(tmp_path, "", "y", "y = relu(x);"), tmp_path / f"out.{suffix}"
    status, _, err = run("convert", model, target, "--io-transpose", "--verify")
    assert status == 0, err
    assert "--io-transpose has no effect in this conversion" in err
    if suffix == "onnx":
        status, _, err = run("convert", target, tmp_path / "again.onnx", "--io-transpose", "x", "--verify")
        assert status == 0, err


def test_transposing_what_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    model = write(tmp_path, "", "y", "y = relu(x);")
    status, _, err = run("convert", model, tmp_path / "out.pb", "--io-transpose", "z")
    assert status == 1
    assert "'z' is to be transposed, but it is neither an input nor an output of the model" in err


@pytest.mark.parametrize("suffix", ["nnef", "onnx", "pb"])
def test_an_array_beside_another_result(run: Run, suffix: str, tmp_path: Path) -> None:
    model, target = write(tmp_path, PARTS, "p, s, q", "[p, q], s = parts(x);"), tmp_path / f"out.{suffix}"
    status, _, err = run("convert", model, target)
    assert status == 0, err
    x = np.random.default_rng(0).standard_normal((1, 3, 4, 6)).astype(np.float32)
    for path in (model, target):
        results = list(nnef_tools.run_model(path, {"x": x}).values())
        for actual, wanted in zip(results, (x[:, :1], x > 0, x[:, 1:]), strict=True):
            assert actual.dtype == wanted.dtype
            np.testing.assert_array_equal(actual, wanted)
    if suffix == "nnef":
        assert "[p, q], s = parts(x);" in (target / "graph.nnef").read_text()


@pytest.mark.parametrize("suffix", ["onnx", "pb"])
def test_an_array_beside_another_result_of_a_copied_operation(
    run: Run, suffix: str, plugin: Path, tmp_path: Path
) -> None:
    declaration = PARTS[: PARTS.index("\n")] + ";\n"
    model = write(tmp_path, declaration, "r, t", "[p, q], s = parts(x);", "r = neg(q);", "t = !s;")
    target = tmp_path / f"out.{suffix}"
    status, _, err = run("convert", model, target, "--mirror-unsupported", "--custom-shapes", plugin)
    assert status == 0, err
    graph = TfReader()(str(target)) if suffix == "pb" else nnef_tools.load_model(target)
    parts = next(op for op in graph.operations if op.type == "parts")
    assert [tensor.dtype for tensor in parts.outputs] == [np.float32, np.float32, np.bool_]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_operators_that_give_an_array_beside_another_result(
    run: Run, backend: str, plugin: Path, tmp_path: Path
) -> None:
    model = write(tmp_path, PARTS, "p, s", "[p, q], s = parts(x);")
    options = ("--random", "uniform(1, 2)", "--output-path", tmp_path, "--backend", backend)
    status, _, err = run("execute", model, *options, "--custom-operators", plugin)
    assert status == 0, err
    p, _ = read_tensor(tmp_path / "p.dat")
    assert p.shape == (1, 1, 4, 6) and p.min() >= 2
