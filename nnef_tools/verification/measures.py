"""Measures of the distance of two arrays, besides those of `compare_outputs`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..execution.executor import Array

WORST_CHANNELS = 3
"""How many channels are named."""

NEAR_ZERO = 2.0**-10
"""The part of the largest item below which the units of items are no smaller."""


@dataclass(frozen=True)
class QuantizationNoise:
    """The noise of a quantized tensor against the real one.

    snr: 10 log10(sum of squares of the real items / sum of squares of their errors) in dB; infinite without errors.
    clipped: the share of the real items outside of the range of the codes, None if the tensor has no codes.
    channels: the channels with the lowest signal-to-noise ratio, and these; empty without channels.
    """

    snr: float
    clipped: float | None
    channels: tuple[tuple[int, float], ...]


def quantization_noise(
    expected: Array, result: Array, limits: tuple[float, float] | None, axis: int
) -> QuantizationNoise:
    """The noise of real values of a quantized tensor. limits: the range of its codes. axis: that of channels."""
    a, b = np.asarray(expected, np.float64), np.asarray(result, np.float64)
    clipped = None if limits is None or not a.size else float(np.mean((a < limits[0]) | (a > limits[1])))
    channels: list[tuple[int, float]] = []
    if a.ndim > 1 and a.shape[axis] > 1:
        pairs = zip(np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0), strict=True)
        channels = sorted(((k, _snr(x, y)) for k, (x, y) in enumerate(pairs)), key=lambda item: item[1])
    return QuantizationNoise(_snr(a, b), clipped, tuple(channels[:WORST_CHANNELS]))


def _snr(a: Array, b: Array) -> float:
    signal, noise = float(np.sum(a * a)), float(np.sum((a - b) ** 2))
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def ulps(expected: Array, result: Array) -> float | None:
    """The largest error of an item in units in its last place, of the narrower type; None for other than float items.

    Items below NEAR_ZERO of the largest one count in the units there: they come from the subtraction of larger numbers,
    or nothing depends on them.
    """
    if expected.dtype.kind != "f" or result.dtype.kind != "f" or expected.shape != result.shape:
        return None
    dtype = min(expected.dtype, result.dtype, key=lambda item: item.itemsize)
    a, b = (np.asarray(value, np.float64) for value in (expected, result))
    finite = np.isfinite(a) & np.isfinite(b)
    sizes = np.abs(a[finite])
    with np.errstate(over="ignore"):
        units = np.spacing(np.maximum(sizes, NEAR_ZERO * sizes.max(initial=0.0)).astype(dtype)).astype(np.float64)
    errors = np.abs(a[finite] - b[finite])
    usable = np.isfinite(units)
    return float(np.max(errors[usable] / units[usable], initial=0.0))
