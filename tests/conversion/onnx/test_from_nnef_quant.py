"""NNEF's quantization file becomes QuantizeLinear and DequantizeLinear with the same codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from nnef_tools.model import Graph

from ...support.nnef_models import nnef_graph
from ...support.onnx_models import onnx_session
from .checks import check_back, to_onnx

BODY = """x = external(shape = [2, 3, 4, 4]); w = variable(shape = [5, 3, 3, 3], label = 'w');
k = variable(shape = [1, 5], label = 'k'); y = conv(x, w, k);"""


def zero_point(zero: Any, scale: Any, bits: int = 8, signed: bool = True, symmetric: bool = False) -> dict[str, Any]:
    return {
        "op-name": "zero_point_linear_quantize",
        "zero_point": zero,
        "scale": scale,
        "bits": bits,
        "signed": signed,
        "symmetric": symmetric,
    }


def min_max(low: Any, high: Any, bits: int = 8, signed: bool = False, symmetric: bool = False) -> dict[str, Any]:
    return {
        "op-name": "min_max_linear_quantize",
        "min": low,
        "max": high,
        "bits": bits,
        "signed": signed,
        "symmetric": symmetric,
    }


def model(w_quant: dict[str, Any], codes: np.ndarray, **others: dict[str, Any]) -> Graph:
    graph = nnef_graph(BODY)
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    tensors["w"].data, tensors["w"].quant = codes, w_quant
    tensors["k"].data = np.linspace(-1, 1, 5, dtype=np.float32)[np.newaxis]
    for name, quant in others.items():
        tensors[name].quant = quant
    return graph


def kinds(result: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in result.graph.node]


CODES = np.random.default_rng(0).integers(-128, 128, (5, 3, 3, 3)).astype(np.int8)


def test_variables_keep_their_codes() -> None:
    result = check_back(model(zero_point(3, 0.05), CODES), ops=["DequantizeLinear", "Conv"])
    stored = {item.name: numpy_helper.to_array(item) for item in result.graph.initializer}
    assert stored["w"].dtype == np.int8
    np.testing.assert_array_equal(stored["w"], CODES)


def test_parameters_per_channel() -> None:
    scale = np.linspace(0.01, 0.09, 5, dtype=np.float32).reshape(5)
    result = check_back(model(zero_point(np.arange(5), scale, symmetric=True), CODES))
    node = result.graph.node[0]
    assert (node.op_type, node.attribute[0].name, node.attribute[0].i) == ("DequantizeLinear", "axis", 0)


def test_real_values_of_a_quantized_variable_become_codes() -> None:
    values = np.random.default_rng(1).standard_normal(CODES.shape).astype(np.float32)
    result = check_back(model(zero_point(0, 0.02), values))
    stored = {item.name: numpy_helper.to_array(item) for item in result.graph.initializer}
    assert stored["w"].dtype == np.int8


@pytest.mark.parametrize(
    ("quant", "opset", "pairs"),
    [
        (zero_point(-5, 0.03), 13, 1),
        (zero_point(7, 0.03, signed=False), 13, 1),
        (zero_point(0, 0.01, bits=16), 21, 1),
        (zero_point(0, 0.01, bits=16), 20, 0),
        (zero_point(0, 0.4, bits=4), 21, 1),
        (zero_point(0, 0.4, bits=3, symmetric=True), 18, 1),
        (zero_point(0, 0.03, symmetric=True), 21, 1),
        (zero_point(np.array([[1, 0, -2]]), np.array([[0.1, 0.02, 0.03]], np.float32)), 21, 1),
        (min_max(-1.0, 1.0 - 2.0**-7), 21, 1),
        (min_max(-2.0, 2.0, signed=True, symmetric=True), 21, 1),
        (min_max(-1.0, 1.0), 21, 0),
        ({"op-name": "linear_quantize", "min": 0.0, "max": 2.0, "bits": 8}, 21, 1),
        ({"op-name": "logarithmic_quantize", "max": 2.0, "bits": 3}, 21, 0),
    ],
)
@pytest.mark.parametrize("name", ["x", "y"])
def test_results(quant: dict[str, Any], opset: int, pairs: int, name: str) -> None:
    """Without a pair of operators they are computed by the definition of the quantization."""
    quant = {**quant, **{k: np.asarray(v)[:, :1] for k, v in quant.items() if name == "y" and np.ndim(v) == 2}}
    graph = model(zero_point(0, 0.02), CODES, **{name: quant})
    result = check_back(graph, opset=opset, atol=1e-4)
    assert kinds(result).count("QuantizeLinear") == pairs
    assert kinds(result).count("DequantizeLinear") == pairs + 1


def test_unmapped_variables_become_real() -> None:
    result = check_back(model({"op-name": "logarithmic_quantize", "max": 2.0, "bits": 3}, np.abs(CODES) % 8))
    assert kinds(result) == ["Conv"]


def test_the_source_stays_as_it_was() -> None:
    graph = model(zero_point(0, 0.02), CODES, x=min_max(-1.0, 1.0))
    before = str(graph.operations[0]), [dict(t.quant or {}) for t in graph.tensors]
    to_onnx(graph)
    assert before == (str(graph.operations[0]), [dict(t.quant or {}) for t in graph.tensors])


MOVED = """x = external(shape = [1, 2, 4, 6]); w = external(shape = [1, 2, 3, 6]); k = mul(w, 0.5); m = mul(x, 0.5);
t = transpose(k, axes = [0, 1, 3, 2]); p = matmul(m, t); y = add(p, 1.0);"""


@pytest.mark.parametrize(("bits", "signed", "version"), [(8, True, 20), (8, False, 21), (16, True, 21)])
def test_moved_results_with_signed_codes(bits: int, signed: bool, version: int) -> None:
    """onnxruntime moves quantizers behind the transpose; of signed codes it can do that before version 21 only."""
    graph = nnef_graph(MOVED)
    for tensor in graph.tensors:
        if tensor.name in ("k", "m", "p", "y"):
            tensor.quant = zero_point(0, 0.04, bits=bits, signed=signed)
    result = check_back(graph, atol=0.05)
    assert result.opset_import[0].version == version
    session = onnx_session(result)
    assert [item.name for item in session.get_outputs()] == ["y"]


def test_a_wanted_version_of_signed_codes() -> None:
    graph = nnef_graph(MOVED)
    next(tensor for tensor in graph.tensors if tensor.name == "k").quant = zero_point(0, 0.04)
    _, result = to_onnx(graph, opset=21)
    assert result.opset_import[0].version == 21
