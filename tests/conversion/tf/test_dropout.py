"""Dropout of TensorFlow 1 whose rate is the default of an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ...support.arrays import random
from ...support.tf_programs import tf
from .checks import check, refusal

tf1 = tf.compat.v1


def default(value: float, dtype: Any = np.float32) -> Any:
    return tf1.placeholder_with_default(dtype(value), [])


def by_hand(x: Any, keep: float) -> Any:
    """As TensorFlow 1 wrote it before version 1.13."""
    keep_prob = default(keep)
    return tf1.div(x, keep_prob) * tf.floor(keep_prob + tf1.random_uniform(tf.shape(x)))


KEEPING: list[Callable[[Any], Any]] = [
    lambda x: tf1.nn.dropout(x, keep_prob=default(1)),
    lambda x: tf1.nn.dropout(x, rate=default(0)),
    lambda x: tf1.nn.dropout(x, rate=default(0), noise_shape=[3, 1]),
    lambda x: tf.nn.experimental.stateless_dropout(x, default(0), seed=[1, 2]),
    lambda x: by_hand(x, 1),
]


@pytest.mark.parametrize("program", KEEPING)
def test_dropout_that_keeps_everything(program: Callable[[Any], Any]) -> None:
    check(lambda x: tf.exp(program(tf.abs(x))), random(3, 4), ops=["abs", "exp"])
    check(program, random(3, 4), ops=["copy"])


def test_dropouts_behind_each_other() -> None:
    """Where a batch is open, the shape of a mask is computed from a tensor that may be behind another dropout."""

    def program(x: Any) -> Any:
        for _ in range(3):
            mask = tf.floor(default(1) + tf1.random_uniform(tf.raw_ops.Shape(input=x)))
            x = tf.abs(tf.exp(x / default(1) * mask))
        return x

    check(program, random(3, 4), ops=["exp", "abs"] * 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions(dtype: Any) -> None:
    check(lambda x: tf1.nn.dropout(x, rate=default(0, dtype)) * 2.0, random(3, 4).astype(dtype), ops=["mul"])


@pytest.mark.parametrize(
    "program",
    [
        lambda x: tf1.nn.dropout(x, rate=default(0.25)),
        lambda x: by_hand(x, 0.5),
        lambda x: x * tf1.random_uniform([3, 4]),
        lambda x: tf.floor(tf1.random_uniform([2, 3, 4]) + 1.0) * x,  # it would change the shape
        lambda x: (
            x * tf.cast(tf.cast(tf1.random_uniform([3, 4]) * 0.5 + 0.25, tf.int32) >= 0, tf.float32)
            + x * tf.cast(tf.cast(tf1.random_uniform([3, 4]) * 0.5 + 0.5, tf.int32) >= tf.constant(1), tf.float32)
        ),
    ],
)
def test_random_numbers_that_decide(program: Callable[[Any], Any]) -> None:
    assert "the result is random" in refusal(program, random(3, 4))
