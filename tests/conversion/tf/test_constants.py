"""Operators that NNEF cannot express, on constants, against TensorFlow; constants that models compute from nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ...support.arrays import random
from ...support.tf_programs import raw, tf
from .checks import check, refusal

X = random(2, 3)
MATRIX = random(3, 3).T @ random(3, 3) + np.eye(3, dtype=np.float32)
RIGHT = random(3, 2)


def _added(value: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda x: tf.cast(value(), tf.float32) + tf.reshape(x, [2, 3])[0, 0]


FUNCTIONS: dict[str, Callable[[], Any]] = {
    "i0": lambda: tf.math.bessel_i0(tf.constant([0.0, -0.5, 7.9, 8.1, 30.0])),
    "i0e": lambda: tf.math.bessel_i0e(tf.constant([0.0, -0.5, 7.9, 8.1, 599.0, 601.0, 1e6])),
    "lgamma": lambda: tf.math.lgamma(tf.constant([0.5, 3.0, -0.5, 100.0])),
    "erfinv": lambda: tf.math.erfinv(tf.constant([0.0, 0.3, -0.999, 1e-6])),
    "ndtri": lambda: tf.math.ndtri(tf.constant([0.5, 0.01, 0.99999])),
    "nextafter": lambda: (tf.math.nextafter(tf.constant([1.0, -1.0]), 2.0) - [1.0, -1.0]) * 1e7,
    "popcount": lambda: tf.raw_ops.PopulationCount(x=tf.constant([-1, 5, 0], tf.int16)),
    "cholesky": lambda: tf.linalg.cholesky(MATRIX),
    "solve": lambda: tf.linalg.solve(MATRIX, RIGHT),
    "solve adjoint": lambda: tf.linalg.solve(X[:, :2], X[:, 1:], adjoint=True),
    "triangular": lambda: tf.linalg.triangular_solve(MATRIX, RIGHT, lower=False),
    "triangular adjoint": lambda: tf.linalg.triangular_solve(MATRIX, RIGHT, adjoint=True),
    "determinant": lambda: tf.stack(raw.LogMatrixDeterminant(input=-MATRIX)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_constants(name: str) -> None:
    check(_added(FUNCTIONS[name]), X, rtol=2e-5, atol=1e-5)


def test_functions_of_data_are_refused() -> None:
    assert "no NNEF operation computes this function; of constants it is known" in refusal(tf.math.bessel_i0e, X)
    assert "no NNEF operation computes this function" in refusal(tf.linalg.cholesky, MATRIX)


def test_matrices_without_a_solution() -> None:
    singular = np.zeros((2, 2), np.float32)
    assert "the constant matrix has no solution" in refusal(lambda x: x + tf.linalg.cholesky(singular)[0, 0], X)


def test_constants_without_rule_can_be_folded() -> None:
    reason = refusal(lambda x: x + tf.math.digamma(tf.constant(2.0)), X)
    assert "its inputs are constants: --fold-constants lets TensorFlow, if it is installed, evaluate it" in reason
    assert "--fold-constants" not in refusal(tf.math.digamma, X)
    assert "--fold-constants" not in refusal(lambda x: x + tf.random.uniform([3]), X)


def _swin_mask() -> Any:
    """The mask of shifted windows in Swin transformers."""
    rows = tf.concat([tf.fill([4], 0.0), tf.fill([2], 1.0), tf.fill([2], 2.0)], 0)
    image = rows[:, None] * 3 + rows[None, :]
    windows = tf.reshape(tf.transpose(tf.reshape(image, [2, 4, 2, 4]), [0, 2, 1, 3]), [4, 16])
    difference = windows[:, None, :] - windows[:, :, None]
    return tf.where(difference != 0, -100.0, 0.0)


MADE: dict[str, Callable[[], Any]] = {
    "kaiser": lambda: tf.signal.kaiser_window(64),
    "kaiser bessel derived": lambda: tf.signal.kaiser_bessel_derived_window(64),
    "dct matrix": lambda: tf.signal.dct(tf.eye(40), norm="ortho"),
    "linspace": lambda: tf.linspace(-1.0, 3.0, 1500),
    "positions": lambda: tf.sin(tf.range(2000.0)[:, None] / tf.pow(1e4, tf.range(0.0, 8.0, 2.0) / 8.0)),
    "mel": lambda: tf.signal.linear_to_mel_weight_matrix(),
    "swin": _swin_mask,
}


@pytest.mark.parametrize("name", MADE)
def test_constants_that_models_make(name: str) -> None:
    result = check(lambda x: tf.reshape(x, [6])[0] + MADE[name](), X, rtol=1e-5, atol=1e-4, fold_constants=True)
    assert {"add"} <= set(result.ops) <= {"reshape", "slice", "squeeze", "add"}
