"""DynamicQuantizeLSTM against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array, assert_agree
from ...support.onnx_models import const, contrib_model, run_onnx
from .checks import check, check_contrib, convert, to_onnx

F = np.float32
STEPS, WIDTH, HIDDEN = 4, 5, 6


def codes(dtype: Any, *shape: int) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(sum(shape)).integers(limits.min, limits.max + 1, shape).astype(dtype)


def layer(random, direction: str, dtype: Any, per_channel: bool, batch: int = 1, **given: Any) -> list[Any]:
    """The inputs of the operator. given: those that may be left out, by position."""
    count = 2 if direction == "bidirectional" else 1
    form = (count, 4 * HIDDEN) if per_channel else (count,)
    inputs: list[Any] = [random(STEPS, batch, WIDTH)]
    inputs += [const(codes(dtype, count, rows, 4 * HIDDEN), dtype) for rows in (WIDTH, HIDDEN)]
    inputs += [given.get(name) for name in ("bias", "lengths", "h", "c", "peepholes")]
    for _ in range(2):
        inputs += [const(np.abs(random(*form)) * 0.01 + 0.005, F), const(codes(dtype, *form) // 4, dtype)]
    return inputs


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("dtype", "per_channel"), [(np.uint8, False), (np.int8, False)])
@pytest.mark.parametrize("batch", [1, 3])
def test_layers(direction, dtype, per_channel, batch, random):
    count = 2 if direction == "bidirectional" else 1
    states = {"h": random(count, batch, HIDDEN), "c": random(count, batch, HIDDEN)}
    inputs = layer(random, direction, dtype, per_channel, batch, bias=const(random(count, 8 * HIDDEN), F), **states)
    result = check_contrib(
        "DynamicQuantizeLSTM", inputs, [F, F, F], direction=direction, hidden_size=HIDDEN, rtol=1e-4, atol=1e-5
    )
    assert result.ops.count("dynamic_quantize") == 1 + STEPS * count
    assert any("quantized together" in text for text in result.converter.warnings) == (batch > 1)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_scales_for_gates(direction, random):
    inputs = layer(random, direction, np.int8, True)
    for k in (9, 11):
        inputs[k] = const(np.zeros_like(inputs[k].array), np.int8)
    attributes = {"direction": direction, "hidden_size": HIDDEN}
    check_contrib("DynamicQuantizeLSTM", inputs, [F, F, F], rtol=1e-4, atol=1e-5, **attributes)
    model = contrib_model("DynamicQuantizeLSTM", inputs, [F, F, F], **attributes)
    result = convert(model, inputs[:1])
    for actual, wanted in zip(
        run_onnx(to_onnx(result.graph)[1], {"x0": inputs[0]}), run_onnx(model, {"x0": inputs[0]}), strict=True
    ):
        assert_agree(actual, wanted, rtol=1e-4, atol=1e-5)


def test_forms_of_cells(random):
    inputs = layer(random, "forward", np.uint8, False, peepholes=const(random(1, 3 * HIDDEN), F))
    check_contrib(
        "DynamicQuantizeLSTM", inputs, [F, None, F], hidden_size=HIDDEN, input_forget=1, clip=1.0, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("length", [2, 4])
def test_length_of_a_sequence(direction, length, random):
    inputs = layer(random, direction, np.int8, False, lengths=np.array([length], np.int32))
    inputs[0][length:] *= 100  # is not part of the range
    check_contrib(
        "DynamicQuantizeLSTM", inputs, [F, F, F], direction=direction, hidden_size=HIDDEN, rtol=1e-4, atol=1e-5
    )


def test_standard_operations_only(random):
    inputs = layer(random, "forward", np.uint8, False)
    model = contrib_model("DynamicQuantizeLSTM", inputs, [F], hidden_size=HIDDEN)
    assert "dynamic_quantize" not in check(model, inputs[:1], standard_only=True, rtol=1e-4, atol=1e-5).ops
