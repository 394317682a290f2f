"""NNEF to TensorFlow: regions of interest and sampling at positions that are computed when the model runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ...compose.roi import avg_roi_pool, interpolated, max_roi_pool, roi_resample
from ...engine.rules import from_nnef
from ..building import TfBuilder, cast, elementwise, scalar, select, shape, slice_ranges, squeeze


def _add(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return elementwise(b, "AddV2", x, y)


def _sub(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return elementwise(b, "Sub", x, y)


def _mul(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return elementwise(b, "Mul", x, y)


from_nnef("tf", "avg_roi_pool")(avg_roi_pool)
from_nnef("tf", "max_roi_pool")(max_roi_pool)
from_nnef("tf", "roi_resample")(roi_resample)

# sampling at a grid

CUBIC = -0.75
"""The coefficient of cubic interpolation."""


@from_nnef("tf", "grid_sample")
def grid_sample(
    b: TfBuilder, input: Tensor, grid: Tensor, *, mode: str, padding_mode: str, align_corners: bool
) -> Tensor:
    """grid_sample: weighted sums of GatherV2 at the elements around each position."""
    batch, _, *extents = shape(input)
    last = len(shape(grid)) - 1
    axes = []
    for axis, extent in enumerate(extents):
        k = len(extents) - 1 - axis
        unit = squeeze(b, slice_ranges(b, grid, {last: range(k, k + 1)}), [last])
        # (unit + 1) / 2 * (extent - 1), or ((unit + 1) * extent - 1) / 2
        scale = (extent - 1) / 2 if align_corners else extent / 2
        source = _add(b, _mul(b, unit, scalar(b, scale)), scalar(b, (extent - 1) / 2))
        if mode != "cubic":
            source = _bounded(b, source, extent, padding_mode, align_corners)
        axes.append([_tap(b, *tap, extent, padding_mode, align_corners) for tap in _grid_taps(b, source, mode)])
    images = b.constant(np.arange(batch).reshape([-1] + [1] * (last - 1)), np.int64)
    return interpolated(b, input, images, axes)


def _bounded(b: TfBuilder, x: Tensor, extent: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Coordinates after the continuation of the input; those of 'zeros' stay outside."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, high = (0.0, extent - 1.0) if align_corners else (-0.5, extent - 0.5)
        period = scalar(b, 2 * (high - low))
        if high > low:
            offset = elementwise(b, "FloorMod", _sub(b, x, scalar(b, low)), period)
            x = _add(b, elementwise(b, "Minimum", offset, _sub(b, period, offset)), scalar(b, low))
    return _clipped(b, x, extent)


def _clipped(b: TfBuilder, x: Tensor, extent: int) -> Tensor:
    return elementwise(b, "ClipByValue", x, scalar(b, 0.0), scalar(b, extent - 1))


def _grid_taps(b: TfBuilder, x: Tensor, mode: str) -> list[tuple[Tensor, Tensor]]:
    """Positions, still real numbers, and weights for each coordinate of an axis."""
    if mode == "nearest":
        return [(elementwise(b, "Round", x), scalar(b, 1.0))]
    base = elementwise(b, "Floor", x)
    rest = _sub(b, x, base)
    if mode == "linear":
        return [(base, _sub(b, scalar(b, 1.0), rest)), (_add(b, base, scalar(b, 1.0)), rest)]
    # Keys' kernel at the distances 1 + t, t, 1 - t and 2 - t, as polynomials of t: lowest power first
    a = CUBIC
    kernels = ((0, a, -2 * a, a), (1, 0, -a - 3, a + 2), (0, -a, 2 * a + 3, -a - 2), (0, 0, a, -a))
    return [
        (_add(b, base, scalar(b, k)), _polynomial(b, rest, kernel))
        for k, kernel in zip((-1, 0, 1, 2), kernels, strict=True)
    ]


def _polynomial(b: TfBuilder, x: Tensor, coefficients: Sequence[float]) -> Tensor:
    result = scalar(b, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = _add(b, _mul(b, result, x), scalar(b, coefficient))
    return result


def _tap(
    b: TfBuilder, position: Tensor, weight: Tensor, extent: int, padding_mode: str, align_corners: bool
) -> tuple[Tensor, Tensor]:
    """An integer position inside the input, and the weight that it then has."""
    if padding_mode == "zeros":
        lowest = elementwise(b, "GreaterEqual", position, scalar(b, 0.0), dtype=np.bool_)
        highest = elementwise(b, "Less", position, scalar(b, extent), dtype=np.bool_)
        inside = elementwise(b, "LogicalAnd", lowest, highest)
        weight = select(b, inside, weight, scalar(b, 0.0))
    bounded = _clipped(b, _bounded(b, position, extent, padding_mode, align_corners), extent)
    index = cast(b, bounded, np.int64)
    return index, weight if shape(weight) else _mul(b, elementwise(b, "OnesLike", position), weight)
