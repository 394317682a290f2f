"""Quantization against the golden vectors of the digest and against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from nnef_tools.errors import FormatError, ShapeError, Unsupported
from nnef_tools.execution.kernels.torch import TorchKernels
from nnef_tools.execution.kernels.torch_operators.quant import OPERATORS
from nnef_tools.model import Graph
from nnef_tools.ops.decomposition import decompose_operations
from nnef_tools.ops.inference import evaluate, infer_shapes
from nnef_tools.ops.library import Library
from nnef_tools.ops.quant import dequantize, quantize
from nnef_tools.ops.quantization import Quantization

from ..support.nnef_models import nnef_graph, run_nnef
from ..support.onnx_models import Typed, onnx_model, run_onnx

MIN_MAX = "min_max_linear_quantize"
ZERO_POINT = "zero_point_linear_quantize"


@pytest.mark.parametrize(
    ("signed", "symmetric", "codes", "values"),
    [
        (False, False, [0, 64, 128, 166, 255], [-1, -0.498039, 0.0039216, 0.301961, 1]),
        (True, False, [-128, -64, 0, 38, 127], [-1, -0.498039, 0.0039216, 0.301961, 1]),
        (True, True, [-127, -63, 0, 38, 127], [-1, -0.496063, 0, 0.299213, 1]),
    ],
)
def test_min_max(signed: bool, symmetric: bool, codes: list[int], values: list[float]) -> None:
    x = np.array([-2, -0.5, 0, 0.3, 5], np.float32)
    attribs = {"bits": 8, "signed": signed, "symmetric": symmetric}
    found = quantize(MIN_MAX, x, min=-1.0, max=1.0, **attribs)
    assert found.tolist() == codes and found.dtype == np.int64
    np.testing.assert_allclose(dequantize(MIN_MAX, found, min=-1.0, max=1.0, **attribs), values, atol=1e-6)
    y = evaluate(MIN_MAX, [x, np.float32(-1), np.float32(1)], attribs)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, values, atol=1e-6)
    if not signed:
        np.testing.assert_array_equal(evaluate("linear_quantize", [x, -1.0, 1.0], {"bits": 8}), y)
        np.testing.assert_array_equal(quantize("linear_quantize", x, min=-1.0, max=1.0, bits=8), codes)


@pytest.mark.parametrize(
    ("signed", "symmetric", "x", "codes", "values"),
    [
        (False, False, [-100, -0.25, 0.25, 3.3, 200], [0, 10, 11, 17, 255], [-5, 0, 0.5, 3.5, 122.5]),
        (True, False, [-100, 200], [-128, 127], [-69, 58.5]),
        (True, True, [-100, 200], [-127, 127], [-68.5, 58.5]),
    ],
)
def test_zero_point(signed: bool, symmetric: bool, x: list[Any], codes: list[int], values: list[float]) -> None:
    x = np.array(x, np.float32)
    attribs = {"bits": 8, "signed": signed, "symmetric": symmetric}
    found = quantize(ZERO_POINT, x, zero_point=10, scale=0.5, **attribs)
    assert found.tolist() == codes
    assert dequantize(ZERO_POINT, found, zero_point=10, scale=0.5, **attribs).tolist() == values
    assert evaluate(ZERO_POINT, [x, np.int32(10), np.float32(0.5)], attribs).tolist() == values


def test_what_is_not_a_number_has_the_lowest_code() -> None:
    """Of 0 / 0, for example; as onnxruntime does."""
    x = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    attribs = {"bits": 8, "signed": True, "symmetric": False}
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    constants = {"s": np.float32(0.5), "z": np.int8(3)}
    (expected,) = run_onnx(onnx_model([node], {"x": x}, {"y": Typed(np.int8, [4])}, constants, opset=13), [x])
    assert quantize(ZERO_POINT, x, zero_point=3, scale=0.5, **attribs).tolist() == expected.tolist()
    operator = TorchKernels(None).operator(ZERO_POINT)
    y = operator(torch.from_numpy(x), torch.tensor(3.0), torch.tensor(0.5), **attribs)
    np.testing.assert_array_equal(y.numpy(), (expected.astype(np.float32) - 3) * 0.5)


def test_logarithmic() -> None:
    x = np.array([0, 0.4, 1.5, 3, -100], np.float32)
    assert evaluate("logarithmic_quantize", [x, np.float32(4)], {"bits": 2}).tolist() == [0, 0.5, 2, 4, -4]
    codes = quantize("logarithmic_quantize", x, max=4.0, bits=2)
    assert codes.tolist() == [0, 0, 2, 3, 3]
    assert dequantize("logarithmic_quantize", codes, max=4.0, bits=2).tolist() == [0.5, 0.5, 2, 4, 4]


def test_parameters_per_channel() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32) * 3
    scale = np.array([[0.1, 0.02, 0.25]], np.float32)
    zero_point = np.array([[3, -5, 0]])
    attribs = {"bits": 8, "signed": True, "symmetric": False}
    result = evaluate(ZERO_POINT, [x, zero_point, scale], attribs)
    t = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(x), torch.from_numpy(scale[0]), torch.from_numpy(zero_point[0]).int(), 1, -128, 127
    )
    np.testing.assert_allclose(result, t.numpy(), atol=1e-6)
    low, high = np.array([[-1, -2, -3]], np.float32), np.array([[1, 2, 4]], np.float32)
    attribs = {"bits": 8, "signed": False, "symmetric": False}
    result = evaluate(MIN_MAX, [x, low, high], attribs)
    for c in range(3):
        one = evaluate(MIN_MAX, [x[:, c], low[0, c], high[0, c]], attribs)
        np.testing.assert_array_equal(result[:, c], one)
    # A filter's parameters align with its first dimension.
    filter = np.ones((3, 2, 1), np.float32)
    y = evaluate(ZERO_POINT, [filter, np.zeros(3, int), scale[0]], {"bits": 8, "signed": True, "symmetric": True})
    np.testing.assert_allclose(y[:, 0, 0], [1, 1, 1], atol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("signed", [False, True])
def test_codes_survive_their_values(bits: int, signed: bool) -> None:
    symmetric = False
    low = -(2 ** (bits - 1)) if signed else 0
    codes = np.unique(np.linspace(low, low + 2**bits - 1, 300).astype(np.int64))
    attribs = {"bits": bits, "signed": signed, "symmetric": symmetric}
    if bits <= 16:
        values = dequantize(MIN_MAX, codes, min=-3.0, max=5.0, **attribs)
        np.testing.assert_array_equal(quantize(MIN_MAX, values, min=-3.0, max=5.0, **attribs), codes)
        values = dequantize(ZERO_POINT, codes, zero_point=1, scale=0.37, **attribs)
        np.testing.assert_array_equal(quantize(ZERO_POINT, values, zero_point=1, scale=0.37, **attribs), codes)
    extremes = quantize(MIN_MAX, [-9.0, 9.0], min=-3.0, max=5.0, **attribs)
    assert extremes.tolist() == [low, low + 2**bits - 1]


def test_parameters_that_do_not_fit() -> None:
    attribs = {"bits": 8, "signed": True, "symmetric": True}
    with pytest.raises(ShapeError, match=r"do not broadcast to the shape \[2, 1\]"):
        infer_shapes(ZERO_POINT, [[2, 1], [], [1, 3]], attribs)
    with pytest.raises(ShapeError, match="do not broadcast"):
        infer_shapes(ZERO_POINT, [[2, 4], [], [3]], attribs)
    with pytest.raises(ShapeError, match="'bits' must lie in"):
        infer_shapes(ZERO_POINT, [[2, 4], [], []], {**attribs, "bits": 0})
    with pytest.raises(ValueError, match="not a quantization operation"):
        quantize("relu", [1.0], bits=8)


@pytest.mark.parametrize("quant", [None, {}])
def test_no_quantization(quant: dict[str, Any] | None) -> None:
    assert Quantization.of(quant) is None


@pytest.mark.parametrize(
    ("quant", "error", "message"),
    [
        ({"op-name": "my_quantize", "bits": 8}, Unsupported, "unknown quantization 'my_quantize'"),
        ({"op-name": "relu"}, Unsupported, "unknown quantization 'relu'"),
        (
            {"op-name": "zero_point_linear_quantize", "scale": 1.0, "bits": 8},
            FormatError,
            "lacks 'zero_point', 'signed'",
        ),
        ({"op-name": "linear_quantize", "min": 0.0, "max": None, "bits": 8}, FormatError, "lacks 'max'$"),
        ({"op-name": "linear_quantize", "min": 0.0, "max": 1.0, "bits": 10**12}, ShapeError, "'bits' must lie in"),
    ],
)
def test_quantization_that_is_not_understood(quant: dict[str, Any], error: type[Any], message: str) -> None:
    with pytest.raises(error, match=message):
        Quantization.of(quant)


def test_stored_codes_and_stored_reals() -> None:
    quantization = Quantization.of({"op-name": "linear_quantize", "min": 0.0, "max": 3.0, "bits": 2})
    np.testing.assert_array_equal(quantization.real_values(np.asarray([0, 3], np.uint8)), np.float32([0, 3]))
    np.testing.assert_array_equal(quantization.real_values(np.float32([0.4, 1.6, 7])), np.float32([0, 2, 3]))


RANGES = {
    "both sides": [-1.3, 0.2, 2.7, -0.4],
    "positive": [0.5, 3.0, 1.7],
    "negative": [-0.5, -3.0, -1.7],
    "nothing but 0": [0.0, 0.0],
    "ties": [0.0, 0.5, 1.5, 2.5, 254.5, 255.0],
    "a tie of the zero point": [-100.5, 154.5],
}


@pytest.mark.parametrize("values", RANGES.values(), ids=RANGES)
def test_dynamic_quantize(values: list[float]) -> None:
    x = np.array(values, np.float32).reshape(1, -1, 1)
    names = ["codes", "scale", "zero"]
    nodes = [
        onnx.helper.make_node("DynamicQuantizeLinear", ["x"], names),
        onnx.helper.make_node("DequantizeLinear", names, ["y"]),
    ]
    (expected,) = run_onnx(onnx_model(nodes, {"x": x}, {"y": Typed(np.float32)}), [x])
    np.testing.assert_array_equal(evaluate("dynamic_quantize", [x], {}), expected)
    np.testing.assert_array_equal(OPERATORS["dynamic_quantize"](torch.from_numpy(x)), expected)
    (expanded,) = run_nnef(expanded_model(x.shape), [x])
    np.testing.assert_array_equal(expanded, expected)


def expanded_model(shape: tuple[int, ...]) -> Graph:
    """`dynamic_quantize` as standard operations."""
    graph = nnef_graph(f"x = external(shape = {list(shape)}); y = dynamic_quantize(x);")
    decompose_operations(graph, ["dynamic_quantize"], Library.of(graph))
    assert "round" in {op.type for op in graph.operations}
    return graph


def test_dynamic_quantize_needs_a_dimension() -> None:
    with pytest.raises(ShapeError, match="at least one dimension"):
        infer_shapes("dynamic_quantize", [[]], {})
