"""NNEF to TensorFlow: resampling, by sizes and at positions that are computed when the model runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.resize import AxisMap, resized_axes
from ...building.shapes import shape
from ...building.target import broadcast_shape, known
from ...compose.axis_maps import MATRIX_LIMIT
from ...engine.rules import from_nnef
from ...shared.roi import interpolated
from ..building import TfBuilder

ResizeAttributes = dict[str, Any]

HALF_PIXEL: ResizeAttributes = {"align_corners": False, "half_pixel_centers": True}
LEGACY: ResizeAttributes = {"align_corners": False, "half_pixel_centers": False}
ALIGNED: ResizeAttributes = {"align_corners": True, "half_pixel_centers": False}


def _resize(b: TfBuilder, type: str, x: Tensor, sizes: Sequence[int], attributes: ResizeAttributes) -> Tensor:
    """A resize operator over all spatial dimensions of x, two at a time, as images with channels last."""
    own = shape(x)
    axes = [k for k in range(2, len(own)) if len(own) == 4 or own[k] != sizes[k - 2]]
    for start in range(0, len(axes), 2):
        pair = axes[start : start + 2]
        rest = [k for k in range(len(own)) if k not in pair and k != 1]
        order = [*rest, *pair, 1]
        moved = b.transpose(x, order)
        batch = math.prod(shape(x)[k] for k in rest)
        image = b.reshape(moved, [batch, *(shape(x)[k] for k in pair), *[1] * (2 - len(pair)), own[1]])
        extents = [sizes[k - 2] for k in pair]
        size = [*extents, *[1] * (2 - len(pair))]
        y = known(b.op(type, image, b.vector(size), **attributes), [batch, *size, own[1]])
        back = b.reshape(y, [*(shape(x)[k] for k in rest), *extents, own[1]])
        x = b.transpose(back, np.argsort(order).tolist())
    return x


@from_nnef("tf", "nearest_upsample")
def nearest_upsample(b: TfBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_upsample -> ResizeNearestNeighbor, with half pixels, so that positions are not between two elements."""
    sizes = [n * f for n, f in zip(shape(input)[2:], factor, strict=True)]
    return _resize(b, "ResizeNearestNeighbor", input, sizes, HALF_PIXEL)


