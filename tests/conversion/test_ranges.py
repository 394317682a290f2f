"""The range in which computed integers and truth values lie: the values of random expressions stay within it."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.building.nnef import Builder
from nnef_tools.conversion.compose.ranges import (
    ANY,
    TRUTH,
    Range,
    decided,
    implied,
    rounds_left,
    supposing,
    value_range,
)
from nnef_tools.model import Graph, Tensor

NUMBERS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "min": np.minimum, "max": np.maximum}
TESTS = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}
LOGICAL = {"and_": np.logical_and, "or_": np.logical_or}


def given(b: Builder, dtype: Any = np.int64, shape: tuple[int, ...] = (1,)) -> Tensor:
    """A tensor that is not constant."""
    return Tensor(b.graph, shape=shape, dtype=dtype)


def expression(b: Builder, rng: np.random.Generator, x: Tensor, value: Any, depth: int) -> tuple[Any, Any]:
    """A random integer expression of a number and what it computes for each of some values of it."""
    kind = rng.integers(0, 10 if depth else 2)
    if kind == 0:
        return x, value
    if kind == 1:
        number = rng.integers(-5, 6, 1)
        return b.constant(number), np.broadcast_to(number, value.shape)
    if kind == 2:
        (c, test), (p, first), (q, second) = (
            condition(b, rng, x, value, depth - 1),
            *(expression(b, rng, x, value, depth - 1) for _ in range(2)),
        )
        return b.select(c, p, q), np.where(test, first, second)
    if kind == 3:
        c, test = condition(b, rng, x, value, depth - 1)
        return b.cast(b.sum_reduce(b.cast(c, np.float32), axes=[0]), np.int64), test.astype(np.int64)
    if kind == 4:
        y, result = expression(b, rng, x, value, depth - 1)
        return b.cast(b.clamp(b.cast(y, np.float32), -2.0, 3.0), np.int64), np.clip(result, -2, 3)
    if kind == 5:
        y, result = expression(b, rng, x, value, depth - 1)
        number = float(rng.integers(1, 4))
        rounded = b.floor(b.div(b.cast(y, np.float32), number))
        return b.cast(b.abs(rounded), np.int64), np.abs(np.floor(result / number)).astype(np.int64)
    name = rng.choice(list(NUMBERS))
    (y, first), (z, second) = (expression(b, rng, x, value, depth - 1) for _ in range(2))
    return getattr(b, name)(y, z), NUMBERS[name](first, second)


def condition(b: Builder, rng: np.random.Generator, x: Tensor, value: Any, depth: int) -> tuple[Any, Any]:
    """The same for a truth value."""
    if depth and rng.integers(0, 3) == 0:
        name = rng.choice(list(LOGICAL))
        (y, first), (z, second) = (condition(b, rng, x, value, depth - 1) for _ in range(2))
        return getattr(b, name)(y, b.not_(z)), LOGICAL[name](first, np.logical_not(second))
    name = rng.choice(list(TESTS))
    (y, first), (z, second) = (expression(b, rng, x, value, max(depth - 1, 0)) for _ in range(2))
    return getattr(b, name)(y, z), TESTS[name](first, second)


def test_values_lie_in_the_range() -> None:
    rng = np.random.default_rng(0)
    bounded = known = 0
    for _ in range(200):
        b, values = Builder(Graph("test")), np.arange(-4, 7)
        x = b.cast(b.clamp(b.cast(given(b), np.float32), -4.0, 6.0), np.int64)
        is_test = rng.integers(0, 2)
        y, result = (expression, condition)[is_test](b, rng, x, values, 4)
        found = value_range(b, y)
        assert found is not None
        assert found.low <= np.min(result) <= np.max(result) <= found.high
        bounded += found not in (TRUTH, ANY)
        if is_test:
            truth = decided(b, y)
            assert truth is None or np.all(result == truth)
            known += truth is not None
            p, first = expression(b, rng, x, values, 4)
            q, second = expression(b, rng, x, values, 4)
            chosen, wanted = b.select(y, p, q), np.where(result, first, second)
            supposed = value_range(b, supposing(implied(b, y), chosen))
            assert supposed is not None
            held = wanted[np.broadcast_to(result, wanted.shape)]
            assert not held.size or supposed.low <= held.min() <= held.max() <= supposed.high
    assert bounded > 60
    assert known > 10


def test_what_is_not_known() -> None:
    b = Builder(Graph("test"))
    real, whole, truth = given(b, np.float32), given(b), given(b, np.bool_)
    assert (value_range(b, real), value_range(b, whole), value_range(b, truth)) == (None, ANY, TRUTH)
    assert value_range(b, b.min(real, 3.0)) is None  # NaN is no less than 4
    assert decided(b, b.lt(b.min(real, 3.0), 4.0)) is None
    assert decided(b, b.lt(b.min(whole, 3), 4)) is True
    assert value_range(b, b.min(whole, 2**25)) == ANY
    assert value_range(b, b.argmax_reduce(given(b, np.float32, (2, 5)), axes=[1])) == Range(0, 4)
    assert value_range(b, b.cast(real, np.int64)) == ANY
    assert value_range(b, b.cast(truth, np.float32)) == TRUTH


@pytest.mark.parametrize(("low", "high", "rounds"), [(1, 5, 4), (7, 5, -2)])
def test_rounds_that_are_left(low: int, high: int, rounds: int) -> None:
    b = Builder(Graph("test"))
    most, other = b.min(given(b), high), given(b, np.bool_)
    less = b.lt(b.max(given(b), low), most)
    assert rounds_left(b, less) == rounds
    assert rounds_left(b, b.and_(less, other)) == rounds
    assert rounds_left(b, b.not_(b.or_(b.not_(less), other))) == rounds
    assert rounds_left(b, b.or_(less, other)) == math.inf
    assert rounds_left(b, b.squeeze(b.unsqueeze(b.ge(most, low), axes=[0]), axes=[0])) == high - low
    assert rounds_left(b, other) == math.inf


def test_parts_that_cannot_hold_at_once() -> None:
    """A counter that only a break does not advance."""
    b = Builder(Graph("test"))
    stop = given(b, np.bool_)
    last = b.select(stop, b.constant([7]), b.constant([8]))
    goes_on = b.and_(b.lt(last, 8), b.not_(stop))
    assert value_range(b, goes_on) == TRUTH
    assert decided(b, goes_on) is False
    again = b.select(stop, b.constant([False]), b.lt(last, 9))
    assert decided(b, again) is None
    assert rounds_left(b, again) == 1
    supposed = supposing(implied(b, again), last)
    assert supposed.data == [8]


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.uint8, 0, 255), (np.int8, -128, 127), (np.uint32, 0, math.inf)])
def test_small_integers_wrap_around(dtype: Any, low: float, high: float) -> None:
    b = Builder(Graph())
    bounded = b.min(given(b, dtype), b.constant([8], dtype))
    assert value_range(b, bounded) == Range(low, 8)
    assert value_range(b, b.sub(bounded, b.constant([200 if low == 0 else 100], dtype))) == Range(low, high)
    assert value_range(b, b.cast(b.min(given(b), b.constant([8])), dtype)) == Range(low, high)


def test_real_numbers_are_rounded() -> None:
    b = Builder(Graph())
    third = np.float32(1) / np.float32(3)
    counted = b.sum_reduce(b.cast(given(b, np.bool_, (3,)), np.float32), axes=[0])
    assert value_range(b, b.floor(b.mul(counted, b.constant([np.nextafter(third, 0)], np.float32)))) == Range(0, 1)
    many = b.constant([2047.0], np.float16)
    assert value_range(b, b.add(b.cast(given(b, np.bool_), np.float16), many)) == Range(2047, 2048)
    assert value_range(b, b.add(b.cast(given(b, np.bool_), np.float16), b.add(many, many))) == Range(4094, math.inf)
    truths = b.cast(b.cast(given(b, np.bool_, (3,)), np.float32), np.float32)
    assert value_range(b, b.sum_reduce(b.add(truths, 2.0), axes=[0], normalize=True)) is None
