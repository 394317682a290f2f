"""NNEF to TensorFlow: regions of interest and sampling at positions that are computed when the model runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...engine.rules import from_nnef
from ...shared.roi import interpolated
from ..building import TfBuilder


def _add(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return b.elementwise(b.AddV2, x, y)


def _sub(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return b.elementwise(b.Sub, x, y)


def _mul(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return b.elementwise(b.Mul, x, y)


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
        unit = b.squeeze(b.slice(grid, {last: range(k, k + 1)}), [last])
        # (unit + 1) / 2 * (extent - 1), or ((unit + 1) * extent - 1) / 2
        scale = (extent - 1) / 2 if align_corners else extent / 2
        source = _add(b, _mul(b, unit, b.scalar(scale)), b.scalar((extent - 1) / 2))
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
        period = b.scalar(2 * (high - low))
        if high > low:
            offset = b.elementwise(b.FloorMod, _sub(b, x, b.scalar(low)), period)
            x = _add(b, b.elementwise(b.Minimum, offset, _sub(b, period, offset)), b.scalar(low))
    return _clipped(b, x, extent)


def _clipped(b: TfBuilder, x: Tensor, extent: int) -> Tensor:
    return b.elementwise(b.ClipByValue, x, b.scalar(0.0), b.scalar(extent - 1))


def _grid_taps(b: TfBuilder, x: Tensor, mode: str) -> list[tuple[Tensor, Tensor]]:
    """Positions, still real numbers, and weights for each coordinate of an axis."""
    if mode == "nearest":
        return [(b.elementwise(b.Round, x), b.scalar(1.0))]
    base = b.elementwise(b.Floor, x)
    rest = _sub(b, x, base)
    if mode == "linear":
        return [(base, _sub(b, b.scalar(1.0), rest)), (_add(b, base, b.scalar(1.0)), rest)]
    # Keys' kernel at the distances 1 + t, t, 1 - t and 2 - t, as polynomials of t: lowest power first
    a = CUBIC
    kernels = ((0, a, -2 * a, a), (1, 0, -a - 3, a + 2), (0, -a, 2 * a + 3, -a - 2), (0, 0, a, -a))
    return [
        (_add(b, base, b.scalar(k)), _polynomial(b, rest, kernel))
        for k, kernel in zip((-1, 0, 1, 2), kernels, strict=True)
    ]


def _polynomial(b: TfBuilder, x: Tensor, coefficients: Sequence[float]) -> Tensor:
    result = b.scalar(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = _add(b, _mul(b, result, x), b.scalar(coefficient))
    return result


def _tap(
    b: TfBuilder, position: Tensor, weight: Tensor, extent: int, padding_mode: str, align_corners: bool
) -> tuple[Tensor, Tensor]:
    """An integer position inside the input, and the weight that it then has."""
    if padding_mode == "zeros":
        lowest = b.elementwise(b.GreaterEqual, position, b.scalar(0.0), dtype=np.bool_)
        highest = b.elementwise(b.Less, position, b.scalar(extent), dtype=np.bool_)
        inside = b.elementwise(b.LogicalAnd, lowest, highest)
        weight = b.nnef.select(inside, weight, b.scalar(0.0))
    bounded = _clipped(b, _bounded(b, position, extent, padding_mode, align_corners), extent)
    index = b.cast(bounded, np.int64)
    return index, weight if shape(weight) else _mul(b, b.elementwise(b.OnesLike, position), weight)
