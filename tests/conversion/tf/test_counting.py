"""Counts and insertion points against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, random
from ...support.tf_programs import raw
from .checks import check

NONE = np.zeros(0, np.float32)


@pytest.mark.parametrize("shape", [(20,), (3, 7)])
@pytest.mark.parametrize("form", ["plain", "binary", "weights", "integers"])
def test_counts(shape: tuple[int, ...], form: str) -> None:
    x = integers(*shape, low=0, high=8, dtype=np.int32)  # some are not below the size
    weights: Any = NONE
    if form == "integers":
        weights = np.zeros(0, np.int32)
    if form == "weights":
        check(lambda x, w: raw.DenseBincount(input=x, size=6, weights=w, binary_output=False), x, random(*shape))
        weights = random(*shape)
    check(lambda x: raw.DenseBincount(input=x, size=6, weights=weights, binary_output=form == "binary"), x)


@pytest.mark.parametrize("weights", [NONE, np.zeros(0, np.int64), random(3, 7)], ids=str)
def test_counts_of_all(weights: Any) -> None:
    x = integers(3, 7, low=0, high=8, dtype=np.int32)
    check(lambda x: raw.Bincount(arr=x, size=6, weights=weights), x)


@pytest.mark.parametrize(("low", "high", "count"), [(-1.0, 1.0, 7), (0.0, 0.3, 10), (-2.5, 1.7, 100), (0.0, 5.0, 1)])
def test_histograms(low: float, high: float, count: int) -> None:
    steps = np.linspace(low, high, count + 1)[:, None] + np.float32([-1e-7, 0, 1e-7])  # at the bounds of bins, too
    x = np.concatenate([random(500, seed=count) * 3, steps.astype(np.float32).reshape(-1)])
    limits = np.float32([low, high])
    check(lambda x: raw.HistogramFixedWidth(values=x, value_range=limits, nbins=count), x, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_insertion_points(dtype: Any) -> None:
    rows = np.sort(integers(3, 9, low=-5, high=5, dtype=dtype), axis=1)
    values = integers(3, 6, low=-7, high=7, dtype=dtype)
    check(lambda r, v: raw.LowerBound(sorted_inputs=r, values=v), rows, values, rtol=0, atol=0)
    check(lambda r, v: raw.UpperBound(sorted_inputs=r, values=v, out_type=np.int64), rows, values, rtol=0, atol=0)
