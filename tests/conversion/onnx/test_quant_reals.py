"""Operators on codes become quantized tensors: they compute the same codes, and come back in the form of QDQ models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from nnef_tools.conversion.engine.transform import Transform
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.execution.runtimes import make_executor
from nnef_tools.model import Graph
from nnef_tools.pipeline import convert_model

from ...support.arrays import Array
from ...support.onnx_models import Typed, onnx_model, read_model, run_onnx, run_unoptimized
from .checks import check, to_onnx
from .qdq_models import dequantizers, entries, node

MICROSOFT = "com.microsoft"
ARITHMETIC = {"cast", "floor", "round", "clamp", "div", "select"}
"""What operators on codes are as arithmetic."""


def linear_model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Any],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    opset: int = 17,
) -> ModelProto:
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return onnx_model(nodes, inputs, outputs, arrays, opset=opset, ir_version=10, domains=[MICROSOFT])


def linear(op: str, inputs: str, output: str, **attribs: Any) -> onnx.NodeProto:
    """An operator of com.microsoft."""
    return node(op, inputs.split(), [output], domain=MICROSOFT, **attribs)


def classifier(activations: Any, weights: Any, per_channel: bool, *, seed: int = 0) -> tuple[ModelProto, Array]:
    """Convolution, moves of codes, pooling, a sum with the input, a matrix product, between codes; and the input."""
    random = np.random.default_rng(seed)
    low = np.iinfo(activations).min
    middle = 0 if weights is np.int8 else 128

    def codes(*shape: int) -> Array:
        return np.clip(random.normal(middle, 40, shape), *_ends(weights)).astype(weights)

    channel_scales = random.uniform(0.002, 0.01, 5).astype(np.float32) if per_channel else np.float32(0.004)
    constants = {
        "xs": np.float32(0.02), "xz": activations(low + 120), "w": codes(5, 3, 3, 2), "ws": channel_scales,
        "wz": np.full(np.shape(channel_scales), middle, weights), "cs": np.float32(0.05),
        "cz": activations(low + 100), "b": random.integers(-900, 900, 5).astype(np.int32),
        "ms": np.float32(0.0413), "mz": activations(low + 90), "v": codes(45, 4),
        "vs": np.float32(0.006), "vz": weights(middle), "ys": np.float32(0.03), "yz": activations(low + 128),
        "shape": np.array([1, 45]),
    }  # fmt: skip
    nodes = [
        node(
            "QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "cs", "cz", "b"], ["c"], pads=[1, 0, 1, 1], strides=[2, 2]
        ),
        node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[1, 1]),
        linear("QLinearLeakyRelu", "p cs cz ms mz", "l", alpha=0.11),
        node("Transpose", ["l"], ["t"], perm=[0, 2, 3, 1]),
        node("Reshape", ["t", "shape"], ["f"]),
        node("QLinearMatMul", ["f", "ms", "mz", "v", "vs", "vz", "ys", "yz"], ["y"]),
    ]
    x = random.integers(*_ends(activations), (1, 3, 7, 8), endpoint=True).astype(activations)
    inputs, outputs = {"x": Typed(activations, x.shape)}, {"y": Typed(activations, (1, 4))}
    return linear_model(nodes, constants, inputs, outputs), x


def _ends(dtype: Any) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


FORMS = [
    (activations, weights, per_channel)
    for activations in (np.uint8, np.int8)
    for weights in (np.int8, np.uint8)
    for per_channel in (False, True)
    if (activations, weights) != (np.int8, np.uint8)  # which onnxruntime has no kernels for
]


def back(graph: Graph) -> ModelProto:
    return to_onnx(graph)[1]


@pytest.mark.parametrize(("activations", "weights", "per_channel"), FORMS)
def test_a_network_of_codes_is_one_of_quantized_tensors(activations: Any, weights: Any, per_channel: bool) -> None:
    model, x = classifier(activations, weights, per_channel)
    result = check(model, [x], atol=0)
    assert not ARITHMETIC & {*result.ops}
    assert result.ops == ["conv", "max_pool", "leaky_relu", "transpose", "reshape", "matmul"]
    # all tensors but the output of the graph have an entry: weights, bias, and each result
    assert len(entries(result.graph)) == len(result.ops) + 4
    kept = {np.asarray(t.data).dtype for t in result.graph.tensors if t.data is not None and t.quant}
    assert kept == {np.dtype(weights), np.dtype(np.int32)}


@pytest.mark.parametrize(("activations", "weights", "per_channel"), FORMS)
def test_it_comes_back_with_its_codes(activations: Any, weights: Any, per_channel: bool) -> None:
    model, x = classifier(activations, weights, per_channel)
    graph = check(model, [x], atol=0).graph
    again = back(graph)
    assert {op.op_type for op in again.graph.node} == {
        "DequantizeLinear", "QuantizeLinear", "Conv", "MaxPool", "LeakyRelu", "Transpose", "Reshape", "MatMul"
    }  # fmt: skip
    (codes,) = run_onnx(again, [x])
    (expected,) = run_unoptimized(model, [x])
    assert codes.dtype == activations
    np.testing.assert_array_equal(codes, expected)
    given = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    middle = 0 if weights is np.int8 else 128
    count, scales = given["ws"].size, given["ws"].reshape(-1)
    assert (given["w"].astype(int).tolist(), scales.tolist(), [middle] * count, 0 if count > 1 else None) in [
        (codes, scale, zero, axis) for codes, scale, zero, axis in dequantizers(again)
    ]


@pytest.mark.parametrize("activations", [np.uint8, np.int8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_integer_operators_of_tflite(tmp_path: Path, activations: Any, per_channel: bool) -> None:
    """Codes of uint8 stay such at the interface only."""
    pytest.importorskip("ai_edge_litert")
    from nnef_tools.io.tf.lite import Reader

    model, x = classifier(activations, np.int8, per_channel)
    onnx.save(model, tmp_path / "m.onnx")
    convert_model(tmp_path / "m.onnx", tmp_path / "m.tflite")
    graph = Reader()(str(tmp_path / "m.tflite"))
    assert "DEQUANTIZE" not in {op.type for op in graph.operations}
    assert {t.dtype for op in graph.operations for t in op.outputs} == {np.int8, activations}
    executor = make_executor(tmp_path / "m.tflite", format="tflite", backend="litert-reference")
    for seed in range(4):
        x = np.random.default_rng(seed).integers(*_ends(activations), x.shape, endpoint=True).astype(activations)
        (expected,) = run_unoptimized(model, [x])
        (found,) = executor.run({"x": x}).values()
        assert found.dtype == activations
        assert np.abs(found.astype(int) - expected).max() <= 1


MOVES = {
    "Transpose": (["c"], {"perm": [0, 3, 1, 2]}),
    "Flatten": (["c"], {}),
    "MaxPool": (["c"], {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1]}),
    "Slice": (["c", "one", "three", "axis"], {}),
    "Gather": (["c", "positions"], {"axis": 2}),
    "Pad": (["c", "pads"], {}),
    "Concat": (["c", "c", "k"], {"axis": 1}),
    "Max": (["c", "k"], {}),
    "Resize": (["c", "", "scales"], {"mode": "nearest"}),
    "DepthToSpace": (["c"], {"blocksize": 2}),
    "Tile": (["c", "repeats"], {}),
}


@pytest.mark.parametrize("op", MOVES)
@pytest.mark.parametrize("declared", [False, True])
def test_moves_of_codes(op: str, declared: bool) -> None:
    """Files of onnxruntime's quantizer do not declare the tensors between."""
    random = np.random.default_rng(0)
    inputs, attribs = MOVES[op]
    constants = {
        "s": np.float32(0.03), "z": np.int8(-7), "t": np.float32(0.05), "y": np.int8(4), "one": np.array([1]),
        "three": np.array([3]), "axis": np.array([3]), "positions": np.array([2, 0]),
        "pads": np.array([0, 1, 0, 2, 0, 0, 1, 0]), "scales": np.array([1, 1, 2, 2], np.float32),
        "repeats": np.array([1, 2, 1, 1]), "k": random.integers(-128, 127, (2, 4, 3, 5)).astype(np.int8),
    }  # fmt: skip
    nodes = [
        linear("QLinearSigmoid", "x s z s z", "c"),
        node(op, inputs, ["m"], **attribs),
        linear("QLinearLeakyRelu", "m s z t y", "r"),
    ]
    shape = {"x": Typed(np.int8, (2, 4, 3, 5))}
    model = linear_model(nodes, constants, shape, {"r": Typed(np.int8, [None] * (2 if op == "Flatten" else 4))})
    if declared:
        model = onnx.shape_inference.infer_shapes(model)
    x = random.integers(-128, 127, (2, 4, 3, 5)).astype(np.int8)
    result = check(model, [x], atol=0)
    assert not ARITHMETIC & {*result.ops}
    assert len(entries(result.graph)) >= 4


