"""Elementwise operators and activations of TensorFlow Lite against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array, integers, logicals, random
from ...support.lite_models import Fixed
from .checks import check

POSITIVE = ("LOG", "RSQRT", "SQRT")
HALVES = np.asarray([[-2.5, -1.5, -0.5, -0.2], [0.5, 1.5, 2.5, 0.0]], np.float32)


@pytest.mark.parametrize(
    "type",
    ["ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGISTIC", "LOG_SOFTMAX", "NEG", "RELU",
     "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE"],
)  # fmt: skip
def test_unary(type: str) -> None:
    x = 4 * random(2, 3, 5)
    check(type, np.abs(x) + np.float32(0.1) if type in POSITIVE else x)


@pytest.mark.parametrize("type", ["CEIL", "FLOOR", "ROUND", "SIGN"])
def test_ties(type: str) -> None:
    check(type, HALVES)


@pytest.mark.parametrize("type", ["ABS", "NEG", "SIGN", "ZEROS_LIKE"])
def test_unary_of_integers(type: str) -> None:
    check(type, integers(3, 4))


def test_logical_not() -> None:
    check("LOGICAL_NOT", logicals(3, 4))


BINARY = ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"]
SHAPES = [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((1, 3, 1), (2, 1, 4)), ((2, 3, 4), ()), ((3, 1), (2, 1, 4))]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("type", BINARY)
def test_binary(type: str, shapes: Any) -> None:
    x, y = random(*shapes[0]), random(*shapes[1], seed=1)
    check(type, x, y)


def test_quadrants() -> None:
    y, x = np.meshgrid([-1.0, -0.5, 0.0, 2.0], [-2.0, 0.0, 0.5])
    check("ATAN2", y.astype(np.float32), x.astype(np.float32))


@pytest.mark.parametrize("type", ["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_MOD"])
def test_binary_of_integers(type: str) -> None:
    y = integers(3, 4, seed=1)
    y[y == 0] = 3
    check(type, integers(3, 4, low=-50, high=50), Fixed(y) if type == "FLOOR_MOD" else y)


@pytest.mark.parametrize("type", ["DIV", "FLOOR_DIV"])
def test_division_of_integers(type: str) -> None:
    y = integers(3, 4, seed=1)
    y[y == 0] = 3
    check(type, integers(3, 4, low=-50, high=50), y)
    check(type, Fixed(integers(3, 4, low=-50, high=50)), y)


@pytest.mark.parametrize("function", ["NONE", "RELU", "RELU_N1_TO_1", "RELU6"])
@pytest.mark.parametrize("type", ["ADD", "SUB", "MUL", "DIV"])
def test_fused_activation(type: str, function: str) -> None:
    check(type, 5 * random(3, 4), random(4, seed=1), fused_activation_function=function)


@pytest.mark.parametrize("function", ["RELU", "RELU_N1_TO_1", "RELU6"])
@pytest.mark.parametrize("type", ["ADD", "SUB", "MUL"])
def test_fused_activation_of_integers(type: str, function: str) -> None:
    check(type, integers(3, 4), integers(3, 4, seed=1), fused_activation_function=function)


def test_add_n() -> None:
    check("ADD_N", random(2, 3), random(2, 3, seed=1), random(2, 3, seed=2))
    check("ADD_N", integers(2, 3), integers(2, 3, seed=1))


@pytest.mark.parametrize("exponent", [2.0, 0.5, -1.0, 3.0])
def test_power(exponent: float) -> None:
    check("POW", np.abs(random(2, 3)), Fixed(np.float32(exponent)))


@pytest.mark.parametrize("type", ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"])
def test_comparison(type: str) -> None:
    check(type, integers(3, 4), integers(4, seed=1), dtypes=[np.bool_])
    x = random(2, 3)
    check(type, x, np.where(logicals(2, 3), x, -x), dtypes=[np.bool_])


@pytest.mark.parametrize("type", ["LOGICAL_AND", "LOGICAL_OR"])
def test_logic(type: str) -> None:
    check(type, logicals(3, 4), logicals(4, seed=1))


def test_select() -> None:
    check("SELECT", logicals(3, 4), random(3, 4), random(3, 4, seed=1), dtypes=[np.float32])
    check("SELECT", logicals(3), random(3, 4), random(3, 4, seed=1), dtypes=[np.float32])
    check("SELECT_V2", logicals(3, 1), random(4), random(3, 4, seed=1), dtypes=[np.float32])


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int16, np.int8])
def test_bits(dtype: Any) -> None:
    x, y = (integers(3, 4, low=0, high=100, dtype=dtype, seed=k) for k in range(2))
    check("BITWISE_XOR", x, y)
    check("RIGHT_SHIFT", x, integers(3, 4, low=0, high=7, dtype=dtype))


def test_right_shift_of_negative_numbers() -> None:
    check("RIGHT_SHIFT", integers(3, 4, low=-1000, high=0), integers(3, 4, low=0, high=31))


def test_bitcast() -> None:
    check("BITCAST", integers(3, 4), dtypes=[np.uint32])


CASTS: list[tuple[Array, Any]] = [
    (integers(3, 4), np.float32),
    (10 * random(3, 4), np.int32),
    (random(3, 4) * logicals(3, 4), np.bool_),
    (logicals(3, 4), np.float32),
    (logicals(3, 4), np.int32),
    (integers(3, 4, dtype=np.int64), np.int32),
    (integers(3, 4), np.int64),
]


@pytest.mark.parametrize(("x", "dtype"), CASTS)
def test_cast(x: Array, dtype: Any) -> None:
    check("CAST", x, dtypes=[dtype])


@pytest.mark.parametrize("shape", [(1, 1, 4), (4,), (3, 4)])
def test_prelu(shape: Any) -> None:
    check("PRELU", random(2, 3, 4), Fixed(random(*shape, seed=1)))


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu(approximate: bool) -> None:
    check("GELU", 3 * random(3, 4), approximate=approximate)


def test_leaky_relu() -> None:
    check("LEAKY_RELU", random(3, 4), alpha=0.3)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 2, 4), (4,)])
@pytest.mark.parametrize("beta", [1.0, 0.4, 2.0])
def test_softmax(beta: float, shape: Any) -> None:
    result = check("SOFTMAX", random(*shape), beta=beta)
    assert result.ops == (["softmax"] if beta == 1 else ["mul", "softmax"])


@pytest.mark.parametrize(("low", "high", "bits"), [(-1.0, 1.0, 8), (-0.3, 2.1, 4), (0.0, 6.0, 8)])
def test_fake_quant(low: float, high: float, bits: int) -> None:
    check("FAKE_QUANT", 2 * random(3, 40), min=low, max=high, num_bits=bits)


def test_bucketize() -> None:
    check("BUCKETIZE", random(3, 4), boundaries=[-0.5, 0.0, 0.75], dtypes=[np.int32])


def test_half_precision() -> None:
    result = check("DEQUANTIZE", random(3, 4).astype(np.float16), dtypes=[np.float32])
    assert result.ops == ["copy"]
