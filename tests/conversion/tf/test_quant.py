"""Fake quantization against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import random
from ...support.tf_programs import raw, tf
from .checks import check, refusal


@pytest.mark.parametrize(("low", "high"), [(-6.0, 6.0), (-1.0, 3.0), (0.1, 2.0), (-3.0, -0.5)])
@pytest.mark.parametrize(("bits", "narrow"), [(8, False), (8, True), (4, False)])
def test_fake_quant(low: float, high: float, bits: int, narrow: bool) -> None:
    x = 3 * random(4, 5, 6)
    attribs = {"num_bits": bits, "narrow_range": narrow}
    check(lambda x: tf.quantization.fake_quant_with_min_max_args(x, low, high, **attribs), x)
    check(lambda x: tf.quantization.fake_quant_with_min_max_vars(x, low, high, **attribs), x)
    lows, highs = np.float32([low, low - 1, -2] * 2), np.float32([high, high + 1, 1] * 2)
    check(lambda x: tf.quantization.fake_quant_with_min_max_vars_per_channel(x, lows, highs, **attribs), x)


def test_fake_quant_with_computed_range_is_refused() -> None:
    message = refusal(
        lambda x: tf.quantization.fake_quant_with_min_max_vars(x, tf.reduce_min(x), tf.reduce_max(x)), random(4, 5)
    )
    assert "must be a constant" in message


RANGES = [(-6.0, 6.0), (-1.0, 3.0), (-3.0, 1.0), (0.1, 2.0), (-3.0, -0.5), (0.0, 0.0), (0.0, 5.0), (-5.0, 0.0)]


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("attribs", [{}, {"narrow_range": True}])
def test_quantize_and_dequantize(low: float, high: float, signed: bool, attribs: dict[str, Any]) -> None:
    x = 3 * random(4, 5, 6)
    options: dict[str, Any] = {"signed_input": signed, "range_given": True, **attribs}
    for bits in (8, 3):
        for mode in ("HALF_TO_EVEN", "HALF_UP"):
            for name in ("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4"):
                more = {"input_min": low, "input_max": high, "num_bits": bits, "round_mode": mode}
                check(lambda x, n=name, m=more: getattr(raw, n)(input=x, **m, **options), x, rtol=0, atol=0)
        check(
            lambda x, bits=bits: raw.QuantizeAndDequantizeV3(
                input=x, input_min=low, input_max=high, num_bits=bits, **options
            ),
            x,
            rtol=0,
            atol=0,
        )


@pytest.mark.parametrize("mode", ["HALF_TO_EVEN", "HALF_UP"])
def test_ties_of_quantize_and_dequantize(mode: str) -> None:
    for low, high in ((-32.0, 31.75), (-128.0, 127.0)):
        step = np.float32((high - low) / 255)  # a power of two, so that ties are exact
        ties = (np.arange(-140, 140) + np.float32(0.5)).astype(np.float32) * step
        options: dict[str, Any] = {"input_min": low, "input_max": high, "round_mode": mode, "range_given": True}
        check(lambda x, o=options: raw.QuantizeAndDequantizeV4(input=x, **o), ties, rtol=0, atol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_quantize_and_dequantize_along_an_axis(axis: int) -> None:
    x = 3 * random(4, 5, 6)
    ranges: dict[str, Any] = {
        "input_min": -np.abs(random(x.shape[axis])),
        "input_max": np.abs(random(x.shape[axis], seed=1)),
    }

    def bits(x: Any) -> Any:
        return raw.QuantizeAndDequantizeV3(input=x, **ranges, num_bits=5, axis=axis)

    check(bits, x, rtol=0, atol=0)
    for name in ("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4"):  # the kernels want a single range nevertheless
        options: dict[str, Any] = {"num_bits": 5, "range_given": True, "axis": axis}
        check(lambda x, n=name, o=options: getattr(raw, n)(input=x, **ranges, **o), x, expected=bits, rtol=0, atol=0)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("mode", ["HALF_TO_EVEN", "HALF_UP"])
@pytest.mark.parametrize("axis", [-1, 0, 2])
def test_quantize_and_dequantize_by_the_range_of_the_input(signed: bool, mode: str, axis: int) -> None:
    options: dict[str, Any] = {"signed_input": signed, "num_bits": 5, "axis": axis, "round_mode": mode}

    def program(x: Any) -> Any:
        unused = tf.zeros([] if axis == -1 else [x.shape[axis]])
        return raw.QuantizeAndDequantizeV2(input=x, input_min=unused, input_max=unused, **options)

    for x in (random(4, 5, 6), random(4, 5, 6) + 3, random(4, 5, 6) - 3, np.zeros((2, 3, 4), np.float32)):
        check(program, x, rtol=0, atol=0)


def test_quantize_and_dequantize_by_a_computed_range() -> None:
    def program(x: Any, low: Any, high: Any) -> Any:
        return raw.QuantizeAndDequantizeV4(input=x, input_min=low, input_max=high, range_given=True)

    for low, high in RANGES:
        check(program, 3 * random(4, 5), np.float32(low), np.float32(high), rtol=0, atol=0)


def test_constant_ranges_are_computed_at_once() -> None:
    options: dict[str, Any] = {"input_min": -1.0, "input_max": 3.0, "range_given": True, "round_mode": "HALF_UP"}
    ops = ["clamp", "mul", "add", "floor", "mul"]
    check(lambda x: raw.QuantizeAndDequantizeV2(input=x, **options), random(4, 5), ops=ops)
