"""Quantization operators against onnxruntime; small types and blocks against the definition written in numpy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from ...support.onnx_models import const, node_model, text_model
from .checks import check, check_node

INTEGERS = [np.uint8, np.int8, np.uint16, np.int16]

# Halves in units of the scale 0.5, beyond every range, and infinities.
TIES = np.array(
    [-1e6, -64.0, -1.25, -0.75, -0.25, -0.0, 0.25, 0.75, 1.25, 0.3, 64.25, 1e6, np.inf, -np.inf], np.float32
)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("zero", [0, 3])
def test_quantize_rounds_ties_to_even_and_saturates(dtype, zero):
    result = check_node("QuantizeLinear", [TIES, const(0.5, np.float32), const(zero, dtype)], opset=21, atol=0)
    assert result.ops[-1] == "cast" and "clamp" in result.ops
    assert result.outputs[0].dtype.kind in "iu"


def test_quantize_defaults_to_uint8():
    check_node("QuantizeLinear", [TIES, const(0.5, np.float32)], opset=13, atol=0)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_quantize_per_axis(axis, random):
    x = random(3, 4, 5) * 100
    n = x.shape[axis]
    scale, zero = np.linspace(0.1, 2, n).astype(np.float32), np.arange(n).astype(np.int8)
    check_node("QuantizeLinear", [x, const(scale, np.float32), const(zero, np.int8)], axis=axis, atol=0)
    codes = np.clip(x, -128, 127).astype(np.int8)
    result = check_node("DequantizeLinear", [codes, const(scale, np.float32), const(zero, np.int8)], axis=axis)
    assert result.ops[-1] == "mul" and "sub" in result.ops


def test_scale_and_zero_point_may_be_computed(random):
    x = random(3, 4) * 100
    inputs = [x, np.array(0.7, np.float32), np.array(5, np.uint8)]
    check_node("QuantizeLinear", inputs, atol=0)
    codes = (x + 128).clip(0, 255).astype(np.uint8)
    check_node("DequantizeLinear", [codes, *inputs[1:]])


def test_dequantize_without_zero_point_is_a_cast_and_a_product(random):
    codes = (random(3, 4) * 50).astype(np.int8)
    check_node("DequantizeLinear", [codes, const(0.5, np.float32)], ops=["cast", "mul"])
    check_node("DequantizeLinear", [codes, const(0.5, np.float32), const(0, np.int8)], ops=["cast", "mul"])
    check_node("DequantizeLinear", [codes.astype(np.int32) * 1000, const(0.5, np.float32)], ops=["cast", "mul"])


@pytest.mark.parametrize(("axis", "block"), [(0, 2), (1, 2), (1, 3), (-1, 4)])
def test_blocks(axis, block, random):
    x = random(4, 6, 5) * 20
    shape = list(x.shape)
    shape[axis] = -(-shape[axis] // block)
    scale = np.abs(random(*shape)) + 0.1
    zero = (random(*shape) * 10).astype(np.int8)
    parameters = [const(scale, np.float32), const(zero, np.int8)]
    for op, data in (("QuantizeLinear", x), ("DequantizeLinear", x.astype(np.int8))):
        model = node_model(op, [data, *parameters], axis=axis, block_size=block)
        # the reference repeats the parameters only for blocks that fill the axis
        repeated = [np.repeat(p, block, axis)[tuple(map(slice, x.shape))] for p in (scale, zero)]
        if op == "QuantizeLinear":
            expected = np.clip(np.rint(data / repeated[0]) + repeated[1], -128, 127).astype(np.int8)
        else:
            expected = (data.astype(np.float32) - repeated[1]) * repeated[0]
        check(model, [data], expected=[expected])


@pytest.mark.parametrize("type", [TensorProto.UINT4, TensorProto.INT4])
def test_four_bits(type):
    x = np.array([-9, -8, -3.5, -0.5, 0.5, 1.5, 7.5, 14.5, 20], np.float32)
    model = node_model("QuantizeLinear", [x, const(1.0, np.float32)], output_dtype=type)
    low, high = (0, 15) if type == TensorProto.UINT4 else (-8, 7)
    check(model, [x], expected=[np.clip(np.rint(x), low, high).astype(np.int8)])


@pytest.mark.parametrize(
    ("type", "dtype"),
    [
        (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
        (TensorProto.FLOAT8E4M3FNUZ, ml_dtypes.float8_e4m3fnuz),
        (TensorProto.FLOAT8E5M2, ml_dtypes.float8_e5m2),
        (TensorProto.FLOAT8E5M2FNUZ, ml_dtypes.float8_e5m2fnuz),
        (TensorProto.FLOAT4E2M1, ml_dtypes.float4_e2m1fn),
    ],
)
def test_small_floats_are_rounded_exactly(type, dtype):
    count = 16 if dtype is ml_dtypes.float4_e2m1fn else 256
    every = np.arange(count).astype(np.uint8).view(dtype).astype(np.float32)
    finite = np.unique(every[np.isfinite(every)])
    middle = (finite[1:] + finite[:-1]) / 2
    x = np.concatenate([finite, middle, np.nextafter(middle, np.float32(9e9)), np.nextafter(middle, np.float32(-9e9))])
    largest = finite[-1]
    expected = np.clip(x, -largest, largest).astype(dtype).astype(np.float32)
    beyond = np.array([1e9, -1e9, largest * 1.4], np.float32)
    x, expected = np.append(x, beyond), np.append(expected, [largest, -largest, largest])
    model = node_model("QuantizeLinear", [x, const(1.0, np.float32)], output_dtype=type, opset=23)
    check(model, [x], expected=[expected.astype(np.float32)], rtol=0, atol=0)
    check(node_model("Cast", [x], to=type, opset=23), [x], expected=[expected.astype(np.float32)], rtol=0, atol=0)


@pytest.mark.parametrize(
    "x", [[0, 2, -3, -2.5, 1.34, 0.5], [-1, -2.1, -1.3, -2.5, -3.34, -4], [1, 2.1, 1.3, 2.5], [0, 0, 0]]
)
def test_dynamic_quantize(x):
    check_node("DynamicQuantizeLinear", [np.array(x, np.float32)], 3, opset=13)


@pytest.mark.parametrize("weights", [np.int8, np.uint8])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"pads": [1, 0, 2, 1], "strides": [2, 1]}, {"group": 2, "dilations": [1, 2]}, {"auto_pad": "SAME_UPPER"}],
)
def test_qlinear_conv(weights, attributes, random):
    x = (random(2, 4, 7, 6) * 60 + 128).clip(0, 255).astype(np.uint8)
    info = np.iinfo(weights)
    w = (random(6, 4 // attributes.get("group", 1), 3, 2) * 60 + (128 if info.min == 0 else 0)).clip(info.min, info.max)
    scale = np.linspace(0.01, 0.03, 6).astype(np.float32) if weights is np.int8 else np.float32(0.02)
    zero = np.zeros(6, np.int8) if weights is np.int8 else np.uint8(125)
    bias = (random(6) * 1000).astype(np.int32)
    inputs = [
        x, const(0.02, np.float32), const(127, np.uint8), const(w, weights), const(scale, np.float32),
        const(zero, weights), const(0.05, np.float32), const(120, np.uint8), const(bias, np.int32),
    ]  # fmt: skip
    result = check_node("QLinearConv", inputs, opset=13, atol=0, **attributes)
    assert result.ops.count("conv") == 1
    assert not result.converter.warnings


def test_products_that_float_cannot_hold_are_reported(random):
    x = (random(1, 1000, 1, 1) * 60).clip(-128, 127).astype(np.int8)
    w = np.full((1, 1000, 1, 1), 127, np.int8)
    result = check_node("ConvInteger", [x, const(w, np.int8)], opset=13)
    assert not result.converter.warnings
    w = np.full((1, 2000, 1, 1), 127, np.int8)
    result = check_node("ConvInteger", [np.concatenate([x, x], axis=1), const(w, np.int8)], opset=13)
    assert "2**24" in result.converter.warnings[0]


def test_conv_integer_pads_with_the_zero_point(random):
    x = (random(1, 2, 5, 5) * 60 + 128).clip(0, 255).astype(np.uint8)
    w = (random(3, 2, 3, 3) * 60 + 128).clip(0, 255).astype(np.uint8)
    inputs = [x, const(w, np.uint8), const(100, np.uint8), const(50, np.uint8)]
    check_node("ConvInteger", inputs, opset=13, pads=[1, 1, 1, 1], atol=0)


@pytest.mark.parametrize("per", ["tensor", "column"])
def test_qlinear_matmul(per, random):
    x = (random(2, 3, 8) * 60 + 128).clip(0, 255).astype(np.uint8)
    w = (random(8, 5) * 60).clip(-128, 127).astype(np.int8)
    scale = np.linspace(0.01, 0.02, 5) if per == "column" else 0.02
    zero = np.zeros(5) if per == "column" else 3
    inputs = [
        x, const(0.02, np.float32), const(130, np.uint8), const(w, np.int8), const(scale, np.float32),
        const(zero, np.int8), const(0.05, np.float32), const(120, np.uint8),
    ]  # fmt: skip
    result = check_node("QLinearMatMul", inputs, opset=13, atol=0)
    assert result.ops.count("matmul") == 1


@pytest.mark.parametrize(("x_zero", "y_zero"), [(None, None), (7, 3), (None, [1, 2, 3, 4, 5])])
def test_matmul_integer(x_zero, y_zero, random):
    x = (random(2, 3, 8) * 60 + 128).clip(0, 255).astype(np.uint8)
    y = (random(8, 5) * 60 + 128).clip(0, 255).astype(np.uint8)
    zeros = [const(x_zero, np.uint8) if x_zero is not None else None, const(y_zero, np.uint8) if y_zero else None]
    zeros = zeros if y_zero else []
    check_node("MatMulInteger", [x, y, *zeros], opset=13, atol=0)


def test_matmul_integer_with_a_zero_point_per_row(random):
    x = (random(3, 8) * 60 + 128).clip(0, 255).astype(np.uint8)
    y = (random(8, 5) * 60 + 128).clip(0, 255).astype(np.uint8)
    expected = (x.astype(np.int32) - np.array([[1], [2], [3]])) @ y.astype(np.int32)
    inputs = [x, y, const([1, 2, 3], np.uint8)]
    check_node("MatMulInteger", inputs, opset=13, expected=[expected.astype(np.int32)])


def test_a_quantized_network(random):
    """Quantized codes flow through other operators: reshapes and transposes keep them."""
    model = text_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[2, 3, 4] x) => (float[2, 12] y) {
            s = Constant <value: tensor = float {0.05}> ()
            z = Constant <value: tensor = uint8 {128}> ()
            q = QuantizeLinear (x, s, z)
            t = Transpose <perm = [0, 2, 1]> (q)
            f = Flatten (t)
            y = DequantizeLinear (f, s, z)
        }"""
    )
    check(model, [random(2, 3, 4)])
