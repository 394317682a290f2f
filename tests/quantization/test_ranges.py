"""Ranges, scales and zero points against numbers worked out by hand, and histograms against numpy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nnef_tools.errors import FormatError, UsageError
from nnef_tools.execution.results.histogram import BINS, Histogram
from nnef_tools.execution.results.statistics import Statistics
from nnef_tools.quantization.ranges import Codes, Observed, expected_error, find_range, parameters


@pytest.mark.parametrize(
    ("low", "high", "codes", "scale", "zero_point"),
    [
        (-1.0, 1.55, Codes(), 0.01, 100),  # 2.55 / 255; 0 + 1 / 0.01
        (-1.0, 1.55, Codes(signed=True), 0.01, -28),  # -128 + 100
        (0.5, 5.1, Codes(), 0.02, 0),  # widened to 0
        (-5.1, -0.5, Codes(), 0.02, 255),
        (-1.0, 2.54, Codes(signed=True, symmetric=True), 0.02, 0),  # 2.54 / 127
        (-2.55, 1.0, Codes(symmetric=True), 0.02, 128),
        (-65.535, 0.0, Codes(16), 0.001, 65535),
        (0.0, 32.767, Codes(16, signed=True, symmetric=True), 0.001, 0),
        (0.0, 0.0, Codes(), 1.0, 0),
        (0.0, 0.0, Codes(signed=True, symmetric=True), 1.0, 0),
    ],
)
def test_scale_and_zero_point(low: float, high: float, codes: Codes, scale: float, zero_point: int) -> None:
    found = parameters(low, high, codes)
    assert found == (pytest.approx(scale, rel=1e-6), zero_point)


def test_ranges_of_a_known_distribution() -> None:
    """0, 0.001, .., 0.999 a hundred times, and one value of 100."""
    values = np.concatenate([np.tile(np.arange(1000) / 1000, 100), [100.0]])
    seen = Observed(Statistics.of(values), Histogram.of(values))
    assert find_range("x", seen, "min-max", Codes(), None, 0) == (0, 100)
    low, high = find_range("x", seen, "percentile", Codes(), None, 50)
    assert low == 0 and high == pytest.approx(0.5, abs=0.1)
    mean, std = values.mean(), values.std(ddof=1)
    assert find_range("x", seen, "min-max", Codes(), 2.0, 0) == pytest.approx((0.0, mean + 2 * std))
    assert find_range("x", seen, "min-max", Codes(), 1000.0, 0) == (0, 100)


def test_least_error_is_that_of_a_search() -> None:
    values = np.random.default_rng(0).standard_t(3, 50000).astype(np.float32)
    seen = Observed(Statistics.of(values), Histogram.of(values))
    codes = Codes(8, signed=True, symmetric=True)

    def error(high: float) -> float:
        scale = high / 127
        return float(np.square(values - np.clip(np.rint(values / scale), -127, 127) * scale).mean())

    _, high = find_range("x", seen, "mse", codes, None, 0)
    best = min(error(share * float(np.abs(values).max())) for share in np.linspace(0.01, 1, 100))
    assert error(high) <= best * 1.02
    scale, zero_point = parameters(-high, high, codes)
    assert seen.histogram is not None
    assert expected_error(seen.histogram, scale, zero_point, codes)[0] == pytest.approx(error(high), rel=0.05)


def test_what_has_no_range_is_refused() -> None:
    with pytest.raises(FormatError, match="no finite range"):
        find_range("x", Observed(Statistics.of(np.array([1.0, np.inf]))), "min-max", Codes(), None, 0)
    with pytest.raises(UsageError, match="needs histograms"):
        find_range("x", Observed(Statistics.of(np.array([1.0]))), "mse", Codes(), None, 0)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_histogram_of_parts_is_that_of_all(scale: float) -> None:
    random = np.random.default_rng(1)
    parts = [random.normal(k, 3.0**k, 500) * scale for k in (0, 5, -2, 3)]
    parts += [np.zeros(7), np.array([np.nan, np.inf]), np.zeros(0)]
    totals = []
    for order in (parts, parts[::-1]):
        total = Histogram()
        for part in order:
            total += Histogram.of(part)
        totals.append(total)
    first, second = totals
    assert (first.exponent, first.first, first.counts.tolist()) == (
        second.exponent,
        second.first,
        second.counts.tolist(),
    )
    values = np.concatenate([part[np.isfinite(part)] for part in parts])
    edges = (first.first + np.arange(first.counts.size + 1)) * first.width
    assert first.counts.size <= BINS and first.counts.sum() == values.size
    np.testing.assert_array_equal(np.histogram(values, edges)[0], first.counts)
    again = Histogram.from_json(json.loads(json.dumps(first.to_json())))
    assert (again.exponent, again.first, again.counts.tolist()) == (first.exponent, first.first, first.counts.tolist())


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"exponent": 10**9, "first": 0, "counts": "1"},
        {"exponent": 1, "first": 1e300, "counts": "1"},
        {"exponent": 1, "first": 0, "counts": "1 -1"},
        {"exponent": 1, "first": 0, "counts": "1 " * 3000},
        {"exponent": 1, "first": 0, "counts": [1]},
    ],
)
def test_damaged_histograms_are_refused(value: object) -> None:
    with pytest.raises(FormatError):
        Histogram.from_json(value)
