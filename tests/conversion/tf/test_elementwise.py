"""Elementwise operators against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, logicals, random
from ...support.tf_programs import raw, tf
from .checks import check, refusal

UNARY = ["Abs", "Atan", "Asinh", "Ceil", "Cos", "Cosh", "Elu", "Erf", "Erfc", "Exp", "Expm1", "Floor", "Inv",
         "LogSoftmax", "Neg", "Reciprocal", "Relu", "Relu6", "Rint", "Round", "Selu", "Sigmoid", "Sign", "Sin",
         "Sinh", "Softplus", "Softsign", "Square", "Tan", "Tanh"]  # fmt: skip
POSITIVE = ["Log", "Log1p", "Rsqrt", "Sqrt", "Acosh"]
UNIT = ["Acos", "Asin", "Atanh"]


def _unary(name: str, x: Any) -> Any:
    operator = getattr(raw, name)
    parameter = {"Relu": "features", "Relu6": "features", "Elu": "features", "Selu": "features"}
    parameter |= {"Softplus": "features", "Softsign": "features", "LogSoftmax": "logits", "Softmax": "logits"}
    return operator(**{parameter.get(name, "x"): x})


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    check(lambda x: _unary(name, x), 2 * random(3, 5, 7))


@pytest.mark.parametrize("name", POSITIVE)
def test_unary_of_positive(name: str) -> None:
    check(lambda x: _unary(name, x), np.abs(random(3, 5, 7)) + 1)


@pytest.mark.parametrize("name", UNIT)
def test_unary_of_unit_interval(name: str) -> None:
    check(lambda x: _unary(name, x), np.tanh(random(3, 5, 7)))


def test_unary_of_scalar() -> None:
    check(lambda x: tf.tanh(x), np.asarray(-0.5, np.float32), ops=["tanh"])


@pytest.mark.parametrize("name", ["Expm1", "Log1p"])
def test_no_cancellation_near_zero(name: str) -> None:
    check(lambda x: _unary(name, x), np.float32([-1e-6, -3e-4, 0, 1e-7, 2e-3, 0.4]), rtol=1e-5, atol=0)


def test_ties_are_rounded_to_even() -> None:
    check(lambda x: tf.round(x), np.float32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]))


@pytest.mark.parametrize("name", ["Abs", "Neg", "Sign", "Square"])
def test_unary_of_integers(name: str) -> None:
    check(lambda x: _unary(name, x), integers(4, 5))


BINARY = ["Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "FloorDiv", "FloorMod", "TruncateMod", "Mod", "Maximum",
          "Minimum", "SquaredDifference", "Equal", "NotEqual", "Less", "LessEqual", "Greater",
          "GreaterEqual"]  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", [((3, 5), (3, 5)), ((2, 3, 5), (5,)), ((3, 1), (2, 1, 5)), ((), (4,))])
def test_binary(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, y = random(*shapes[0]), random(*shapes[1], seed=1)
    check(lambda x, y: getattr(raw, name)(x=x, y=y), x, y)


@pytest.mark.parametrize("name", ["AddV2", "Sub", "Mul", "FloorDiv", "FloorMod", "TruncateDiv", "TruncateMod", "Div",
                                  "Mod", "Maximum", "Minimum", "Equal", "Less", "BitwiseAnd", "BitwiseOr",
                                  "BitwiseXor"])  # fmt: skip
def test_binary_of_integers(name: str) -> None:
    y = integers(4, 5, low=1, high=6) * np.where(logicals(4, 5), 1, -1).astype(np.int32)
    check(lambda x, y: getattr(raw, name)(x=x, y=y), integers(4, 5, low=-40, high=40), y)


@pytest.mark.parametrize("name", ["LeftShift", "RightShift"])
def test_shifts(name: str) -> None:
    check(lambda x, y: getattr(raw, name)(x=x, y=y), integers(4, 5), integers(4, 5, low=0, high=9))


def test_invert() -> None:
    check(lambda x: raw.Invert(x=x), integers(4, 5))
    check(lambda x: raw.Invert(x=x), integers(4, 5, low=0, dtype=np.uint8))


def test_constant_operand_becomes_a_literal() -> None:
    check(lambda x: tf.nn.relu(x) * 2.0 + 1.0, random(2, 3), ops=["relu", "mul", "add"])


def test_power() -> None:
    check(lambda x, y: tf.pow(x, y), np.abs(random(3, 4)), random(4, seed=1), ops=["unsqueeze", "pow"])
    check(lambda x: tf.pow(x, 2.0), random(3, 4), ops=["sqr"])
    check(lambda x: tf.pow(x, 3.0), random(3, 4))


@pytest.mark.parametrize("name", ["LogicalAnd", "LogicalOr"])
def test_logic(name: str) -> None:
    check(lambda x, y: getattr(raw, name)(x=x, y=y), logicals(3, 4), logicals(3, 4, seed=1))
    check(lambda x: tf.logical_not(x), logicals(3, 4), ops=["not"])


def test_comparison_of_logicals() -> None:
    check(lambda x, y: tf.equal(x, y), logicals(3, 4), logicals(3, 4, seed=1))


def test_sums_of_many() -> None:
    arrays = [random(3, 4, seed=k) for k in range(3)]
    check(lambda *xs: tf.add_n(xs), *arrays, ops=["add_n"])
    check(lambda *xs: tf.add_n(xs), *arrays[:2], ops=["add"])
    check(lambda *xs: raw.AccumulateNV2(inputs=list(xs), shape=[3, 4]), *arrays)


@pytest.mark.parametrize("name", ["DivNoNan", "MulNoNan", "Xdivy", "Xlogy"])
def test_guarded_arithmetic(name: str) -> None:
    x = random(4, 5) * logicals(4, 5)
    y = np.abs(random(4, 5, seed=1)) * logicals(4, 5, seed=2)
    check(lambda x, y: getattr(raw, name)(x=x, y=y), x, y)


def test_atan2() -> None:
    y = np.float32([1, 1, -1, -1, 0, 0, 2, -2, 0.3])
    x = np.float32([1, -1, 1, -1, 2, -2, 0, 0, -7])
    check(lambda y, x: tf.atan2(y, x), y, x)


@pytest.mark.parametrize("name", ["IsNan", "IsInf", "IsFinite"])
def test_kinds_of_numbers(name: str) -> None:
    check(lambda x: getattr(raw, name)(x=x), np.float32([1, -np.inf, np.inf, np.nan, 0]))


def test_leaky_relu() -> None:
    check(lambda x: tf.nn.leaky_relu(x, alpha=0.3), random(3, 4), ops=["leaky_relu"])
    check(lambda x: tf.nn.leaky_relu(x), random(3, 4))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 4, 5)])
def test_softmax(shape: tuple[int, ...]) -> None:
    check(lambda x: tf.nn.softmax(x), 3 * random(*shape), ops=["softmax"])
    check(lambda x: tf.nn.log_softmax(x), 3 * random(*shape))


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu_comes_in_parts(approximate: bool) -> None:
    check(lambda x: tf.nn.gelu(x, approximate=approximate), random(3, 4))


def test_clip() -> None:
    check(lambda x: tf.clip_by_value(x, -0.5, 0.25), random(3, 4))
    check(lambda x: raw.ClipByValue(t=x, clip_value_min=-0.5, clip_value_max=0.25), random(3, 4), ops=["clamp"])


def test_select() -> None:
    c, x, y = logicals(3, 4), random(3, 4), random(3, 4, seed=1)
    check(lambda c, x, y: raw.Select(condition=c, x=x, y=y), c, x, y, ops=["select"])
    check(lambda c, x, y: raw.Select(condition=c, x=x, y=y), logicals(3), x, y, ops=["reshape", "select"])
    check(lambda c, x, y: raw.Select(condition=c, x=x, y=y), np.asarray(True), x, y, ops=["select"])
    check(lambda c, x, y: tf.where(c, x, y), logicals(4), random(3, 1), random(2, 1, 4))
    check(lambda c, x, y: tf.where(c, x, y), c, integers(3, 4), integers(4))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (np.float32, tf.int32), (np.float32, tf.bool), (np.int32, tf.float32), (np.int32, tf.bool),
        (np.bool_, tf.float32), (np.bool_, tf.int64), (np.int64, tf.int32), (np.float32, tf.float64),
        (np.uint8, tf.float32), (np.int32, tf.uint8),
    ],
)  # fmt: skip
def test_cast(source: Any, target: Any) -> None:
    x = (3 * random(4, 5)).astype(source) if source is not np.uint8 else integers(4, 5, low=0, dtype=np.uint8)
    check(lambda x: tf.cast(x, target), x)


def test_bitcast() -> None:
    check(lambda x: tf.bitcast(x, tf.uint8), integers(4, 5, dtype=np.int8))
    assert "bits" in refusal(lambda x: tf.bitcast(x, tf.int32), random(4))
