"""Operators of com.microsoft on quantized tensors against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array
from ...support.onnx_models import Const, const, contrib_model
from .checks import check, check_contrib


def codes(random: Any, *shape: int) -> Array:
    return (random(*shape) * 60 + 128).clip(0, 255).astype(np.uint8)


def parameters(scale: float, zero: int, dtype: Any = np.uint8) -> list[Const]:
    return [const(scale, np.float32), const(zero, dtype)]


def ops(
    op: str, inputs: list[Any], dtype: Any = np.uint8, *, atol: float = 0, rtol: float = 0, **attribs: Any
) -> list[str]:
    """The operations that a node is converted to, after a check of its codes."""
    return check_contrib(op, inputs, [dtype], rtol=rtol, atol=atol, **attribs).ops


@pytest.mark.parametrize(("op", "core"), [("QLinearAdd", "add"), ("QLinearMul", "mul")])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_binary(op, core, dtype, random):
    low = 0 if dtype is np.uint8 else -128
    x, y = ((codes(random, *shape).astype(np.int32) + low).astype(dtype) for shape in ((2, 4, 6, 5), (4, 1, 5)))
    zeros = [const(121 + low, dtype), const(3, dtype), const(130 + low, dtype)]
    scales = [const(value, np.float32) for value in (0.031, 0.017, 0.05)]
    inputs = [x, scales[0], zeros[0], y, scales[1], zeros[1], scales[2], zeros[2]]
    assert set(ops(op, inputs, dtype)) <= {core, "unsqueeze"}


def test_left_out_zero_points(random):
    x, y = codes(random, 3, 4), codes(random, 3, 4)
    scale = const(0.5, np.float32)
    model = contrib_model("QLinearAdd", [x, scale, None, y, scale, None, const(1.0, np.float32)], [np.uint8])
    expected = np.clip(np.rint((x.astype(np.float32) + y.astype(np.float32)) / 2), 0, 255)
    check(model, [x, y], expected=[expected.astype(np.uint8)], atol=0)


@pytest.mark.parametrize(
    ("op", "core", "attributes"),
    [
        ("QLinearSigmoid", "sigmoid", {}),
        ("QLinearLeakyRelu", "leaky_relu", {"alpha": 0.2}),
        ("QLinearSoftmax", "softmax", {"axis": -1, "opset": 13}),
        ("QLinearSoftmax", "softmax", {"axis": 1, "opset": 11}),
        ("QLinearSoftmax", "softmax", {"opset": 11}),
        ("QLinearAveragePool", "avg_pool", {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1]}),
        ("QLinearAveragePool", "avg_pool", {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1}),
        ("QLinearAveragePool", "avg_pool", {"kernel_shape": [3, 2], "channels_last": 1}),
        ("QLinearGlobalAveragePool", "mean_reduce", {}),
        ("QLinearGlobalAveragePool", "mean_reduce", {"channels_last": 1}),
    ],
)
def test_unary(op, core, attributes, random):
    to_unit = op in ("QLinearSigmoid", "QLinearSoftmax")
    result = parameters(1 / 256, 0) if to_unit else parameters(0.04, 120)
    # onnxruntime sums pools and softmax in another order and precision: near a tie a code may differ by one
    close = 0 if op in ("QLinearSigmoid", "QLinearLeakyRelu") else 1
    assert core in ops(op, [codes(random, 2, 4, 6, 5), *parameters(0.031, 121), *result], atol=close, **attributes)


def test_concat(random):
    inputs = [
        *parameters(0.05, 130),
        codes(random, 2, 4, 6),
        *parameters(0.03, 12),
        codes(random, 2, 1, 6),
        *parameters(0.02, 3),
    ]
    assert "concat" in ops("QLinearConcat", inputs, axis=1)


def test_matrix_products(random):
    a, w, bias = codes(random, 3, 8), codes(random, 8, 5), const(random(5), np.float32)
    scales, zeros = const(np.linspace(0.01, 0.02, 5), np.float32), const(np.arange(5), np.uint8)
    inputs = [a, Const(w), const(0.03, np.float32), scales, const(121, np.uint8), zeros, bias]
    assert ops("MatMulIntegerToFloat", inputs, np.float32, rtol=1e-4, atol=1e-4).count("matmul") == 1
    inputs = [random(3, 8), Const(w), scales, zeros, bias]
    assert ops("DynamicQuantizeMatMul", inputs, np.float32, rtol=1e-3, atol=1e-3).count("matmul") == 1


@pytest.mark.parametrize("mask", [None, [[1, 1, 1, 0], [0, 0, 1, 1]], [3, 2]])
@pytest.mark.parametrize("attributes", [{}, {"unidirectional": 1, "scale": 0.3}])
def test_attention(mask, attributes, random):
    inputs = [codes(random, 2, 4, 8), Const(codes(random, 8, 24)), const(random(24), np.float32)]
    inputs += [const(0.03, np.float32), const(0.02, np.float32), None if mask is None else np.array(mask, np.int32)]
    inputs += [const(121, np.uint8), const(130, np.uint8)]
    found = ops("QAttention", inputs, np.float32, num_heads=2, rtol=1e-3, atol=1e-4, **attributes)
    assert found.count("softmax") == 1


def test_attention_with_past(random):
    inputs = [codes(random, 2, 1, 8), Const(codes(random, 8, 24)), const(random(24), np.float32)]
    inputs += [const(0.03, np.float32), const(0.02, np.float32), None, const(121, np.uint8), const(130, np.uint8)]
    past = random(2, 2, 2, 3, 4)
    check_contrib("QAttention", [*inputs, past], [np.float32] * 2, num_heads=2, unidirectional=1, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("segments", [False, True])
def test_embedding(segments, random):
    ids, kinds = np.array([[1, 4, 0], [2, 2, 3]], np.int32), np.array([[0, 0, 1], [0, 1, 1]], np.int32)
    shapes = (5, 8), (4, 8), (2, 8), (8,), (8,)
    tables: list[Any] = [Const(codes(random, *shape)) for shape in shapes]
    scales: list[Any] = [const(0.01 * (k + 1), np.float32) for k in range(5)]
    zeros: list[Any] = [const(118 + k, np.uint8) for k in range(5)]
    if not segments:
        for group in (tables, scales, zeros):
            group[2] = None
    inputs = [ids, kinds if segments else None, *tables, np.array([[1, 1, 0], [1, 0, 0]], np.int32), *scales, *zeros]
    check_contrib("QEmbedLayerNormalization", inputs, [np.float32, np.int32], epsilon=1e-3, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("biased", [False, True])
def test_gemm(transposed, biased, random):
    a = codes(random, *((8, 3) if transposed else (3, 8)))
    bias = const(random(5) * 1000, np.int32) if biased else None
    inputs = [
        a,
        *parameters(0.02, 121),
        Const(codes(random, 8, 5)),
        *parameters(0.015, 90),
        bias,
        *parameters(0.5, 128),
    ]
    assert ops("QGemm", inputs, transA=transposed, alpha=1.0).count("matmul") == 1
    assert "clamp" not in ops("QGemm", inputs[:7] if biased else inputs[:6], np.float32, rtol=1e-5, transA=transposed)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("depth", [64, 40])
def test_packed_weights(bits, zeros, depth, random):
    generator, block, columns = np.random.default_rng(0), 16, 5
    blocks = -(-depth // block)
    packed = generator.integers(0, 256, (columns, blocks, block * bits // 8)).astype(np.uint8)
    inputs = [random(2, 3, depth), Const(packed), const(np.abs(random(columns * blocks)) + 0.1, np.float32)]
    if zeros:
        inputs.append(const(generator.integers(0, 256, columns * (-(-blocks * bits // 8))), np.uint8))
    attributes = {"K": depth, "N": columns, "bits": bits, "block_size": block}
    found = ops("MatMulNBits", inputs, np.float32, rtol=1e-4, atol=1e-4 * bits, **attributes)
    assert found[-1] == "matmul"
