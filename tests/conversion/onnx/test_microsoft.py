"""Fused operators of com.microsoft against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import const, contrib_model, run_onnx
from .checks import check, check_contrib, convert

F = np.float32


@pytest.mark.parametrize(
    ("a", "b", "attributes"),
    [
        ((3, 4), (4, 5), {"alpha": 0.5}),
        ((2, 4, 3), (2, 4, 5), {"transA": 1}),
        ((2, 3, 4), (2, 5, 4), {"transB": 1, "alpha": 2.0}),
        ((4, 2, 6, 3), (4, 2, 5, 6), {"transA": 1, "transB": 1}),
    ],
)
def test_fused_matmul(a, b, attributes, random):
    result = check_contrib("FusedMatMul", [random(*a), random(*b)], atol=1e-5, **attributes)
    assert result.ops.count("matmul") == 1


def test_fused_matmul_that_moves_the_batch_axis(random):
    # [rows, batch.., depth] as [batch.., rows, depth]
    result = check_contrib("FusedMatMul", [random(3, 2, 4), random(2, 4, 5)], atol=1e-5, transBatchA=1)
    assert result.ops == ["transpose", "matmul"]


@pytest.mark.parametrize(
    ("activation", "op", "parameters"),
    [
        ("Relu", "relu", {}),
        ("Sigmoid", "sigmoid", {}),
        ("Tanh", "tanh", {}),
        ("LeakyRelu", "leaky_relu", {"activation_alpha": 0.1}),
    ],
)
def test_fused_gemm(activation, op, parameters, random):
    inputs = [random(3, 4), random(5, 4), random(5)]
    assert op in check_contrib("FusedGemm", inputs, activation=activation, transB=1, alpha=0.5, **parameters).ops


@pytest.mark.parametrize(
    ("activation", "op", "parameters"),
    [
        ("Relu", "relu", None),
        ("Tanh", "tanh", None),
        ("LeakyRelu", "leaky_relu", [0.2]),
        ("Clip", "clamp", [-0.5, 0.7]),
        ("HardSigmoid", "clamp", [0.2, 0.4]),
    ],
)
@pytest.mark.parametrize("added", [False, True])
def test_fused_conv(activation, op, parameters, added, random):
    inputs = [random(1, 4, 6, 5), const(random(8, 4, 3, 3), F), const(random(8), F)]
    if added:
        inputs.append(random(1, 8, 6, 5))
    result = check_contrib(
        "FusedConv",
        inputs,
        rtol=1e-4,
        atol=1e-5,
        pads=[1, 1, 1, 1],
        activation=activation,
        activation_params=parameters,
    )
    assert result.ops[0] == "conv" and op in result.ops


@pytest.mark.parametrize(
    ("op", "count"), [("BiasGelu", 2), ("FastGelu", 1), ("FastGelu", 2), ("QuickGelu", 1), ("Gelu", 1)]
)
def test_gelu(op, count, random):
    check_contrib(op, [random(2, 3, 8) * 3, const(random(8), F)][:count], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("axis", [-1, 1])
def test_simplified_layer_normalization(axis, random):
    x = random(2, 3, 8)
    scale = const(random(*x.shape[axis:]), F)
    check_contrib(
        "SimplifiedLayerNormalization", [x, scale], [F, F], domain="", axis=axis, epsilon=1e-3, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("op", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("skip", [(2, 3, 8), (1, 3, 8), (3, 8)])
def test_skip_layer_normalization(op, biased, skip, random):
    parameters = [const(random(8), F) for _ in range(3)]
    inputs: list[Any] = [random(2, 3, 8), random(*skip), parameters[0]]
    if op == "SkipLayerNormalization":
        inputs.append(parameters[1])
    if biased:
        inputs.append(parameters[2])
    check_contrib(op, inputs, [F, None, None, F], epsilon=1e-3, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("segments", [False, True])
def test_embed_layer_normalization(segments, random):
    ids = np.array([[1, 5, 2], [9, 0, 3]], np.int32)
    kinds = np.array([[0, 1, 1], [1, 0, 0]], np.int32)
    tables: list[Any] = [const(random(n, 8), F) for n in (10, 4, 2)]
    if not segments:
        tables[2] = None
    inputs = [ids, kinds if segments else None, *tables, const(random(8), F), const(random(8), F)]
    check_contrib("EmbedLayerNormalization", inputs, [F, np.int32], epsilon=1e-3, rtol=1e-4, atol=1e-5)
    mask = np.array([[1, 1, 0], [1, 0, 0]], np.int32)
    check_contrib("EmbedLayerNormalization", [*inputs, mask], [F, np.int32, F], epsilon=1e-3, rtol=1e-4, atol=1e-5)


def test_small_ones(random):
    check_contrib("TransposeMatMul", [random(2, 4, 3), random(2, 4, 5)], atol=1e-5, transA=1, alpha=0.5)
    x = random(2, 3, 4)
    assert check_contrib("ExpandDims", [x, const(1, np.int32)]).ops == ["unsqueeze"]
    assert check_contrib("Inverse", [random(2, 3, 3)], rtol=1e-3, atol=1e-4).ops == ["inverse"]
    check_contrib("Trilu", [x, const(1)], upper=0)
    check_contrib("Pad", [x, const([0, 1, 0, 1, 0, 2]), const(1.5, F)])


# attention


MASKS = [None, "keys", "keys padded at the front", "queries", "ends", "ends and starts", "ends and sums"]


def masks(kind: str | None) -> Array | None:
    if kind == "keys":
        return np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], np.int32)
    if kind == "keys padded at the front":
        return np.array([[0, 1, 1, 1, 1], [0, 0, 0, 1, 1]], np.int32)
    if kind == "queries":
        return (np.arange(50).reshape(2, 5, 5) % 3 > 0).astype(np.int32) | np.eye(5, dtype=np.int32)
    if kind == "ends":
        return np.array([4, 2], np.int32)
    if kind == "ends and sums":
        return np.array([4, 2, 0, 5, 10, 0, 4, 6], np.int32)
    if kind == "ends and starts":
        return np.array([5, 3, 0, 1], np.int32)
    return None


@pytest.mark.parametrize(
    "mask", [None, "keys", "keys padded at the front", "queries", "ends", "ends and starts", "ends and sums"]
)
@pytest.mark.parametrize("attributes", [{}, {"unidirectional": 1}, {"scale": 0.3}])
def test_attention(mask, attributes, random):
    inputs: list[Any] = [random(2, 5, 8), const(random(8, 24), F), const(random(24), F), masks(mask)]
    result = check_contrib("Attention", inputs, num_heads=2, rtol=1e-3, atol=1e-5, **attributes)
    assert result.ops.count("softmax") == 1


def test_attention_with_past_or_bias(random):
    inputs: list[Any] = [random(2, 5, 8), const(random(8, 24), F), const(random(24), F), None]
    past, bias = random(2, 2, 2, 3, 4), random(2, 2, 5, 5)
    check_contrib("Attention", [*inputs, past], [F, F], num_heads=2, unidirectional=1, rtol=1e-3, atol=1e-5)
    check_contrib("Attention", [*inputs, None, bias], [F, F], num_heads=2, rtol=1e-3, atol=1e-5)


def test_attention_with_other_sizes_of_values(random):
    inputs = [random(2, 5, 6), const(random(6, 22), F), const(random(22), F)]
    check_contrib("Attention", inputs, num_heads=2, qkv_hidden_sizes=[8, 8, 6], rtol=1e-3, atol=1e-5)


def test_attention_with_a_mask_of_all_positions(random):
    """Without kernels for the processor: the same as the part of the mask that is used."""
    mask = (np.arange(98).reshape(2, 1, 7, 7) % 3 > 0).astype(np.int32)
    inputs: list[Any] = [random(2, 3, 8), const(random(8, 24), F), const(random(24), F)]
    past = random(2, 2, 2, 2, 4)
    part = [*inputs, np.ascontiguousarray(mask[:, 0, 2:5, :5]), past]
    model = contrib_model("Attention", part, [F, F], num_heads=2)
    expected = run_onnx(model, {"x0": part[0], "x3": part[3], "x4": past})
    whole = contrib_model("Attention", [*inputs, mask, past], [F, F], num_heads=2)
    check(whole, [inputs[0], mask, past], expected=expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("mask", [None, "keys", "ends"])
@pytest.mark.parametrize("attributes", [{}, {"unidirectional": 1}, {"scale": 0.3}])
def test_multi_head_attention(biased, mask, attributes, random):
    inputs: list[Any] = [random(2, 5, 8), random(2, 5, 8), random(2, 5, 8), None, None, random(1, 2, 5, 5)]
    if biased:
        inputs[3] = const(random(24), F)
    inputs[4] = masks(mask)
    check_contrib("MultiHeadAttention", inputs, num_heads=2, rtol=1e-3, atol=1e-5, **attributes)


def test_multi_head_attention_with_past(random):
    inputs = [
        random(2, 3, 8),
        random(2, 3, 8),
        random(2, 3, 8),
        None,
        None,
        None,
        random(2, 2, 4, 4),
        random(2, 2, 4, 4),
    ]
    check_contrib("MultiHeadAttention", inputs, [F, F, F], num_heads=2, rtol=1e-3, atol=1e-5)


def test_multi_head_attention_across_sequences(random):
    check_contrib(
        "MultiHeadAttention", [random(2, 3, 8), random(2, 5, 8), random(2, 5, 12)], num_heads=2, rtol=1e-3, atol=1e-5
    )
    keys = [random(2, 2, 5, 4), random(2, 2, 5, 4)]
    check_contrib("MultiHeadAttention", [random(2, 3, 8), *keys], num_heads=2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("filled", [0, 1, 3])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("attributes", [{}, {"unidirectional": 1}])
def test_multi_head_attention_with_a_buffer(filled, constant, attributes, random):
    """Of the past, which has more positions than are used, the first ones are filled."""
    position = const([filled], np.int32) if constant else np.array([filled], np.int32)
    inputs = [*(random(2, 3, 8) for _ in range(3)), None, None, None, random(2, 2, 6, 4), random(2, 2, 6, 4), position]
    check_contrib("MultiHeadAttention", inputs, [F, F, F], num_heads=2, rtol=1e-3, atol=1e-5, **attributes)


@pytest.mark.parametrize("attributes", [{}, {"unidirectional": 1}])
def test_multi_head_attention_with_scores(attributes, random):
    inputs = [*(random(2, 5, 8) for _ in range(3)), None, masks("keys"), random(1, 2, 5, 5)]
    check_contrib("MultiHeadAttention", inputs, [F, None, None, F], num_heads=2, rtol=1e-3, atol=1e-5, **attributes)


def heads(x: Array) -> Array:
    return x.reshape(2, -1, 2, 4).transpose(0, 2, 1, 3)


def attended(q: Array, k: Array, v: Array) -> Array:
    scores = (heads(q) @ heads(k).swapaxes(2, 3) / 2).astype(np.float64)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    result = weights / weights.sum(-1, keepdims=True) @ heads(v)
    return result.transpose(0, 2, 1, 3).reshape(q.shape).astype(F)


def test_multi_head_attention_of_packed_operands(random):
    """Without kernels for the processor: the expected values are those of the definition."""
    q, k, v, bias = random(2, 5, 8), random(2, 5, 8), random(2, 5, 8), random(3, 8)
    q4, k4, v4 = (x.reshape(2, 5, 2, 4) for x in (q, k, v))
    packed = np.stack([q4, k4, v4], axis=3)
    model = contrib_model("MultiHeadAttention", [packed, None, None, const(bias.reshape(-1), F)], [F], num_heads=2)
    expected = attended(q + bias[0], k + bias[1], v + bias[2])
    check(model, [packed], expected=[expected], rtol=1e-4, atol=1e-5)
    pairs = [q, np.stack([k4, v4], axis=3)]
    check(contrib_model("MultiHeadAttention", pairs, [F], num_heads=2), pairs, expected=[attended(q, k, v)], rtol=1e-4)


def test_multi_head_attention_of_keys_that_have_their_bias(random):
    inputs = [random(2, 3, 8), random(2, 2, 5, 4), random(2, 2, 5, 4), const(random(24), F)]
    check_contrib("MultiHeadAttention", inputs, num_heads=2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([(2, 3, 8)], "without a key"),
        ([(2, 3, 8), (2, 3, 8)], "without a value"),
        ([(2, 3, 2, 2, 4)], "2 packed operands"),
        ([(2, 3, 8)] * 3 + [None] * 3 + [(2, 2, 1, 4)], "past_key and past_value"),
        ([(2, 3, 8)] * 3 + [None] * 6 + [(2, 1, 6)], "cache_indirection"),
    ],
)
def test_multi_head_attention_refuses(inputs, reason, random):
    arrays = [None if shape is None else random(*shape) for shape in inputs]
    given = [x for x in arrays if x is not None]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("MultiHeadAttention", arrays, [F], num_heads=2), given)
    assert reason in "\n".join(raised.value.details)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_rotary_embedding_ignores_what_kernels_ignore(scale, random):
    inputs = [random(2, 3, 16), np.array([[0, 1, 2], [4, 3, 6]]), const(random(7, 4), F), const(random(7, 4), F)]
    result = check_contrib("RotaryEmbedding", inputs, scale=scale, is_packed_batching=1)
    assert any("scale = 2.0" in text for text in result.converter.warnings) == (scale != 1.0)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("shape", [(2, 3, 16), (2, 2, 3, 8)])
@pytest.mark.parametrize("positions", [[2], [[0, 1, 2], [4, 3, 6]]])
def test_rotary_embedding(interleaved, shape, positions, random):
    inputs = [random(*shape), const(positions), const(random(7, 4), F), const(random(7, 4), F)]
    check_contrib("RotaryEmbedding", inputs, interleaved=interleaved)


def test_rotary_embedding_of_a_part(random):
    inputs = [random(2, 3, 16), np.array([[0, 1, 2], [4, 3, 6]]), const(random(7, 2), F), const(random(7, 2), F)]
    check_contrib("RotaryEmbedding", inputs, rotary_embedding_dim=4, num_heads=2)
