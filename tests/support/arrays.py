"""Arrays: random ones, and the comparison of results with what is expected. Needs numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnef_tools.model.dtypes import nnef_dtype

Array = np.ndarray[Any, Any]


def random(*shape: int, seed: int = 0) -> Array:
    """Standard normal float32 numbers, the same for each shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def uniform(*shape: int, seed: int = 0) -> Array:
    """Float32 numbers in [-1, 1), the same for each shape and seed."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def integers(*shape: int, low: int = -9, high: int = 10, dtype: Any = np.int32, seed: int = 0) -> Array:
    """Integers in [low, high)."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def logicals(*shape: int, seed: int = 0) -> Array:
    """True or false."""
    return np.random.default_rng([seed, *shape]).random(shape) < 0.5


def channels_second(array: Array) -> Array:
    """The array with its last axis as the second one, if it has more than two."""
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def nnef_kind(dtype: np.dtype[Any]) -> str:
    """The NNEF type of items: logical, integer or scalar."""
    return nnef_dtype(dtype.type)


def numpy_kind(dtype: np.dtype[Any]) -> str:
    """The kind of items of numpy, which tells signed integers from unsigned ones."""
    return dtype.kind


def assert_agree(
    actual: Array,
    wanted: Array,
    *,
    rtol: float,
    atol: float,
    kind: Callable[[np.dtype[Any]], str] = numpy_kind,
    what: str = "",
) -> None:
    """Both have the same shape and kind of items, and values within the tolerances of `numpy.isclose`."""
    assert actual.shape == wanted.shape, what
    assert kind(actual.dtype) == kind(wanted.dtype), what
    np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=atol, err_msg=what)
