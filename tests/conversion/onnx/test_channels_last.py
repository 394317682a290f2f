"""Operators of com.microsoft with channels last, as onnxruntime saves them, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array
from ...support.onnx_models import const, contrib_model, node_model, run_onnx
from .checks import check, check_contrib

F = np.float32
U = np.uint8


def codes(*shape: int, dtype: Any = U) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(sum(shape)).integers(limits.min, limits.max + 1, shape).astype(dtype)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 0, 1, 2], "strides": [2, 1]},
        {"group": 2, "dilations": [2, 1]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    ],
)
def test_convolutions(attributes, random):
    """Without kernels for the processor: the expected values are those of Conv between transposes."""
    x, w, bias = random(2, 4, 7, 6), random(6, 4 // attributes.get("group", 1), 3, 2), random(6)
    plain = run_onnx(node_model("Conv", [x, const(w, F), const(bias, F)], **attributes), {"x0": x})[0]
    plain = np.moveaxis(plain, 1, -1)
    turned = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    inputs = [turned, const(w, F), const(bias, F)]
    check(contrib_model("NhwcConv", inputs, [F], **attributes), [turned], expected=[plain], rtol=1e-4, atol=1e-5)
    addend = random(*plain.shape)
    model = contrib_model("NhwcFusedConv", [*inputs, addend], [F], activation="Relu", **attributes)
    check(model, [turned, addend], expected=[np.maximum(plain + addend, 0)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 1, 1]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"},
    ],
)
def test_max_pool_of_codes(dtype, attributes):
    check_contrib("NhwcMaxPool", [codes(2, 7, 6, 3, dtype=dtype)], [dtype], **attributes)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("weights", ["unsigned", "signed", "per channel"])
def test_convolutions_of_codes(last, group, weights, random):
    dtype: Any = np.uint8 if weights == "unsigned" else np.int8
    many = weights == "per channel"
    inputs = [
        codes(2, 7, 6, 4) if last else codes(2, 4, 7, 6), const(0.02, F), const(110, U),
        const(codes(6, 4 // group, 3, 3, dtype=dtype), dtype),
        const(np.abs(random(6)) * 0.01 + 0.01 if many else 0.02, F), const(np.zeros(6) if many else 3, dtype),
        const(0.3, F), const(100, U), const(random(6) * 300, np.int32),
    ]  # fmt: skip
    attributes = {"channels_last": last, "group": group, "pads": [1, 0, 1, 2], "strides": [2, 1]}
    result = check_contrib("QLinearConv", inputs, [U], atol=1, rtol=0, **attributes)
    assert result.ops.count("conv") == 1 and result.ops.count("transpose") == 2 * last
    assert "clamp" not in result.ops  # it is a quantized tensor, not arithmetic


def test_convolutions_of_codes_with_computed_parameters(random):
    inputs = [
        codes(2, 7, 6, 4), np.array(0.02, F), const(110, U), const(codes(6, 4, 3, 3), U), const(0.02, F), const(3, U),
        const(0.3, F), const(100, U),
    ]  # fmt: skip
    assert "clamp" in check_contrib("QLinearConv", inputs, [U], atol=1, rtol=0, channels_last=1).ops
