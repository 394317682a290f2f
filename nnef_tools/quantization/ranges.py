"""The range of a tensor that its codes cover, and the scale and zero point for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np

from ..errors import FormatError, UsageError
from ..execution.executor import Array
from ..execution.results.histogram import Histogram
from ..execution.results.statistics import Statistics

Method = Literal["min-max", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("min-max", "percentile", "mse")

_CANDIDATES = 64
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Codes:
    """A kind of codes. symmetric: is the range symmetric around 0?"""

    bits: int = 8
    signed: bool = False
    symmetric: bool = False

    @property
    def lowest(self) -> int:
        """The lowest code; one more than the type has, if 0 is to be in the middle."""
        return self.symmetric - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The highest code."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True)
class Observed:
    """What is known of the values of a tensor. mean: of samples, item by item, with a batch of 1."""

    statistics: Statistics
    histogram: Histogram | None = None
    mean: Array | None = None


def parameters(low: float, high: float, codes: Codes) -> tuple[float, int]:
    """Scale and zero point for a range, which is widened to contain 0; an empty one has the scale 1.

    scale = (high - low) / (levels - 1), zero point = round(lowest code - low / scale). The scale is that of float32.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if codes.symmetric:
        high = max(-low, high)
        low = -high
    if low == high:
        return 1.0, int(np.rint((codes.lowest + codes.highest) / 2)) if codes.symmetric else codes.lowest
    steps = codes.highest - codes.lowest
    scale = float(np.float32(min(max(high / steps - low / steps, _SMALLEST), _LARGEST)))
    zero = int(np.rint(codes.lowest - low / scale))
    return scale, min(max(zero, codes.lowest), codes.highest)


def find_range(
    name: str, seen: Observed, method: Method, codes: Codes, deviations: float | None, coverage: float
) -> tuple[float, float]:
    """The range of a tensor.

    'min-max': that of the values; 'percentile': that of `coverage` percent of them; 'mse': the one of the least mean
    squared error. deviations: the mean and so many standard deviations around it, within the range of the values.
    FormatError if the values are not finite, UsageError for a method that needs a histogram without one.
    """
    found = seen.statistics
    if not found.num:
        return 0.0, 0.0
    if not all(map(isfinite, (found.min, found.max, found.mean(), found.variance()))):
        raise FormatError(
            f"tensor '{name}' has no finite range: its values are from {found.min} to {found.max}",
            hint=f"leave out the operator that computes it: --exclude {name}",
        )
    if deviations is not None:
        spread = deviations * found.std()
        return max(found.min, found.mean() - spread), min(found.max, found.mean() + spread)
    if method == "min-max":
        return found.min, found.max
    if seen.histogram is None or not seen.histogram.counts.size:
        raise UsageError(
            f"--method {method} needs histograms, and the statistics of tensor '{name}' have none",
            hint="make them with execute --statistics FILE --histograms",
        )
    if method == "percentile":
        outside = (1 - coverage / 100) / (1 if found.min >= 0 or found.max <= 0 else 2)
        low = found.min if found.min >= 0 else seen.histogram.quantile(outside)
        high = found.max if found.max <= 0 else seen.histogram.quantile(1 - outside)
        return max(low, found.min), min(high, found.max)
    return _least_error(found.min, found.max, seen.histogram, codes)


def expected_error(histogram: Histogram, scale: float, zero_point: int, codes: Codes) -> tuple[float, float]:
    """The mean squared error of rounding values like those to codes, and the share of them that is outside the range.

    NaN for no values.
    """
    count = float(histogram.counts.sum())
    if not count:
        return float("nan"), float("nan")
    low, high = (codes.lowest - zero_point) * scale, (codes.highest - zero_point) * scale
    x = histogram.centers
    outside = (x < low - scale / 2) | (x > high + scale / 2)
    error = float((histogram.counts * _squared_errors(histogram, np.array([low]), np.array([scale]), codes)[0]).sum())
    return error / count, float(histogram.counts[outside].sum()) / count


def _squared_errors(histogram: Histogram, low: Array, scale: Array, codes: Codes) -> Array:
    """The squared error of the values of each bin, [candidates, bins], for ranges that start at `low` each."""
    x, low, scale = histogram.centers, low[:, None], scale[:, None]
    inside = np.clip(x, low, low + scale * (codes.highest - codes.lowest))
    rounding = np.where(
        scale >= 2 * histogram.width,
        np.square(inside - (low + np.rint((inside - low) / scale) * scale)),
        np.square(scale) / 12,  # that of evenly spread values, as bins are wider than steps
    )
    return np.asarray(np.square(x - inside) + rounding)


def _least_error(low: float, high: float, histogram: Histogram, codes: Codes) -> tuple[float, float]:
    """The range within the given one with the least error; each end in turn is moved towards 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    shares = np.linspace(1, 1 / _CANDIDATES, _CANDIDATES)
    ends = (high,) if codes.symmetric else (high, low, high, low)
    for k, _ in enumerate(ends):
        lows, highs = np.full(_CANDIDATES, low), np.full(_CANDIDATES, high)
        if codes.symmetric:
            highs = max(-low, high) * shares
            lows = -highs
        elif k % 2:
            lows = low * shares
        else:
            highs = high * shares
        pairs = [parameters(float(a), float(b), codes) for a, b in zip(lows, highs, strict=True)]
        starts = np.array([(codes.lowest - zero) * scale for scale, zero in pairs])
        scales = np.array([scale for scale, _ in pairs])
        errors = (_squared_errors(histogram, starts, scales, codes) * histogram.counts).sum(axis=1)
        best = int(np.argmin(errors))
        low, high = float(lows[best]), float(highs[best])
    return low, high
