"""Statistics of weights: extremes, mean, deviation, zeros and a histogram, taken block by block from the file."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.memory import blocks

BINS = 32


def weight_statistics(data: Any) -> dict[str, Any] | None:
    """Count, min, max, mean, std, zeros, number of values that are not finite, and a histogram of the finite ones.

    None for what has no numbers. Plain values only, as for JSON; sums are taken in float64.
    """
    if not isinstance(data, np.ndarray) or not data.size or data.dtype.kind in "OSUc":
        return None
    low, high, total, squares, zeros, finite = np.inf, -np.inf, 0.0, 0.0, 0, 0
    for block in blocks(data):
        values = _finite(block)
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            total += float(values.sum())
            squares += float(np.square(values).sum())
            zeros += int(values.size - np.count_nonzero(values))
            finite += values.size
    result: dict[str, Any] = {"count": int(data.size), "zeros": zeros, "not_finite": int(data.size) - finite}
    if not finite:
        return result
    mean = total / finite
    result |= {"min": low, "max": high, "mean": mean, "std": max(squares / finite - mean * mean, 0.0) ** 0.5}
    if low < high and np.isfinite(high - low) and np.isfinite(squares):
        histogram = np.zeros(BINS, np.int64)
        for block in blocks(data):
            histogram += np.histogram(_finite(block), BINS, (low, high))[0]
        result["histogram"] = histogram.tolist()
    return {key: value for key, value in result.items() if not isinstance(value, float) or np.isfinite(value)}


def _finite(block: Any) -> Any:
    """The finite values of a block in float64."""
    values = block.astype(np.float64)
    return values if np.isfinite(values).all() else values[np.isfinite(values)]
