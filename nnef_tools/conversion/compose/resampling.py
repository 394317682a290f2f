"""Resampling of axes by constant linear maps: standard operations where these compute the same, else gathers and sums.

A map says what becomes of an axis: an array `[size]` of positions whose elements are picked, or a matrix of weights
`[size, extent]`, y[i] = sum over k of matrix[i, k] * x[k].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...model import Tensor
from ...model.dtypes import nnef_dtype
from ...ops.inference import evaluate
from ..building.nnef import Builder
from ..building.shapes import shape
from .axis_maps import Array, take, weighted_sum

TOLERANCE = 1e-6
"""Largest difference of equal weights: coordinates in float32 are rounded."""

Operations = tuple[tuple[str, dict[str, str]], ...]

_PICKING: Operations = (("nearest_upsample", {}), ("nearest_downsample", {}))
_WEIGHTING: Operations = (
    *(("multilinear_upsample", {"method": m, "border": "replicate"}) for m in ("symmetric", "asymmetric", "aligned")),
    ("nearest_downsample", {}),
    ("area_downsample", {}),
)


def is_identity(axis_map: Array, extent: int) -> bool:
    """Does the map leave an axis of that extent as it is?"""
    return len(axis_map) == extent and np.array_equal(
        axis_map, np.arange(extent) if axis_map.ndim == 1 else np.eye(extent)
    )


def standard_resampling(b: Builder, x: Tensor, maps: Mapping[int, Array]) -> Tensor | None:
    """The standard operation that applies all maps (axis -> map), or None. Channels must be in second place for it."""
    rank = len(shape(x))
    if rank < 3 or nnef_dtype(x.dtype) != "scalar" or min(maps) < 2:
        return None
    extents = shape(x)
    for name, attribs in _PICKING if all(m.ndim == 1 for m in maps.values()) else _WEIGHTING:
        if all(_equals(name, attribs, m, extents[axis]) for axis, m in maps.items()):
            factors = [_ratio(len(maps[k]), extents[k]) if k in maps else 1 for k in range(2, rank)]
            return b.single(name, x, factor=factors, **attribs)
    return None


def resampled(b: Builder, x: Tensor, maps: Mapping[int, Array]) -> Tensor:
    """x with the maps (axis -> map) applied, an axis after the other."""
    for axis, m in maps.items():
        x = take(b, x, axis, m) if m.ndim == 1 else weighted_sum(b, x, axis, m)
    return x


def _ratio(size: int, extent: int) -> int:
    return max(extent // size, size // extent)


def _equals(name: str, attribs: Mapping[str, Any], axis_map: Array, extent: int) -> bool:
    """Does the standard operation compute the same along an axis? Told by what it does to positions or unit vectors."""
    size = len(axis_map)
    if (size % extent if "upsample" in name else extent % size) != 0:
        return False
    probe = np.arange(extent, dtype=np.float64)[None] if axis_map.ndim == 1 else np.eye(extent)
    result = np.asarray(evaluate(name, [probe[None]], {"factor": [_ratio(size, extent)], **attribs}))[0]
    return bool(np.allclose(result, axis_map if axis_map.ndim == 1 else axis_map.T, rtol=0, atol=TOLERANCE))
