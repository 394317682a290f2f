"""Resampling by constant linear maps of axes: standard operations where these compute the same, else weighted sums."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...model import Tensor
from ...model.dtypes import nnef_dtype
from ...ops.resize import AxisMap, linear_neighbors
from ..building.nnef import Builder
from ..building.shapes import shape
from ..maths.generated import positions
from .axis_maps import take, weighted_sum

TOLERANCE = 1e-6
"""Largest difference of equal weights: coordinates in float32 are rounded."""

Operations = tuple[tuple[str, dict[str, str]], ...]

_PICKING: Operations = (("nearest_upsample", {}), ("nearest_downsample", {}))
_WEIGHTING: Operations = (
    *(("multilinear_upsample", {"method": m, "border": "replicate"}) for m in ("symmetric", "asymmetric", "aligned")),
    ("nearest_downsample", {}),
    ("area_downsample", {}),
)


def standard_resampling(b: Builder, x: Tensor, maps: Mapping[int, AxisMap]) -> Tensor | None:
    """The standard operation that applies all maps (axis -> map), or None. Channels must be in second place for it."""
    rank = len(shape(x))
    if rank < 3 or nnef_dtype(x.dtype) != "scalar" or min(maps) < 2:
        return None
    extents = shape(x)
    for name, attribs in _PICKING if all(m.weights is None for m in maps.values()) else _WEIGHTING:
        if all(_equals(name, attribs.get("method", ""), m) for m in maps.values()):
            factors = [_ratio(maps[k].size, extents[k]) if k in maps else 1 for k in range(2, rank)]
            return b.single(name, x, factor=factors, **attribs)
    return None


def resampled(b: Builder, x: Tensor, maps: Mapping[int, AxisMap]) -> Tensor:
    """x with the maps (axis -> map) applied, an axis after the other."""
    for axis, m in maps.items():
        x = take(b, x, axis, m.positions[:, 0]) if m.weights is None else weighted_sum(b, x, axis, m)
    return x


def _ratio(size: int, extent: int) -> int:
    return max(extent // size, size // extent)


def _equals(name: str, method: str, axis_map: AxisMap) -> bool:
    """Does the standard operation compute the same along an axis?"""
    size, extent = axis_map.size, axis_map.extent
    if (size % extent if "upsample" in name else extent % size) != 0:
        return False
    own, standard = axis_map.merged(), _standard_map(name, method, extent, _ratio(size, extent)).merged()
    assert own.weights is not None and standard.weights is not None
    difference = AxisMap(
        extent, np.hstack([own.positions, standard.positions]), np.hstack([own.weights, -standard.weights])
    ).merged()
    assert difference.weights is not None
    return bool(np.all(np.abs(difference.weights) <= TOLERANCE))


def _standard_map(name: str, method: str, extent: int, factor: int) -> AxisMap:
    """What a standard operation does along an axis; linear interpolation with a replicated border."""
    if name == "multilinear_upsample":
        low, high, weight = linear_neighbors(extent, factor, method)
        positions = np.clip(np.stack([low, high], axis=1), 0, extent - 1)
        return AxisMap(extent, positions, np.stack([1 - weight, weight], axis=1))
    if name == "area_downsample":
        cells = np.arange(extent).reshape(-1, factor)
        return AxisMap(extent, cells, np.full(cells.shape, 1 / factor))
    if name == "nearest_upsample":
        return AxisMap(extent, np.arange(extent * factor)[:, None] // factor)
    return AxisMap(extent, np.arange(0, extent, factor)[:, None])


def corners_in_place(extent: int, size: int) -> AxisMap:
    """Linear interpolation whose first and last items stay in place; as Caffe computes it, in single precision."""
    step = np.float32(extent - 1) / np.float32(size - 1) if size > 1 else np.float32(0)
    place = positions(size).astype(np.float32) * step
    low = place.astype(np.int64)
    part = (place - low).astype(np.float64)
    high = np.minimum(low + 1, extent - 1)
    return AxisMap(extent, np.stack([low, high], axis=1), np.stack([1 - part, part], axis=1))
