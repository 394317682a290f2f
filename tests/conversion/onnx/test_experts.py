"""Mixtures of experts of com.microsoft against onnxruntime, or their definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import const, contrib_model
from .checks import check, check_contrib, convert

F = np.float32
EXPERTS, INNER, WIDTH = 4, 6, 8


def layers(random, inner=INNER, biased=True):
    shapes = [(EXPERTS, inner, WIDTH), (EXPERTS, inner), (EXPERTS, WIDTH, INNER), (EXPERTS, WIDTH)]
    parts = [const(random(*shape), F) for shape in shapes]
    return parts if biased else [parts[0], None, parts[2]]


@pytest.mark.parametrize("name", ["relu", "silu", "gelu", "identity"])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("normalized", [0, 1])
def test_activations(name, k, normalized, random):
    inputs = [random(5, WIDTH), random(5, EXPERTS), *layers(random)]
    attributes = {"k": k, "activation_type": name, "normalize_routing_weights": normalized}
    assert "gather" not in check_contrib("MoE", inputs, rtol=1e-4, atol=1e-4, **attributes).ops


@pytest.mark.parametrize("tokens", [(1,), (2, 3), (1, 1)])
@pytest.mark.parametrize("limit", [None, 0.7])
def test_gated_experts(tokens, limit, random):
    inputs = [random(*tokens, WIDTH), random(int(np.prod(tokens)), EXPERTS), *layers(random, 2 * INNER, False)]
    attributes: dict[str, Any] = {"k": 2, "activation_type": "swiglu", "swiglu_fusion": 1, "swiglu_limit": limit}
    result = check_contrib("MoE", inputs, rtol=1e-4, atol=1e-4, activation_alpha=1.7, activation_beta=1.0, **attributes)
    assert ("gather" in result.ops) == (np.prod(tokens) == 1)  # only the weights of two of the four are used


@pytest.mark.parametrize("fusion", [0, 2])
def test_other_orders_of_gates(fusion, random):
    """Without kernels for the processor: the expected values are those of the interleaved order."""
    x, router, first, _, second = [random(5, WIDTH), random(5, EXPERTS), *layers(random, 2 * INNER, False)]
    attributes = {"k": 2, "activation_type": "swiglu"}
    model = contrib_model("MoE", [x, router, first, None, second], [F], swiglu_fusion=1, **attributes)
    expected = convert(model, [x, router]).outputs
    gate, up = first.array[:, ::2], first.array[:, 1::2]
    if fusion:
        inputs = [x, router, const(np.concatenate([gate, up], 1), F), None, second]
    else:
        inputs = [x, router, const(gate, F), None, second, None, const(up, F)]
    check(
        contrib_model("MoE", inputs, [F], swiglu_fusion=fusion, **attributes), [x, router], expected=expected, rtol=1e-4
    )


def packed(bits, *shape):
    return const(np.random.default_rng(sum(shape)).integers(0, 256, (*shape[:-1], shape[-1] * bits // 8)), np.uint8)


def reference(inputs: list[Any], bits: int) -> Array:
    """QMoE with relu, two experts of each token, and weights of bytes in blocks."""
    x, router = inputs[:2]
    zeros = [inputs[k].array if len(inputs) > 8 else np.uint8(2 ** (bits - 1)) for k in (-2, -1)]
    layers = []
    for place, zero in zip((2, 5), zeros, strict=True):
        codes, scale, bias = (inputs[place + k].array for k in range(3))
        blocks = codes.reshape(*scale.shape, -1).astype(np.float64) - np.expand_dims(zero.astype(np.float64), -1)
        layers.append(((blocks * scale[..., None]).reshape(codes.shape), bias))
    rows = []
    for token, logits in zip(x, router, strict=True):
        chosen = np.argsort(-logits)[:2]
        shares = np.exp(logits[chosen]) / np.exp(logits[chosen]).sum()
        inner = [np.maximum(layers[0][0][e] @ token + layers[0][1][e], 0) for e in chosen]
        outer = [layers[1][0][e] @ h + layers[1][1][e] for e, h in zip(chosen, inner, strict=True)]
        rows.append(shares @ np.array(outer))
    return np.array(rows, F)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [None, 16])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("tokens", [1, 5])
def test_packed_experts(bits, block, zeros, tokens, random):
    width, inner = 32, 64
    shapes = ((EXPERTS, inner, width), (EXPERTS, width, inner))
    inputs: list[Any] = [random(tokens, width), random(tokens, EXPERTS)]
    for outer in shapes:
        extents = outer[:2] if block is None else (*outer[:2], outer[2] // block)
        inputs += [packed(bits, *outer), const(np.abs(random(*extents)) * 0.02, F), const(random(*outer[:2]), F)]
    if zeros:
        inputs += [None] * 3
        inputs += [packed(bits, *(s[:2] if block is None else (*s[:2], s[2] // block))) for s in shapes]
    attributes = {"k": 2, "expert_weight_bits": bits, "block_size": block}
    if bits == 4 or block is None:
        check_contrib("QMoE", inputs, rtol=1e-3, atol=1e-3, **attributes)
        return
    expected = [reference(inputs, bits)]  # the kernel quantizes what the layers take
    check(contrib_model("QMoE", inputs, [F], **attributes), inputs[:2], expected=expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tokens", [1, 5])
@pytest.mark.parametrize("width", [48, 96])
def test_last_blocks_that_are_shorter(width, tokens, random):
    inputs: list[Any] = [random(tokens, width), random(tokens, EXPERTS)]
    for outer in ((EXPERTS, 64, width), (EXPERTS, width, 64)):
        scales = const(np.abs(random(*outer[:2], -(-outer[2] // 64))) * 0.02, F)
        inputs += [packed(4, *outer), scales, None]
    check_contrib("QMoE", inputs, k=2, expert_weight_bits=4, block_size=64, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalized", [0, 1])
@pytest.mark.parametrize("given", [False, True])
def test_shares_of_packed_experts(normalized, given, random):
    inputs: list[Any] = [random(5, 32), random(5, EXPERTS)]
    for outer in ((EXPERTS, 64, 32), (EXPERTS, 32, 64)):
        inputs += [packed(4, *outer), const(np.abs(random(*outer[:2])) * 0.02, F), None]
    inputs += [None] * 6 + [np.abs(random(5, EXPERTS))] if given else []
    result = check_contrib("QMoE", inputs, k=2, normalize_routing_weights=normalized, rtol=1e-3, atol=1e-3)
    assert any("divided by their sum" in text for text in result.converter.warnings) == (not normalized and not given)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"use_sparse_mixer": 1}, "use_sparse_mixer"),
        ({"activation_type": "other"}, "activation_type"),
        ({"activation_type": "swiglu"}, "swiglu_fusion = 0"),
        ({"k": 5}, "k = 5 of 4 experts"),
    ],
)
def test_what_is_refused(attributes, reason, random):
    inputs = [random(5, WIDTH), random(5, EXPERTS), *layers(random)]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("MoE", inputs, [F], **attributes), inputs[:2])
    assert reason in "\n".join(raised.value.details)
