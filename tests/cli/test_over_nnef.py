"""Conversions between two formats of which none is NNEF, and optimization of a model in its own format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnef_tools
from nnef_tools import run_model
from nnef_tools.errors import ConversionError, VerificationError
from nnef_tools.io.tf.graphdef import Reader as GraphDefReader

from ..support.commands import Run
from ..support.onnx_models import onnx_session, run_onnx
from ..support.tf_examples import FOLDER, recorded
from .models import save

Array = np.ndarray[Any, Any]

IMAGE = FOLDER / "squeeze_excite.pb"
IMAGE_SHAPE = ("--shape", "input_0:2,10,11,6")

PLUGIN = """
from nnef_tools.conversion import Transform

CUSTOM_TRANSFORMS = {
    "Twice": Transform(type="add", inputs=("!I[0]", "!I[0]"), outputs="!O[0]"),
    "relu": Transform(type="LeakyRelu", inputs="!I[0]", outputs="!O[0]", attribs={"alpha": 0.0}),
    "Absent": Transform(type="neg", inputs="!I[0]", outputs="!O[0]"),
}
"""


def close(result: Array, expected: Array) -> None:
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))


def types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("options", [(), ("--optimize",)], ids=str)
def test_tensorflow_to_onnx(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    target, mapping = tmp_path / "net.onnx", tmp_path / "mapping.json"
    status, out, err = run("convert", IMAGE, target, *IMAGE_SHAPE, *options, "--tensor-mapping", mapping)
    assert (status, out) == (0, f"Written '{target}'\nWritten '{mapping}'\n"), err
    assert "converted by way of NNEF" in err
    onnx.checker.check_model(str(target), full_check=True)
    (x,), (y,) = recorded(IMAGE)
    session = onnx_session(target)
    assert [item.name for item in session.get_inputs()] == ["input_0"]
    assert tuple(session.get_inputs()[0].shape) == x.shape
    close(session.run(None, {"input_0": x})[0], y)
    names = {name for node in onnx.load(target).graph.node for name in (*node.input, *node.output)}
    written = json.loads(mapping.read_text())
    assert written["input_0"] == "input_0"
    assert set(written.values()) <= names
    assert len(written) > 5


def test_axes_of_inputs_are_changed_on_the_way_to_nnef(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "net.onnx"
    options = ("--optimize", "--io-transpose", "input_0:0", "Identity")
    status, _, err = run("convert", IMAGE, target, *IMAGE_SHAPE, *options)
    assert status == 0, err
    assert "Transpose" not in types(target)
    (x,), (y,) = recorded(IMAGE)
    session = onnx_session(target)
    result = session.run(None, {"input_0": np.moveaxis(x, -1, 1)})[0]
    close(result, np.moveaxis(y, -1, 1))


def test_onnx_to_tensorflow_and_back(run: Run, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="verification runs the result")
    graph, back = tmp_path / "net.pb", tmp_path / "back.onnx"
    status, _, err = run("convert", model, graph, "--verify", "--optimize")
    assert status == 0, err
    assert "verified on 3 random inputs: equal" in err
    assert [op.type for op in GraphDefReader()(graph).operations if "Transpose" in str(op.type)] != []
    status, _, err = run("convert", graph, back, "--verify", "--optimize")
    assert status == 0, err
    assert types(back) == ["Conv", "Relu", "MaxPool"]
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    a, b = (run_onnx(path, [x])[0] for path in (model, back))
    close(b, a)


def test_axes_of_inputs_are_changed_on_the_way_from_nnef(run: Run, model: Path, tmp_path: Path) -> None:
    """ONNX has channels second, TensorFlow last: what is selected gets them there."""
    pytest.importorskip("tensorflow", reason="verification runs the result")
    graph = tmp_path / "net.pb"
    status, _, err = run("convert", model, graph, "--io-transpose", "--optimize", "--verify", "1")
    assert status == 0, err
    read = GraphDefReader()(graph)
    assert (read.inputs[0].shape, read.outputs[0].shape) == ((1, 8, 8, 3), (1, 4, 4, 4))
    assert not [op for op in read.operations if op.type == "Transpose"]


def test_verification_finds_a_wrong_half(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnef_tools.conversion.engine import rules

    def sigmoid(b: Any, x: Any) -> Any:
        return b.Sigmoid(x)

    monkeypatch.setitem(rules._from_nnef, ("onnx", "relu"), rules.Rule("onnx", "relu", 1, "", sigmoid))
    with pytest.raises(VerificationError, match="does not compute what") as caught:
        nnef_tools.convert_model(model, tmp_path / "out.onnx", optimize=True, verify=1)
    assert any("first tensor that differs" in line for line in caught.value.details)
    assert not (tmp_path / "out.onnx").exists()


def test_refusals_tell_the_step(run: Run, tmp_path: Path) -> None:
    nodes = [helper.make_node("Twice", ["x"], ["y"], domain="com.example")]
    model = save(tmp_path / "net.onnx", nodes, {"x": [2, 3]}, {"y": [2, 3]})
    status, _, err = run("convert", model, tmp_path / "out.pb")
    assert status == 3
    assert "ONNX to NNEF: Found 1 operator(s) that cannot be converted" in err


def test_plugins_serve_both_halves(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    nodes = [
        helper.make_node("Twice", ["x"], ["t"], domain="com.example"),
        helper.make_node("Relu", ["t"], ["y"]),
    ]
    model = save(tmp_path / "net.onnx", nodes, {"x": [2, 3]}, {"y": [2, 3]})
    target = tmp_path / "out.pb"
    options = ("--custom-converters", tmp_path / "plugin.py")
    status, _, err = run("convert", model, target, *options)
    assert status == 0, err
    (warning,) = (line for line in err.splitlines() if line.startswith("warning:"))
    assert "no operators for" in warning and "'Absent'" in warning and "Twice" not in warning and "relu" not in warning
    assert [op.type for op in GraphDefReader()(target).operations][-1] == "LeakyRelu"
    pytest.importorskip("tensorflow", reason="runs the result")
    x = np.array([[-1, 2, 3], [4, -5, 6]], np.float32)
    np.testing.assert_array_equal(next(iter(run_model(target, [x]).values())), np.maximum(2 * x, 0))


def test_optimizing_onnx_goes_over_nnef(run: Run, tmp_path: Path) -> None:
    """What NNEF's passes remove is gone; names and the version of the operator set stay."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32), "s": np.full((4, 1, 1), 2, np.float32)}
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("Conv", ["i", "w"], ["c"]),
        helper.make_node("Mul", ["c", "s"], ["m"]),
        helper.make_node("Transpose", ["m"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 3, 1, 2]),
    ]
    model = save(tmp_path / "net.onnx", nodes, {"x": [1, 3, 8, 8]}, {"y": [1, 4, 6, 6]}, weights)
    target = tmp_path / "out.onnx"
    status, _, err = run("convert", model, target, "--optimize", "--verify")
    assert status == 0, err
    assert "optimized as NNEF" in err
    assert types(target) == ["Conv", "Relu"]
    result = onnx.load(target)
    assert result.opset_import[0].version == 17
    assert [item.name for item in (*result.graph.input, *result.graph.output)] == ["x", "y"]
    assert "w" in {item.name for item in result.graph.initializer}


