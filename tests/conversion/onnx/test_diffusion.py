"""Operators of com.microsoft without kernels for the processor, against their definitions in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import const, contrib_model, node_model, run_onnx
from .checks import check, convert

F = np.float32


def check_definition(model: ModelProto, *expected: Array, inputs: list[Any]) -> list[str]:
    """The converted model computes these values; returns its operations."""
    given = [x for x in inputs if isinstance(x, np.ndarray)]
    return check(model, given, expected=[x.astype(F) for x in expected], rtol=1e-5, atol=1e-5).ops


def erf(x: Array) -> Array:
    return run_onnx(node_model("Erf", [x]), {"x0": x})[0]


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, epsilon: float) -> Array:
    """Channels are second."""
    parts = x.astype(np.float64).reshape(len(x), groups, -1)
    centered = parts - parts.mean(-1, keepdims=True)
    normalized = (centered / np.sqrt((centered**2).mean(-1, keepdims=True) + epsilon)).reshape(x.shape)
    return normalized * gamma[:, None, None] + beta[:, None, None]


def moved(x: Array, last: bool) -> Array:
    return np.moveaxis(x, 1, -1) if last else x


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize(("groups", "activation", "epsilon"), [(2, 0, 1e-5), (3, 1, 0.1), (6, 0, 1e-5), (1, 1, 1e-5)])
def test_group_norm(last, groups, activation, epsilon, random):
    x, gamma, beta = random(2, 6, 3, 5) * 3 + 1, random(6), random(6)
    wanted = group_norm(x, gamma, beta, groups, epsilon)
    inputs = [np.ascontiguousarray(moved(x, last)), const(gamma, F), const(beta, F)]
    model = contrib_model(
        "GroupNorm", inputs, [F], channels_last=last, groups=groups, activation=activation, epsilon=epsilon
    )
    ops = check_definition(model, moved(silu(wanted) if activation else wanted, last), inputs=inputs)
    assert "transpose" not in ops and ("silu" in ops) == activation


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("skip", ["whole", "channels", "flat channels"])
@pytest.mark.parametrize("biased", [False, True])
def test_skip_group_norm(last, skip, biased, random):
    x, gamma, beta, bias = random(2, 6, 3, 5), random(6), random(6), random(6)
    other = random(*x.shape) if skip == "whole" else random(2, 6, 1, 1)
    total = x + other + (bias[:, None, None] if biased else 0)
    operand = other.reshape(2, 6) if skip == "flat channels" else np.ascontiguousarray(moved(other, last))
    inputs = [np.ascontiguousarray(moved(x, last)), const(gamma, F), const(beta, F), operand]
    inputs += [const(bias, F)] if biased else []
    model = contrib_model("SkipGroupNorm", inputs, [F, F], channels_last=last, groups=2, activation=1)
    wanted = silu(group_norm(total, gamma, beta, 2, 1e-5))
    check_definition(model, moved(wanted, last), moved(total, last), inputs=inputs)


def test_sums(random):
    x, bias, skip = random(2, 5, 6), random(6), random(2, 5, 6)
    inputs = [x, const(bias, F), skip]
    assert check_definition(contrib_model("BiasAdd", inputs, [F]), x + bias + skip, inputs=inputs) == ["add", "add"]


def test_halves(random):
    x, bias = random(2, 5, 6) * 2, random(6)
    left, right = np.split(x + bias, 2, axis=-1)
    inputs = [x, const(bias, F)]
    wanted = left * right * 0.5 * (1 + erf(right / np.sqrt(F(2))))
    check_definition(contrib_model("BiasSplitGelu", inputs, [F]), wanted, inputs=inputs)


@pytest.mark.parametrize(("bias", "inner"), [((2, 1, 1, 4), 1), ((1, 1, 5, 4), 0), ((5, 4), 0)])
@pytest.mark.parametrize("axis", [3, 2, -1])
def test_bias_softmax(bias, inner, axis, random):
    x, other = random(2, 3, 5, 4), random(*bias)
    total = (x + other).astype(np.float64)
    axes = (2, 3) if axis == 2 else (3,)
    exponentials = np.exp(total - total.max(axes, keepdims=True))
    inputs = [x, other]
    model = contrib_model("BiasSoftmax", inputs, [F], axis=axis, is_inner_broadcast=inner)
    check_definition(model, exponentials / exponentials.sum(axes, keepdims=True), inputs=inputs)


def test_bias_dropout(random):
    inputs = [random(2, 3), random(3), random(2, 3), const(0.5, F), const(False, bool)]
    model = contrib_model("BiasDropout", inputs, [F, bool])
    x, bias, residual = inputs[:3]
    result = convert(model, [x, bias, residual])
    np.testing.assert_allclose(result.outputs[0], x + bias + residual, rtol=1e-6)
    assert result.outputs[1].all()
    training = contrib_model("BiasDropout", [*inputs[:4], const(True, bool)], [F])
    with pytest.raises(ConversionError):
        convert(training, [x, bias, residual])


def test_products_with_activations(random):
    x, w, bias = random(2, 4), random(4, 3), random(3)
    product = x @ w
    inputs = [x, w]
    model = contrib_model("FusedMatMulActivation", inputs, [F], activation="LeakyRelu", activation_alpha=0.2, alpha=0.5)
    check_definition(model, np.where(product > 0, product, 0.2 * product) * 0.5, inputs=inputs)
    total = (product + bias).astype(np.float64)
    gelu = total / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (total + 0.044715 * total**3)))
    inputs = [x, w, const(bias, F)]
    check_definition(contrib_model("GemmFastGelu", inputs, [F]), gelu, inputs=inputs)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "reason"),
    [
        ("GroupNorm", [(1, 2, 2, 5), (5,), (5,)], {"groups": 2, "activation": 0}, "5 channels do not divide by 2"),
        ("GroupNorm", [(1, 2, 2, 4), (4,), (4,)], {"groups": 2, "activation": 2}, "activation = 2"),
        ("GroupNorm", [(1, 2, 2, 4), (2,), (4,)], {"groups": 2, "activation": 0}, "4 channels"),
        ("SkipGroupNorm", [(2, 2, 2, 4), (4,), (4,), (2, 2)], {"groups": 2, "activation": 0}, "skip of shape"),
        ("BiasSplitGelu", [(1, 2, 3), (3,)], {}, "3 channels have no halves"),
    ],
)
def test_what_does_not_fit(op, inputs, attributes, reason, random):
    arrays = [random(*shape) for shape in inputs]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model(op, arrays, [F], **attributes), arrays)
    assert reason in "\n".join(raised.value.details)
