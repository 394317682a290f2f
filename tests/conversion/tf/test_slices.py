"""Slices and updates at computed places against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from ...support.arrays import integers, random
from ...support.tf_programs import tf
from .checks import check, refusal


def index(*items: int) -> Any:
    return np.asarray(items, np.int32)


@pytest.mark.parametrize("begin", [0, 2, 3])
def test_slice(begin: int) -> None:
    x, k = random(6, 5, 4), index(begin)
    check(lambda x, k: tf.slice(x, [k[0], 0, 0], [3, -1, -1]), x, k)
    check(lambda x, k: tf.slice(x, tf.stack([1, k[0], 0]), [3, 2, 4]), x, k)
    check(lambda x, k: tf.slice(x, [k[0], k[0] - k[0] + 1, k[0]], [2, 4, 1]), x, k)
    check(lambda x, k: tf.slice(x, k, [2]), integers(5), k)


def test_whole_axes_begin_at_zero() -> None:
    check(lambda x, k: tf.slice(x, k, [4, 1]) + 0.0, random(4, 5), index(0, 3), ops=["slice", "gather", "add"])


def test_slice_of_computed_size() -> None:
    assert "depends on the data" in refusal(lambda x, k: tf.slice(x, [0, 0], k), random(3, 4), index(1, 2))
    assert "depends on the data" in refusal(lambda x, k: tf.slice(x, k, [-1, 2]), random(3, 4), index(1, 2))


@pytest.mark.parametrize("at", [-4, -1, 0, 3])
def test_position(at: int) -> None:
    x, k = random(4, 5, 6), np.asarray(at, np.int32)
    check(lambda x, k: x[k], x, k)
    check(lambda x, k: x[:, k, 1:3], x, k)
    check(lambda x, k: x[..., k], x, k)
    check(lambda x, k: x[1:, tf.newaxis, k], x, k)
    check(lambda x, k: x[k, ..., k], x, k)
    check(lambda x, k: x[k], integers(4, 2), k.astype(np.int64))


@pytest.mark.parametrize("at", [0, 1, 2])
def test_range(at: int) -> None:
    x, k = random(6, 7, 5), np.asarray(at, np.int32)
    check(lambda x, k: x[k : k + 3], x, k)
    check(lambda x, k: x[k + 1 : 2 + k], x, k)
    check(lambda x, k: x[:, k : k + 5 : 2, ..., -1], x, k)
    check(lambda x, k: x[:, k + 4 : k : -1], x, k)
    check(lambda x, k: x[tf.newaxis, ..., k - 0 : k + 2], x, k)
    check(lambda x, k: x[tf.cast(k, tf.int64) : tf.cast(k, tf.int64) + 3], x, k)


def test_range_that_counts_from_the_end() -> None:
    check(lambda x, k: x[k : k + 2], random(5, 3), np.asarray(-4, np.int32))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_numbers_from_a_computed_one(dtype: Any) -> None:
    k = np.asarray(3, dtype)
    check(lambda k: tf.range(k, k + 4), k)
    check(lambda x, k: tf.gather(x, tf.range(k - 1, k - 7, -2) + 2), random(8, 3), k)
    assert "depends on the data" in refusal(lambda k: tf.range(k), k)


@pytest.mark.parametrize(
    "program",
    [
        lambda x, k: x[k:],
        lambda x, k: x[:k],
        lambda x, k: x[k : 2 * k],
        lambda x, k: x[k : k + tf.cast(tf.reduce_sum(x), tf.int32)],
    ],
)
def test_range_of_computed_length(program: Any) -> None:
    assert "depends on the data: the length of the range" in refusal(program, random(5, 3), np.asarray(1, np.int32))


def compiled(program: Any) -> Any:
    """The program in XLA: other executors of TensorFlow have no kernels for its operators."""
    return tf.function(program, jit_compile=True)


def xla_slice(x: Any, start: Any, sizes: Any) -> Any:
    return gen_xla_ops.xla_dynamic_slice(x, start, np.asarray(sizes, np.int32))


def xla_update(x: Any, update: Any, start: Any) -> Any:
    return gen_xla_ops.xla_dynamic_update_slice(x, update, start)


STARTS = [(0, 0, 0), (1, 2, 3), (3, 4, 5), (-2, 1, 9)]
SIZES = [(2, 3, 4), (4, 1, 6), (4, 5, 6), (1, 5, 6), (4, 5, 3)]


def expect(program: Any, *inputs: Any, **options: Any) -> Any:
    expected = [np.asarray(compiled(program)(*map(tf.constant, inputs)))]
    return check(program, *inputs, expected=expected, **options)


@pytest.mark.parametrize("start", STARTS)
def test_dynamic_slice(start: Any) -> None:
    x, k = random(4, 5, 6), index(*start)
    for size in SIZES:
        expected = [np.asarray(compiled(xla_slice)(x, k, size))]
        check(lambda x, k, size=size: xla_slice(x, k, size), x, k, expected=expected)
        check(lambda x, size=size: xla_slice(x, k, size) + 0.0, x, expected=expected)


@pytest.mark.parametrize("start", STARTS)
def test_dynamic_update_slice(start: Any) -> None:
    x, k = random(4, 5, 6), index(*start)
    for size in SIZES:
        update = random(*size, seed=1)
        expect(xla_update, x, update, k)
        expect(lambda x, update: xla_update(x, update, k) + 0.0, x, update)
        expect(lambda x, update, k: xla_update(x, update, tf.stack([0, k[1], 0])), x, update, k)


def test_cache() -> None:
    """An item written to a cache is one selection."""
    x, update, k = random(1, 6, 2, 3), random(1, 1, 2, 3, seed=1), index(4)
    written = lambda x, update, k: xla_update(x, update, tf.stack([0, k[0], 0, 0]))  # noqa: E731
    result = expect(written, x, update, k)
    assert result.ops.count("select") == 1 and "scatter_nd" not in result.ops
    expect(written, x > 0, update > 0, k)
    expect(written, integers(1, 6, 2, 3), integers(1, 1, 2, 3, seed=1), k)
