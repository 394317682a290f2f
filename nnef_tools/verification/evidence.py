"""Judges how much an output proves: one that varies with the inputs shows errors, one that does not hides them."""

from __future__ import annotations

import numpy as np

from ..execution.executor import Array
from .exact import ROUNDING

VARIATION_TOLERANCE = 1e-3
"""The error, relative to the variation over the inputs, that is accepted as rounding without further checks."""

SATURATED_SHARE = 0.99
"""The share of items at the two ends of the range of an output from which on it counts as saturated."""

END_WIDTH = 1e-6
"""The distance from an end of the range, relative to the range, up to which an item counts as at the end."""

NOT_FINITE_SHARE = 0.5
"""The share of infinite or NaN items from which on an output proves little."""


class Evidence:
    """The values that an output of the reference has for different inputs. Only the range of each item is kept."""

    def __init__(self) -> None:
        self._low: Array = np.empty(0)
        self._high: Array = np.empty(0)
        self._is_real = False
        self._count = 0
        self._items = self._special = self._at_ends = 0

    def add(self, value: Array) -> None:
        """Takes the output of a run into account. Its shape is the same in all runs."""
        self._is_real = value.dtype.kind not in "biu"
        value = np.asarray(value, np.float64)
        finite = np.isfinite(value)
        low, high = np.where(finite, value, np.inf), np.where(finite, value, -np.inf)
        self._low = np.fmin(self._low, low) if self._count else low
        self._high = np.fmax(self._high, high) if self._count else high
        self._count += 1
        self._items += value.size
        self._special += value.size - int(finite.sum())
        self._at_ends += _count_at_ends(value[finite])

    @property
    def scale(self) -> float:
        """The largest magnitude of a finite item."""
        return max(-float(self._low.min(initial=0.0)), float(self._high.max(initial=0.0)))

    @property
    def variation(self) -> float | None:
        """The largest range of the values of one item over the runs; None after a single run."""
        if self._count < 2:
            return None
        known = self._low <= self._high
        return float((self._high[known] - self._low[known]).max(initial=0.0))

    def weakness(self, step: float | None = None) -> str | None:
        """Why the output proves little, as the rest of a sentence that starts with its name; None if it proves enough.

        step: the error that is accepted in quantized models.
        """
        variation = self.variation
        if not self._items:
            return "has no items"
        if self._special == self._items:
            return "is infinite or not a number everywhere"
        if self.scale == 0.0:
            return "is all zeros"
        if variation == 0.0:
            return "is the same for all inputs"
        if self._special > NOT_FINITE_SHARE * self._items:
            return f"is infinite or not a number in {self._special / self._items:.0%} of its items"
        if self._is_real and variation is not None:
            resolution = max(ROUNDING * self.scale, step or 0.0)
            if step is not None and step >= variation:
                return f"varies by {variation:.2g}, less than the error of {step:.2g} that is accepted"
            if resolution > VARIATION_TOLERANCE * variation and step is None:
                return f"hardly varies: by {variation / self.scale:.1e} of its magnitude, close to rounding"
        if self._is_real and self._at_ends > SATURATED_SHARE * self._items:
            return "is saturated: nearly all items are at one of its two ends"
        return None


def _count_at_ends(items: Array) -> int:
    """The number of finite items at the largest or smallest value; 0 if there are few items, or one value only."""
    if items.size < 8:
        return 0
    low, high = float(items.min()), float(items.max())
    near = END_WIDTH * (high - low)
    return int(np.count_nonzero((items <= low + near) | (items >= high - near))) if low < high else 0
