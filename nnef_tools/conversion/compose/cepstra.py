"""Matrices of speech front ends: bands that are equally wide in mel, and cosine transforms of their logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...budget import ask_constant
from ...errors import Unsupported
from ..maths.generated import filled, positions

Array = np.ndarray[Any, Any]


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(hertz / 700.0)


def mel_bands(bins: int, sample_rate: float, low: float, high: float, count: int) -> Array:
    """`[bins, count]` of the triangles of TensorFlow's Mfcc (mfcc_mel_filterbank.cc), as HTK has them; hertz.

    Unsupported for limits that the kernel refuses.
    """
    if count < 1 or sample_rate <= 0 or low < 0 or high <= low or bins < 2:
        raise Unsupported(f"{count} bands from {low} to {high} hertz at {sample_rate} hertz")
    matrix = filled([bins, count], 0, np.float64)
    width = 0.5 * sample_rate / (bins - 1)
    first, last = int(1.5 + low / width), int(high / width)
    if last >= bins:
        raise Unsupported(f"a spectrum of {bins} elements at {sample_rate} hertz ends below {high} hertz")
    start = _mel(low)
    centers = start + (_mel(high) - start) / (count + 1) * (positions(count + 1) + 1)
    edges = np.concatenate([[start], centers])
    places = np.arange(first, last + 1)
    mels = _mel(places * width)
    bands = np.searchsorted(centers[:count], mels)  # the band whose rising side a place is on; `count` for none
    falling = (edges[bands + 1] - mels) / (edges[bands + 1] - edges[bands])
    has_left, has_right = bands > 0, bands < count
    matrix[places[has_left], bands[has_left] - 1] = falling[has_left]
    matrix[places[has_right], bands[has_right]] = 1 - falling[has_right]
    return matrix


def cosine_matrix(bands: int, count: int) -> Array:
    """`[bands, count]`: the first coefficients of the cosine transform (type 2) of TensorFlow's Mfcc, mfcc_dct.cc."""
    if not 1 <= count <= bands:
        raise Unsupported(f"{count} coefficients of {bands} bands")
    ask_constant(bands * count)
    turns = (positions(bands)[:, None] + 0.5) * positions(count)[None, :] / bands
    matrix: Array = np.sqrt(2.0 / bands) * np.cos(np.pi * turns)
    return matrix