def test_moves_of_an_input() -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("DequantizeLinear", ["t", "s", "z"], ["y"])]
    constants = {"s": np.float32(0.1), "z": np.uint8(9)}
    model = linear_model(nodes, constants, {"x": Typed(np.uint8, (1, 4, 5, 3))}, {"y": (1, 3, 4, 5)})
    x = np.arange(60).reshape(1, 4, 5, 3).astype(np.uint8)
    result = check(model, [x], ops=["transpose"])
    assert len(entries(result.graph)) == 2


def test_codes_that_are_read_as_integers_stay_such() -> None:
    nodes = [
        linear("QLinearSigmoid", "x s z s z", "c"),
        node("MaxPool", ["c"], ["m"], kernel_shape=[2]),
        node("ArgMax", ["m"], ["a"], axis=2),
        linear("QLinearSigmoid", "m s z s z", "r"),
    ]
    constants = {"s": np.float32(1 / 256), "z": np.uint8(0)}
    x = np.random.default_rng(0).integers(0, 255, (1, 3, 8)).astype(np.uint8)
    outputs = {"a": Typed(np.int64, (1, 3, 1)), "r": Typed(np.uint8, (1, 3, 7))}
    check(linear_model(nodes, constants, {"x": x}, outputs), [x], atol=0)