@from_nnef("tf", "nearest_downsample")
def nearest_downsample(b: TfBuilder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_downsample -> ResizeNearestNeighbor."""
    sizes = [n // f for n, f in zip(shape(input)[2:], factor, strict=True)]
    return _resize(b, "ResizeNearestNeighbor", input, sizes, LEGACY)


@from_nnef("tf", "multilinear_upsample")
def multilinear_upsample(
    b: TfBuilder, input: Tensor, *, factor: list[int], method: str = "symmetric", border: str = "replicate"
) -> Tensor:
    """multilinear_upsample -> ResizeBilinear, of a padded input for borders that are not replicated."""
    own = shape(input)
    sizes = [n * f for n, f in zip(own[2:], factor, strict=True)]
    if method == "aligned":
        return _resize(b, "ResizeBilinear", input, sizes, ALIGNED)
    attributes = HALF_PIXEL if method == "symmetric" else LEGACY
    if border == "replicate":
        return _resize(b, "ResizeBilinear", input, sizes, attributes)
    # a factor of 1 reads nothing beyond the border, which may be too narrow to be reflected
    before = [int(f > 1 and method == "symmetric") for f in factor]
    pairs = [(p, int(f > 1)) for p, f in zip(before, factor, strict=True)]
    x = b.pad(input, [(0, 0), (0, 0), *pairs], border)
    wide = [n * f for n, f in zip(shape(x)[2:], factor, strict=True)]
    y = _resize(b, "ResizeBilinear", x, wide, attributes)
    rows = enumerate(zip(before, factor, sizes, strict=True))
    return b.slice(y, {k + 2: range(p * f, p * f + n) for k, (p, f, n) in rows})


LINEAR = {
    "half_pixel": HALF_PIXEL,
    "pytorch_half_pixel": HALF_PIXEL,
    "half_pixel_symmetric": HALF_PIXEL,
    "align_corners": ALIGNED,
    "asymmetric": LEGACY,
}


@from_nnef("tf", "resize")
def resize(
    b: TfBuilder,
    input: Tensor,
    *,
    output_size: list[int],
    scales: Sequence[float] = (),
    mode: str = "nearest",
    coordinate_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    extrapolation_value: float = 0.0,
    antialias: bool = False,
    roi: Sequence[float] = (),
) -> Tensor:
    """resize -> GatherV2 for nearest elements, ResizeBilinear where that is the same, otherwise weighted sums."""
    own = shape(input)
    if mode == "linear" and _is_bilinear(own, output_size, scales, coordinate_mode, antialias):
        return _resize(b, "ResizeBilinear", input, output_size[-2:], LINEAR[coordinate_mode])
    axes = resized_axes(
        own,
        output_size=output_size,
        scales=scales,
        mode=mode,
        coordinate_mode=coordinate_mode,
        nearest_mode=nearest_mode,
        cubic_coeff_a=cubic_coeff_a,
        exclude_outside=exclude_outside,
        antialias=antialias,
        roi=roi,
    )
    x = input
    mask = np.zeros((1,) * len(own), np.bool_)
    for item in axes:
        x = _along(b, x, item.axis, item.map)
        mask = mask | item.outside.reshape([-1 if k == item.axis else 1 for k in range(len(own))])
    if not mask.any():
        return x
    value = b.constant(extrapolation_value, b.real)
    result = b.elementwise(b.SelectV2, b.constant(mask), value, x)
    return known(result, broadcast_shape(x))


def _is_bilinear(
    own: Sequence[int], sizes: Sequence[int], scales: Sequence[float], coordinate_mode: str, antialias: bool
) -> bool:
    """Does ResizeBilinear compute the same? It supports two spatial dimensions, and computes the factors itself."""
    if coordinate_mode not in LINEAR or antialias or len(own) != 4:
        return False
    if len(sizes) not in (2, 4) or (len(sizes) == 4 and list(sizes[:2]) != list(own[:2])):
        return False
    given = dict(zip(range(4 - len(scales), 4), scales, strict=True))
    for k, size in enumerate(sizes, 4 - len(sizes)):
        if k in given and coordinate_mode != "align_corners" and abs(given[k] * own[k] - size) > 1e-6 * size:
            return False
        if coordinate_mode == "pytorch_half_pixel" and size == 1:
            return False
    return True


def _along(b: TfBuilder, x: Tensor, axis: int, axis_map: AxisMap) -> Tensor:
    """x with a map applied along an axis: a GatherV2 of elements, a product with a small matrix, or a weighted sum."""
    if axis_map.weights is None:
        return b.take(x, axis_map.positions[:, 0], axis)
    own = shape(x)
    if axis_map.size * axis_map.extent > MATRIX_LIMIT:
        return _gathered_sum(b, x, axis, axis_map)
    order = [*(k for k in range(len(own)) if k != axis), axis]
    moved = b.transpose(x, order)
    rows = b.reshape(moved, [math.prod(shape(moved)[:-1]), axis_map.extent])
    y = b.matmul(rows, b.constant(axis_map.matrix().T, b.real))
    return b.transpose(b.reshape(y, [*shape(moved)[:-1], axis_map.size]), np.argsort(order).tolist())


def _gathered_sum(b: TfBuilder, x: Tensor, axis: int, axis_map: AxisMap) -> Tensor:
    """The weighted sums of elements along an axis, which are first gathered along a new one."""
    own, merged = shape(x), axis_map.merged()
    assert merged.weights is not None
    count, taps = merged.positions.shape
    taken = b.reshape(b.take(x, merged.positions.ravel(), axis), [*own[:axis], count, taps, *own[axis + 1 :]])
    factors = b.constant(merged.weights.reshape(count, taps, *[1] * (len(own) - 1 - axis)), b.real)
    products = known(b.Mul(taken, factors), shape(taken), x.dtype)
    return b.squeeze(b.reduce("sum", products, [axis + 1]), [axis + 1])


# sampling at a grid


def _add(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return b.elementwise(b.AddV2, x, y)


def _sub(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return b.elementwise(b.Sub, x, y)


def _mul(b: TfBuilder, x: Tensor, y: Tensor) -> Tensor:
    return b.elementwise(b.Mul, x, y)


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