@pytest.mark.parametrize("shape", [[2, 3], ["n", 3]], ids=["custom operator", "dynamic shape"])
def test_what_nnef_cannot_express_stays_as_it_is(run: Run, tmp_path: Path, shape: list[Any]) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    if shape[0] == 2:
        nodes.append(helper.make_node("Twice", ["x"], ["z"], domain="com.example"))
    model = save(tmp_path / "net.onnx", nodes, {"x": shape}, {"y": shape})
    if shape[0] == 2:
        content = onnx.load(model)
        content.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, shape))
        onnx.save(content, model)
    target = tmp_path / "out.onnx"
    status, _, err = run("convert", model, target, "--optimize")
    assert status == 0, err
    assert "warning: the model is not optimized: NNEF cannot express it: " in err
    assert types(target) == types(model)


def test_what_nnef_takes_apart_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    """A loop of a hundred steps is unrolled in NNEF."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("k", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [2]),
        ],
    )
    nodes = [helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)]
    model = save(tmp_path / "net.onnx", nodes, {"x": [2]}, {"y": [2]}, {"count": np.array(100)})
    target = tmp_path / "out.onnx"
    status, _, err = run("convert", model, target, "--optimize", "--verify", "--fold-constants")
    assert status == 0, err
    assert "warning: the model is not optimized: it would have 100 operations instead of 1" in err
    assert "warning: --fold-constants has no effect in this conversion" in err
    assert "optimized as NNEF" not in err
    assert types(target) == ["Loop"]


def test_quantized_models_keep_their_codes(run: Run, tmp_path: Path) -> None:
    codes = np.array([[-100, 3], [50, 127]], np.int8)
    weights = {
        "s": np.array(0.5, np.float32),
        "z": np.array(0, np.int8),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"]),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["e"]),
        helper.make_node("MatMul", ["e", "d"], ["y"]),
    ]
    model = save(tmp_path / "net.onnx", nodes, {"x": [1, 2]}, {"y": [1, 2]}, {**weights, "w": codes})
    target = tmp_path / "out.onnx"
    status, _, err = run("convert", model, target, "--optimize", "--verify")
    assert status == 0, err
    stored = [numpy_helper.to_array(item) for item in onnx.load(target).graph.initializer]
    assert any(np.array_equal(item, codes) and item.dtype == np.int8 for item in stored)
    assert sorted(types(target)) == sorted(types(model))


def test_open_graph(model: Path) -> None:
    from nnef_tools.pipeline import open_graph

    graph = open_graph(model, output_names=["r"])
    assert [op.type for op in graph.operations] == ["Conv", "Relu"]
    graph = open_graph(IMAGE, input_shapes={"input_0:0": (2, 10, 11, 6)}, output_names=["Identity:0"])
    assert graph.inputs[0].shape == (2, 10, 11, 6)
    with pytest.raises(ConversionError):
        nnef_tools.convert_model(IMAGE, model.with_name("unknown.nnef"))
