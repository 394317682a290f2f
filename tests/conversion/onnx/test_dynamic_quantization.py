"""Dynamically quantized products: `dynamic_quantize` and weights stored as codes, which come back as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from nnef_tools.conversion.onnx_to_nnef import Converter

from ...support.arrays import Array
from ...support.onnx_models import Typed, onnx_model, read_model, run_onnx, run_unoptimized
from .checks import check, to_onnx
from .qdq_models import dequantizers, entries, node

MICROSOFT = "com.microsoft"
QUANTIZED = node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
CAST = node("Cast", ["i"], ["f"], to=1)
SCALES: dict[str, list[onnx.NodeProto]] = {
    "their product": [node("Mul", ["s", "ws"], ["ss"]), node("Mul", ["f", "ss"], ["y"])],
    "their product in the other order": [node("Mul", ["ws", "s"], ["ss"]), node("Mul", ["ss", "f"], ["y"])],
    "one after the other": [node("Mul", ["f", "s"], ["g"]), node("Mul", ["g", "ws"], ["y"])],
    "that of the weights first": [node("Mul", ["f", "ws"], ["g"]), node("Mul", ["s", "g"], ["y"])],
    "none of the weights": [node("Mul", ["f", "s"], ["y"])],
}
"""Ways to multiply by the scales of both operands."""


def dynamic_model(nodes: list[onnx.NodeProto], x: Array, constants: dict[str, Any], shape: list[Any]) -> ModelProto:
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return onnx_model(nodes, {"x": x}, {"y": Typed(np.float32, shape)}, arrays, domains=[MICROSOFT])


def weights(dtype: Any, *shape: int, columns: int = 0) -> dict[str, Array]:
    """Codes, scale and zero point; for each column if there are any."""
    random, ends = np.random.default_rng(0), np.iinfo(dtype)
    zero = (np.arange(columns) if columns else np.asarray(3)).astype(dtype)
    scale = (np.linspace(0.01, 0.03, columns) if columns else np.asarray(0.02)).astype(np.float32)
    return {"w": random.integers(ends.min, ends.max, shape, endpoint=True).astype(dtype), "ws": scale, "wz": zero}


@pytest.mark.parametrize("form", SCALES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("columns", [0, 5])
def test_matrix_products(form: str, dtype: Any, columns: int, random: Any) -> None:
    x, constants = random(2, 3, 7), weights(dtype, 7, 5, columns=columns)
    nodes = [QUANTIZED, node("MatMulInteger", ["q", "w", "z", "wz"], ["i"]), CAST, *SCALES[form]]
    model = dynamic_model(nodes, x, constants, [2, 3, 5])
    result = check(model, [x], ops=["dynamic_quantize", "matmul"])
    (entry,) = entries(result.graph)
    assert (entry["bits"], bool(entry["signed"])) == (8.0, dtype is np.int8)
    again = to_onnx(result.graph)[1]
    assert [op.op_type for op in again.graph.node].count("MatMulInteger") == 1
    assert not {"MatMul", "DequantizeLinear"} & {op.op_type for op in again.graph.node}
    kept = [onnx.numpy_helper.to_array(item) for item in again.graph.initializer]
    assert any(array.dtype == dtype and np.array_equal(array, constants["w"]) for array in kept)
    np.testing.assert_allclose(run_onnx(again, [x])[0], run_unoptimized(model, [x])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_convolutions_keep_their_codes(dtype: Any, random: Any) -> None:
    x, constants = random(1, 4, 6, 5), weights(dtype, 6, 2, 3, 2)
    attributes = {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1]}
    product = node("ConvInteger", ["q", "w", "z", "wz"], ["i"], **attributes)
    model = dynamic_model([QUANTIZED, product, CAST, *SCALES["their product"]], x, constants, [1, 6, None, None])
    result = check(model, [x], ops=["dynamic_quantize", "conv"], rtol=1e-4, atol=1e-4)
    again = to_onnx(result.graph)[1]
    ((codes, scale, zero, axis),) = dequantizers(again)
    assert (codes, scale, zero, axis) == (constants["w"].astype(int).tolist(), [np.float32(0.02)], [3], None)
    np.testing.assert_allclose(run_onnx(again, [x])[0], run_unoptimized(model, [x])[0], rtol=1e-4, atol=1e-4)


def test_products_share_what_they_multiply(random: Any) -> None:
    x, constants = random(4, 7), {**weights(np.int8, 7, 5), "v": weights(np.uint8, 7, 5)["w"], "vz": np.uint8(128)}
    nodes = [QUANTIZED]
    for k, (codes, zero) in enumerate((("w", "wz"), ("v", "vz"))):
        nodes += [
            node("MatMulInteger", ["q", codes, "z", zero], [f"i{k}"]),
            node("Cast", [f"i{k}"], [f"f{k}"], to=1),
            node("Mul", ["s", "ws"], [f"s{k}"]),
            node("Mul", [f"f{k}", f"s{k}"], [f"y{k}"]),
        ]
    model = dynamic_model([*nodes, node("Add", ["y0", "y1"], ["y"])], x, constants, [4, 5])
    result = check(model, [x])
    assert sorted(result.ops) == ["add", "dynamic_quantize", "matmul", "matmul"]
    again = to_onnx(result.graph)[1]
    found = [op.op_type for op in again.graph.node]
    assert (found.count("DynamicQuantizeLinear"), found.count("MatMulInteger")) == (1, 2)
    np.testing.assert_allclose(run_onnx(again, [x])[0], run_unoptimized(model, [x])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
def test_linear_layers_come_back_as_products_of_integers(transposed: bool, random: Any) -> None:
    """A bias that the optimizer has joined with its product."""
    from ...support.nnef_models import nnef_graph, run_nnef

    text = "x = external(shape = [3, 7]); w = external(shape = [5, 7]); y = linear(dynamic_quantize(x), w, 0.5);"
    graph = nnef_graph(text if transposed else text.replace("[5, 7]", "[7, 5]").replace("linear(", "matmul(").replace(
        ", 0.5", ""))  # fmt: skip
    shape = (5, 7) if transposed else (7, 5)
    weight = graph.inputs[1]
    data = np.random.default_rng(0).integers(-127, 127, shape).astype(np.int8)
    quant = {"op-name": "zero_point_linear_quantize", "zero_point": 0, "scale": 0.02, "bits": 8, "signed": True,
             "symmetric": False}  # fmt: skip
    weight.data, weight.quant = data, quant
    op = weight.producer
    assert op is not None
    op.type, op.attribs = "variable", {"shape": list(shape), "label": "w"}
    graph.inputs = [graph.inputs[0]]
    x = random(3, 7)
    again = to_onnx(graph)[1]
    assert "MatMulInteger" in {node.op_type for node in again.graph.node}
    np.testing.assert_allclose(run_onnx(again, [x])[0], run_nnef(graph, [x])[0], rtol=1e-4, atol=1e-4)


STAYING = {
    "no scale of the values": [node("Mul", ["f", "ws"], ["y"])],
    "another scale": [node("Mul", ["f", "t"], ["g"]), node("Mul", ["g", "s"], ["y"])],
    "sums that are also an output": [node("Mul", ["f", "s"], ["g"]), node("Add", ["g", "f"], ["y"])],
}


@pytest.mark.parametrize("form", STAYING)
def test_other_uses_of_sums_stay_arithmetic(form: str, random: Any) -> None:
    x, constants = random(2, 3, 7), {**weights(np.int8, 7, 5), "t": np.array([[[2.0], [3.0], [-1.0]]], np.float32)}
    nodes = [QUANTIZED, node("MatMulInteger", ["q", "w", "z", "wz"], ["i"]), CAST, *STAYING[form]]
    assert "dynamic_quantize" not in check(dynamic_model(nodes, x, constants, [2, 3, 5]), [x], rtol=1e-4).ops


def test_scales_that_are_outputs_stay_arithmetic(random: Any) -> None:
    x = random(3, 7)
    nodes = [QUANTIZED, node("MatMulInteger", ["q", "w", "z", "wz"], ["i"]), CAST, *SCALES["their product"]]
    model = dynamic_model(nodes, x, weights(np.int8, 7, 5), [3, 5])
    model.graph.output.append(onnx.helper.make_tensor_value_info("s", 1, []))
    assert "dynamic_quantize" not in check(model, [x]).ops


def test_only_standard_operations(random: Any) -> None:
    x = random(3, 7)
    nodes = [QUANTIZED, node("MatMulInteger", ["q", "w", "z", "wz"], ["i"]), CAST, *SCALES["their product"]]
    model = dynamic_model(nodes, x, weights(np.int8, 7, 5), [3, 5])
    assert "dynamic_quantize" not in check(model, [x], standard_only=True).ops


def test_a_number_is_quantized_by_arithmetic() -> None:
    """`dynamic_quantize` needs a dimension."""
    nodes = [QUANTIZED, node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    x = np.asarray(-2.5, np.float32)
    check(dynamic_model(nodes, x, {}, []), [x])


@pytest.mark.parametrize("columns", [0, 5])
@pytest.mark.parametrize("biased", [False, True])
def test_operators_of_microsoft(columns: int, biased: bool, random: Any) -> None:
    x = random(3, 7)
    constants = {**weights(np.uint8, 7, 5, columns=columns), "b": random(5)}
    product = node("DynamicQuantizeMatMul", ["x", "w", "ws", "wz", *(["b"] if biased else [])], ["y"], domain=MICROSOFT)
    ops = ["dynamic_quantize", "matmul", *(["unsqueeze", "add"] if biased else [])]
    check(dynamic_model([product], x, constants, [3, 5]), [x], rtol=1e-4, atol=1e-4)
    inputs = ["q", "w", "s", "ws", "z", "wz", *(["b"] if biased else [])]
    product = node("MatMulIntegerToFloat", inputs, ["y"], domain=MICROSOFT)
    result = check(dynamic_model([QUANTIZED, product], x, constants, [3, 5]), [x], rtol=1e-4, atol=1e-4)
    assert set(result.ops) <= set(ops)


def test_ties_and_ranges_of_the_source() -> None:
    nodes = [QUANTIZED, node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    x = np.array([[0.0, 0.5, 1.5, 2.5, 254.5, 255.0]], np.float32)
    result = check(dynamic_model(nodes, x, {}, [1, 6]), [x], ops=["dynamic_quantize"], rtol=0, atol=0)
    assert Converter()(read_model(to_onnx(result.graph)[1])).operations[-1].type == "dynamic_quantize"
