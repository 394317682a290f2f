"""Histograms of streams of values, whose merging loses nothing: bins have widths of powers of two, and start at 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import FormatError

Array = np.ndarray[Any, Any]

BINS = 2048
"""The most bins of a histogram."""

_EXPONENTS = (-1200, 1100)  # of widths, from far below to above those that float64 needs
_LARGEST = 1 << 53  # of the numbers of bins, and of counts


class Histogram:
    """The counts of finite values in bins: bin `first + k` starts at (first + k) * width, with width = 2**exponent.

    The width doubles, pairs of bins becoming one, until there are at most BINS. So the histogram of all values is the
    sum of those of their parts, in any order.
    """

    def __init__(self, exponent: int = _EXPONENTS[0], first: int = 0, counts: Array | None = None) -> None:
        self.exponent = exponent
        self.first = first
        self.counts = np.zeros(0, np.int64) if counts is None else counts

    @classmethod
    def of(cls, array: Array) -> Histogram:
        """The histogram of all finite items of a numeric or logical array."""
        values = np.asarray(array, np.float64).reshape(-1)
        values = values[np.isfinite(values)]
        if not values.size:
            return cls()
        low, high = float(values.min()), float(values.max())
        # far from 0 the numbers of bins would get larger than integers of float64
        span = max(high / 2 - low / 2, max(abs(low), abs(high)) * 2.0**-30)
        exponent = max(int(np.frexp(span)[1]) + 1 - BINS.bit_length(), -1000) if span else _EXPONENTS[0]
        if not span:
            return cls(exponent, 0, np.array([values.size], np.int64))
        while np.floor(np.ldexp(high, -exponent)) - np.floor(np.ldexp(low, -exponent)) >= BINS:
            exponent += 1
        numbers = np.floor(np.ldexp(values, -exponent)).astype(np.int64)
        first = int(numbers.min())
        return cls(exponent, first, np.bincount(numbers - first).astype(np.int64))

    def __iadd__(self, other: Histogram) -> Histogram:
        if not other.counts.size:
            return self
        if not self.counts.size:
            self.exponent, self.first, self.counts = other.exponent, other.first, other.counts.copy()
            return self
        exponent = max(self.exponent, other.exponent)
        a, b = self._coarser(exponent), other._coarser(exponent)
        while max(a.first + a.counts.size, b.first + b.counts.size) - min(a.first, b.first) > BINS:
            exponent += 1
            a, b = a._coarser(exponent), b._coarser(exponent)
        first = min(a.first, b.first)
        counts = np.zeros(max(a.first + a.counts.size, b.first + b.counts.size) - first, np.int64)
        for part in (a, b):
            counts[part.first - first : part.first - first + part.counts.size] += part.counts
        self.exponent, self.first, self.counts = exponent, first, counts
        return self

    def _coarser(self, exponent: int) -> Histogram:
        """The same values in bins of that width, which is not less than the present one."""
        shift = exponent - self.exponent
        if not shift:
            return self
        last = self.first + self.counts.size
        numbers = np.array([number >> shift for number in range(self.first, last)], np.int64)
        counts = np.zeros(int(numbers[-1] - numbers[0]) + 1, np.int64)
        np.add.at(counts, numbers - numbers[0], self.counts)
        return Histogram(exponent, int(numbers[0]), counts)

    @property
    def width(self) -> float:
        """The width of a bin."""
        return float(np.ldexp(1.0, self.exponent))

    @property
    def centers(self) -> Array:
        """The middle of each bin, float64."""
        return np.asarray((self.first + np.arange(self.counts.size) + 0.5) * self.width)

    def quantile(self, share: float) -> float:
        """The value below which that share of the values is, from 0 to 1, linear within a bin; NaN for no values."""
        if not self.counts.size:
            return float("nan")
        total = np.concatenate([[0], np.cumsum(self.counts)])
        edges = (self.first + np.arange(self.counts.size + 1)) * self.width
        return float(np.interp(share * total[-1], total, edges))

    def to_json(self) -> dict[str, Any]:
        """The JSON form; the counts are a text of numbers, so that a file of many tensors can be read by people."""
        return {"exponent": self.exponent, "first": self.first, "counts": " ".join(map(str, self.counts.tolist()))}

    @classmethod
    def from_json(cls, value: Any) -> Histogram:
        """The histogram of a JSON form. FormatError if it is none."""
        if not isinstance(value, Mapping):
            raise FormatError("the histogram is not an object")
        exponent, first, text = (value.get(key) for key in ("exponent", "first", "counts"))
        if type(exponent) is not int or not _EXPONENTS[0] <= exponent <= _EXPONENTS[1]:
            raise FormatError(f"the histogram has no exponent from {_EXPONENTS[0]} to {_EXPONENTS[1]}")
        if type(first) is not int or abs(first) > _LARGEST or not isinstance(text, str) or len(text) > 20 * BINS:
            raise FormatError("the histogram lacks 'first' or 'counts', or they are too large")
        words = text.split()
        if len(words) > BINS or not all(word.isdecimal() and int(word) <= _LARGEST for word in words):
            raise FormatError(f"the counts of the histogram are not at most {BINS} numbers")
        with np.errstate(over="ignore"):
            ends = np.ldexp(np.array([first, first + len(words)], np.float64), exponent)
        if not np.all(np.isfinite(ends)):
            raise FormatError("the bins of the histogram are beyond the range of numbers")
        return cls(exponent, first, np.array([int(word) for word in words], np.int64))
