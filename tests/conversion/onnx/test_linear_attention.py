"""Layers of com.microsoft that keep a state, against onnxruntime or their definition."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.onnx_models import const, contrib_model
from .checks import check, check_contrib, convert

F = np.float32


def operands(random, rule, queries, states, *, batch=2, steps=3, size=4, depth=5, keys=None, per_key=False, past=False):
    decay = random(batch, steps, states * (size if per_key else 1)) * F(0.3) - F(0.5) if "gated" in rule else None
    beta = 1 / (1 + np.exp(-random(batch, steps, states))) if "delta" in rule else None
    return [
        random(batch, steps, queries * size), random(batch, steps, (keys or states) * size) * F(0.5),
        random(batch, steps, states * depth), random(batch, states, size, depth) if past else None, decay, beta,
    ]  # fmt: skip


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize(("queries", "states"), [(2, 2), (4, 2), (2, 4)])
@pytest.mark.parametrize("past", [False, True])
def test_linear_attention(rule, queries, states, past, random):
    inputs = operands(random, rule, queries, states, past=past)
    check_contrib(
        "LinearAttention", inputs, [F, F], q_num_heads=queries, kv_num_heads=states, update_rule=rule, rtol=1e-4,
        atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize(("per_key", "scale"), [(True, 0.0), (True, 0.3), (False, 0.3)])
def test_decay_of_keys_and_scale(per_key, scale, random):
    inputs = operands(random, "gated_delta", 2, 2, per_key=per_key)
    check_contrib("LinearAttention", inputs, [F, F], q_num_heads=2, kv_num_heads=2, scale=scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("attributes", [{}, {"activation": "silu"}, {"dilation": 2, "activation": "swish"}])
def test_causal_convolutions(last, past, attributes, random):
    before = 3 * attributes.get("dilation", 1)
    inputs = [random(2, 7, 3) if last else random(2, 3, 7), const(random(3, 1, 4), F), const(random(3), F)]
    inputs += [random(2, before, 3) if last else random(2, 3, before)] if past else []
    check_contrib("CausalConvWithState", inputs, [F, F], channels_last=last, rtol=1e-4, atol=1e-5, **attributes)


def test_causal_convolution_of_one_step(random):
    inputs = [random(2, 3, 1), const(random(3, 1, 4), F), None, random(2, 3, 3)]
    check_contrib("CausalConvWithState", inputs, [F, F], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["silu", "sigmoid"])
def test_gated_norms(activation, random):
    inputs = [random(2, 3, 8), const(random(4), F), random(2, 3, 8)]
    check_contrib("GatedRMSNorm", inputs, activation=activation, epsilon=1e-3, rtol=1e-4, atol=1e-5)


def test_gates(random):
    check_contrib("GatedAdd", [random(2, 3, 8), random(2, 3, 8), random(2, 3, 1)])
    check_contrib("ScaledSiLU", [random(2, 3)], alpha=0.5, rtol=1e-4, atol=1e-6)
    check_contrib("ScaledSiLU", [random(2, 3), const(0.3, F)], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [None, (8,), (2, 4), (4,)])
@pytest.mark.parametrize("branches", [0, 2])
def test_norms_of_branches(scale, branches, random):
    inputs = [random(3, 8) if branches else random(3, 2, 4)]
    inputs += [] if scale is None else [const(random(*scale), F)]
    check_contrib("BranchwiseRMSNorm", inputs, num_branches=branches, epsilon=1e-3, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize(("alpha", "beta", "limit"), [(1.0, 0.0, 0.0), (1.7, 1.0, 0.8)])
def test_products_with_gates(halves, alpha, beta, limit, random):
    """Without kernels for the processor: the expected values are those of the definition."""
    gate, up = random(2, 3), random(2, 3)
    g, u = (np.minimum(gate, limit), np.clip(up, -limit, limit)) if limit else (gate, up)
    expected = g / (1 + np.exp(-alpha * g)) * (u + beta)
    inputs = [np.concatenate([gate, up], -1)] if halves else [gate, up]
    model = contrib_model("SwiGLU", inputs, [F], activation_alpha=alpha, activation_beta=beta, limit=limit)
    check(model, inputs, expected=[expected.astype(F)])


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [({"update_rule": "other"}, "update_rule"), ({"state_window": 2}, "state_window"), ({}, "decay and beta")],
)
def test_what_is_refused(attributes, reason, random):
    inputs = operands(random, "linear", 2, 2)[:3]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("LinearAttention", inputs, [F, F], q_num_heads=2, kv_num_heads=2, **attributes), inputs)
    assert reason in "\n".join(raised.value.details)
