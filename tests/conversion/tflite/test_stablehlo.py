"""Operators of StableHLO in TensorFlow Lite files. LiteRT has kernels for few of them; numpy defines the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, logicals, random
from ...support.lite_models import Fixed
from .checks import check

UNARY: dict[str, Callable[..., Any]] = {
    "ABS": np.abs,
    "COSINE": np.cos,
    "EXPONENTIAL": np.exp,
    "FLOOR": np.floor,
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "NEGATE": np.negative,
    "TANH": np.tanh,
}
BINARY: dict[str, Callable[..., Any]] = {
    "ADD": np.add,
    "DIVIDE": np.divide,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MULTIPLY": np.multiply,
    "SUBTRACT": np.subtract,
    "REMAINDER": np.fmod,
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    x = random(3, 4)
    check(f"STABLEHLO_{name}", x, expected=[UNARY[name](x)])


@pytest.mark.parametrize(("name", "function"), [("LOG", np.log), ("RSQRT", lambda x: 1 / np.sqrt(x))])
def test_of_positive_numbers(name: str, function: Callable[..., Any]) -> None:
    x = np.abs(random(3, 4)) + np.float32(0.1)
    check(f"STABLEHLO_{name}", x, expected=[function(x)])
    check("STABLEHLO_POWER", x, random(3, 4), expected=[x ** random(3, 4)])


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    x, y = random(3, 4), random(3, 4, seed=1)
    check(f"STABLEHLO_{name}", x, y, expected=[BINARY[name](x, y)])


@pytest.mark.parametrize("name", ["ADD", "MAXIMUM", "MINIMUM", "MULTIPLY"])
def test_kernels_of_litert(name: str) -> None:
    check(f"STABLEHLO_{name}", random(3, 4), random(3, 4, seed=1))


@pytest.mark.parametrize("direction", range(6))
def test_compare(direction: int) -> None:
    x, y = integers(3, 4, low=0, high=3), integers(3, 4, low=0, high=3, seed=1)
    function = [np.equal, np.not_equal, np.greater_equal, np.greater, np.less_equal, np.less][direction]
    expected = [function(x, y)]
    check("STABLEHLO_COMPARE", x, y, comparison_direction=direction, dtypes=[np.bool_], expected=expected)


def test_logic_and_bits() -> None:
    x, y = logicals(3, 4), logicals(3, 4, seed=1)
    check("STABLEHLO_AND", x, y, expected=[x & y])
    check("STABLEHLO_OR", x, y, expected=[x | y])
    i, j = integers(3, 4), integers(3, 4, seed=1)
    check("STABLEHLO_AND", i, j, expected=[i & j])
    check("STABLEHLO_OR", i, j, expected=[i | j])


def test_select_and_clamp() -> None:
    condition, x, y = logicals(3, 4), random(3, 4), random(3, 4, seed=1)
    expected = [np.where(condition, x, y)]
    check("STABLEHLO_SELECT", condition, x, y, dtypes=[np.float32], expected=expected)
    low, high = Fixed(np.float32(-0.5)), Fixed(np.float32(0.7))
    check("STABLEHLO_CLAMP", low, x, high, expected=[np.clip(x, np.float32(-0.5), np.float32(0.7))])


def test_convert() -> None:
    x = 9 * random(3, 4)
    check("STABLEHLO_CONVERT", x, dtypes=[np.int32], expected=[x.astype(np.int32)])


def test_shapes() -> None:
    x = random(2, 3, 4)
    check("STABLEHLO_RESHAPE", x, expected=[x.reshape(6, 4)])
    check("STABLEHLO_TRANSPOSE", x, permutation=[2, 0, 1], expected=[x.transpose(2, 0, 1)])
    check("STABLEHLO_CONCATENATE", x, x, dimension=1, expected=[np.concatenate([x, x], axis=1)])
    ranges = {"start_indices": [0, 1, 0], "limit_indices": [2, 3, 4], "strides": [1, 1, 2]}
    check("STABLEHLO_SLICE", x, **ranges, expected=[x[:, 1:3, ::2]])
    wanted = np.broadcast_to(x[:, :, None, :], (2, 3, 5, 4))
    check("STABLEHLO_BROADCAST_IN_DIM", x, broadcast_dimensions=[0, 1, 3], expected=[wanted])


@pytest.mark.parametrize("low", [[0, 1], [2, -1]])
@pytest.mark.parametrize("interior", [[0, 0], [1, 2]])
def test_pad(low: list[int], interior: list[int]) -> None:
    options = {"edge_padding_low": low, "edge_padding_high": [1, 0], "interior_padding": interior}
    check("STABLEHLO_PAD", random(3, 4), Fixed(np.float32(-1.5)), **options)


def test_dynamic_update_slice() -> None:
    x, update = random(4, 5), random(2, 3, seed=1)
    wanted = x.copy()
    wanted[2:4, 1:4] = update
    starts = [Fixed(np.int32(3)), Fixed(np.int32(1))]
    check("STABLEHLO_DYNAMIC_UPDATE_SLICE", x, update, *starts, expected=[wanted])
    computed = [np.asarray(3, np.int32), np.asarray(1, np.int32)]
    check("STABLEHLO_DYNAMIC_UPDATE_SLICE", x, update, *computed, expected=[wanted])