@pytest.mark.parametrize("name", ["xs", "ys", "xz", "ws"])
def test_computed_parameters_stay_arithmetic(name: str) -> None:
    model, x = classifier(np.uint8, np.int8, False)
    given = next(item for item in model.graph.initializer if item.name == name)
    array = onnx.numpy_helper.to_array(given)
    model.graph.initializer.remove(given)
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, given.data_type, array.shape))
    assert "clamp" in check(model, [x, array], atol=0).ops


@pytest.mark.parametrize("scale", [0.0, -0.02, np.nan, np.inf])
def test_scales_that_are_none_stay_arithmetic(scale: float) -> None:
    model, _ = classifier(np.uint8, np.int8, False)
    for item in model.graph.initializer:
        if item.name == "ms":
            item.CopyFrom(onnx.numpy_helper.from_array(np.float32(scale), "ms"))
    graph = Converter()(read_model(model))
    assert "clamp" in {op.type for op in graph.operations}


def test_a_plugin_keeps_its_operator() -> None:
    nodes, constants = [linear("QLinearSigmoid", "x s z s z", "y")], {"s": np.float32(0.1), "z": np.uint8(9)}
    model = linear_model(nodes, constants, {"x": Typed(np.uint8, (2, 3))}, {"y": Typed(np.uint8, (2, 3))})
    transform = Transform(type="sign", inputs=("!I[0]",), outputs="!O[0]")
    graph = Converter(custom_transforms={"QLinearSigmoid": transform})(read_model(model))
    assert "sign" in {op.type for op in graph.operations}


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [13, 18])
def test_mean_over_axes(keepdims: int, opset: int) -> None:
    """onnxruntime declares the operator, but has no kernel."""
    x = np.random.default_rng(0).integers(0, 255, (2, 3, 4)).astype(np.uint8)
    constants = {"s": np.float32(0.1), "z": np.uint8(10), "t": np.float32(0.07), "y": np.uint8(3)}
    nodes = [linear("QLinearReduceMean", "x s z t y", "r", axes=[-1, 1], keepdims=keepdims)]
    outputs = {"r": Typed(np.uint8, (2, 1, 1) if keepdims else (2,))}
    model = linear_model(nodes, constants, {"x": x}, outputs, opset)
    mean = ((x.astype(np.float64) - 10) * 0.1).mean((1, 2), keepdims=bool(keepdims))
    expected = np.clip(np.rint(mean / 0.07) + 3, 0, 255).astype(np.uint8)
    check(model, [x], ops=["mean_reduce"] if keepdims else ["mean_reduce", "squeeze"], expected=[expected], atol=0)


@pytest.mark.parametrize("constant", [True, False])
def test_where(constant: bool) -> None:
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 255, shape).astype(np.uint8) for shape in ((2, 4), (4,)))
    condition = random.random((2, 1)) > 0.5
    constants = {"as": np.float32(0.1), "az": np.uint8(3), "bs": np.float32(0.2), "bz": np.uint8(5),
                 "yz": np.uint8(1)}  # fmt: skip
    scale = {"ys": np.float32(0.3)}
    nodes = [linear("QLinearWhere", "c a as az b bs bz ys yz", "y")]
    inputs = {"c": condition, "a": a, "b": b}
    if not constant:
        inputs["ys"] = np.asarray(scale["ys"])
    model = linear_model(nodes, {**constants, **(scale if constant else {})}, inputs, {"y": Typed(np.uint8, (2, 4))})
    result = check(model, list(inputs.values()), atol=0)
    assert ("clamp" in result.ops) is not constant
