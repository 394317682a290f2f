"""Quantized ONNX models as TFLite models: operators on codes, with the parameters of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.execution.runtimes import make_executor
from nnef_tools.io.tf.lite import Reader
from nnef_tools.pipeline import convert_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

Array = np.ndarray[Any, Any]


def quantized_model(path: Path, activations: Any, weights: Any, *, per_channel: bool, seed: int = 0) -> Array:
    """Writes QuantizeLinear, a convolution of DequantizeLinear of constants, two parts joined; returns the weights."""
    random = np.random.default_rng(seed)
    middle = 128 if activations is np.uint8 else 0
    constants: dict[str, Array] = {
        "x_scale": np.float32(0.02), "x_zero": activations(middle + 5),
        "y_scale": np.float32(0.05), "y_zero": activations(middle - 128),
        "z_scale": np.float32(0.043), "z_zero": activations(middle - 100),
        "w_scale": random.uniform(0.002, 0.01, 4).astype("f4") if per_channel else np.float32(0.005),
        "w_zero": np.zeros(4, weights) if per_channel else weights(128 if weights is np.uint8 else 0),
    }  # fmt: skip
    ends = np.iinfo(weights)
    constants["w"] = random.integers(ends.min + 1, ends.max, (4, 3, 3, 3), endpoint=True).astype(weights)
    constants["b"] = random.integers(-900, 900, 4).astype(np.int32)
    constants["b_scale"] = np.asarray(constants["x_scale"] * constants["w_scale"], np.float32)
    constants["b_zero"] = np.zeros(np.shape(constants["w_zero"]), np.int32)
    axis = {"axis": 0} if per_channel else {}

    def pair(real: str, name: str, result: str) -> list[Any]:
        parameters = [f"{name}_scale", f"{name}_zero"]
        return [
            helper.make_node("QuantizeLinear", [real, *parameters], [f"{result}_codes"]),
            helper.make_node("DequantizeLinear", [f"{result}_codes", *parameters], [result]),
        ]

    nodes = [
        *pair("x", "x", "x_real"),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_real"], **axis),
        helper.make_node("DequantizeLinear", ["b", "b_scale", "b_zero"], ["b_real"], **axis),
        helper.make_node("Conv", ["x_real", "w_real", "b_real"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        *pair("r", "y", "y_real"),
        helper.make_node("Concat", ["y_real", "x_real"], ["joined"], axis=1),
        *pair("joined", "z", "z"),
    ]
    graph = helper.make_graph(
        nodes, "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 5])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 7, 6, 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return constants["w"]


@pytest.mark.parametrize("activations", [np.int8, np.uint8])
@pytest.mark.parametrize(("weights", "per_channel"), [(np.int8, True), (np.int8, False), (np.uint8, False)])
def test_operators_compute_with_the_codes(tmp_path: Path, activations: Any, weights: Any, per_channel: bool) -> None:
    codes = quantized_model(tmp_path / "model.onnx", activations, weights, per_channel=per_channel)
    convert_model(tmp_path / "model.onnx", tmp_path / "model.tflite")
    graph = Reader()(str(tmp_path / "model.tflite"))
    (conv,) = (op for op in graph.operations if op.type == "CONV_2D")
    x, w, b = conv.inputs
    assert (x.dtype, w.dtype, b.dtype, conv.outputs[0].dtype) == (np.int8, np.int8, np.int32, np.int8)
    moved = codes.astype(np.int16) - (128 if weights is np.uint8 else 0)
    np.testing.assert_array_equal(np.asarray(w.data), moved.transpose(0, 2, 3, 1))
    assert (x.quant or {})["zero_point"] == 5  # in signed codes, for either type
    assert {op.type for op in graph.operations} == {
        "TRANSPOSE", "QUANTIZE", "CONV_2D", "CONCATENATION", "DEQUANTIZE"
    }  # fmt: skip
    executor = make_executor(tmp_path / "model.tflite", format="tflite", backend="litert-reference")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for seed in range(4):
        value = np.random.default_rng(seed).normal(size=(1, 3, 6, 5)).astype(np.float32)
        (expected,), (found,) = session.run(None, {"x": value}), executor.run({"x": value}).values()
        steps = np.abs(expected - found) / 0.043
        assert steps.max() <= 1.01
        # what comes from x is moved to another scale by a product that LiteRT rounds twice
        assert np.mean(steps[:, :4] < 0.01) > 0.98


def test_weights_that_no_kernel_takes_stay_real_and_exact(tmp_path: Path) -> None:
    """Integer kernels for convolutions have no zero points of weights."""
    path = tmp_path / "model.onnx"
    quantized_model(path, np.uint8, np.uint8, per_channel=False)
    model = onnx.load(path)
    for item in model.graph.initializer:
        if item.name == "w_zero":
            item.CopyFrom(numpy_helper.from_array(np.uint8(120), "w_zero"))
    onnx.save(model, path)
    report = convert_model(path, tmp_path / "model.tflite", verify=2)
    assert any("'w' has zero points" in warning for warning in report.warnings)
    graph = Reader()(str(tmp_path / "model.tflite"))
    (conv,) = (op for op in graph.operations if op.type == "CONV_2D")
    assert conv.outputs[0].dtype is np.float32
    maker = conv.inputs[1].producer
    assert maker is not None and maker.type == "DEQUANTIZE"
