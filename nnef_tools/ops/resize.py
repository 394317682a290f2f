"""Resampling by integer factors (section 5.6), a factor per spatial dimension, and custom operations that resample.

These, `resize` and `grid_sample`, follow the ONNX operators Resize and GridSample; see `extensions.nnef`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..budget import ask_constant, ask_extent
from .borders import CONV_BORDERS, source_index
from .broadcast import Array, along
from .checks import check, check_choice
from .definition import op
from .pool import box, debox
from .window import Window

Shape = Sequence[int]

METHODS = ("symmetric", "asymmetric", "aligned")
MODES = ("nearest", "linear", "cubic")
PADDING_MODES = ("zeros", "border", "reflection")
COORDINATE_MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
                    "tf_crop_and_resize", "tf_half_pixel_for_nn")  # fmt: skip
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
_FARTHEST = 2.0**60  # beyond any budget
GRID_CUBIC_COEFFICIENT = -0.75
TIE = 1e-6


def _check_factor(input: Sequence[int], factor: Sequence[int]) -> None:
    check(len(input) >= 3, f"'input' must have batch, channel and spatial dimensions, got shape {list(input)}")
    check(
        len(factor) == len(input) - 2,
        f"'factor' must have {len(input) - 2} items for input shape {list(input)}, got {list(factor)}",
    )
    check(all(item >= 1 for item in factor), f"'factor' must be positive, got {list(factor)}")


def downsample_shape(input: Sequence[int], *, factor: Sequence[int]) -> list[int]:
    """Shape rule of the downsampling operations."""
    _check_factor(input, factor)
    check(
        all(extent % item == 0 for extent, item in zip(input[2:], factor, strict=True)),
        f"'factor' {list(factor)} does not divide the spatial extents {list(input[2:])}",
    )
    return [*input[:2], *(extent // item for extent, item in zip(input[2:], factor, strict=True))]


def upsample_shape(input: Sequence[int], *, factor: Sequence[int]) -> list[int]:
    """Shape rule of nearest_upsample."""
    _check_factor(input, factor)
    return [*input[:2], *(extent * item for extent, item in zip(input[2:], factor, strict=True))]


def multilinear_upsample_shape(
    input: Sequence[int], *, factor: Sequence[int], method: str = "symmetric", border: str = "replicate"
) -> list[int]:
    """Shape rule of multilinear_upsample."""
    check_choice("method", method, METHODS)
    check_choice("border", border, CONV_BORDERS)
    shape = upsample_shape(input, factor=factor)
    for extent, item in zip(input[2:], factor, strict=True):
        # only a reflection beyond the extent can fail, and the first and the last result reach farthest
        ends = np.asarray([0, extent * item - 1])
        source_index(np.concatenate(linear_neighbors(extent, item, method, ends)[:2]), extent, border)
    return shape


def _area_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(outputs[0]) * prod(attribs["factor"]))


def _multilinear_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    """The MACs of a deconvolution with the kernel of that method."""
    method = attribs["method"]
    kernel = [2 * f if method == "symmetric" else 2 * f - 1 if method == "asymmetric" else f for f in attribs["factor"]]
    return int(prod(inputs[0]) * prod(kernel))


@op("nearest_downsample", shape=downsample_shape)
def nearest_downsample(input: Array, *, factor: Sequence[int]) -> Array:
    """The first item of each cell."""
    return input[tuple(slice(None, None, step) for step in (1, 1, *factor))]


@op("area_downsample", shape=downsample_shape, macs=_area_macs, macs_group="pooling")
def area_downsample(input: Array, *, factor: Sequence[int]) -> Array:
    """The mean of each cell."""
    return box(input, window=Window.cells([1, 1, *factor]), normalize=True)


@op("nearest_upsample", shape=upsample_shape)
def nearest_upsample(input: Array, *, factor: Sequence[int]) -> Array:
    """Every item fills a cell."""
    return debox(input, window=Window.cells([1, 1, *factor]))


@op("multilinear_upsample", shape=multilinear_upsample_shape, macs=_multilinear_macs, macs_group="upsampling")
def multilinear_upsample(
    input: Array, *, factor: Sequence[int], method: str = "symmetric", border: str = "replicate"
) -> Array:
    """Linear interpolation, a dimension at a time."""
    for axis, item in enumerate(factor, 2):
        if item != 1:
            low, high, weight = linear_neighbors(input.shape[axis], item, method)
            weight = weight.astype(input.dtype).reshape((-1,) + (1,) * (input.ndim - 1 - axis))
            input = (1 - weight) * _read(input, axis, low, border) + weight * _read(input, axis, high, border)
    return input


def linear_neighbors(extent: int, factor: int, method: str, results: Array | None = None) -> tuple[Array, Array, Array]:
    """The two source positions of each result of multilinear_upsample along an axis, and the weight of the second.

    They are exact, since computed with integers, and may lie outside of the extent. The second position of a result
    that coincides with the first is the first. results: of these only, otherwise of all.
    """
    i = np.arange(extent * factor) if results is None else results
    if method == "symmetric":
        numerator, denominator = 2 * i + 1 - factor, 2 * factor
    elif method == "asymmetric":
        numerator, denominator = i, factor
    else:
        numerator, denominator = i * (extent - 1), max(extent * factor - 1, 1)
    low = numerator // denominator
    rest = numerator % denominator
    return low, low + (rest > 0), rest / denominator


def _read(input: Array, axis: int, index: Array, border: str) -> Array:
    source = source_index(index, input.shape[axis], border)
    result = input.take(source, axis)
    if border == "constant":
        result[along(axis, source < 0)] = 0
    return result


# Resampling to any extents and at any positions


def _cubic_kernel(distance: Array, a: float) -> Array:
    """The convolution kernel of R. Keys, "Cubic convolution interpolation" (1981), with free coefficient a."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _linear_kernel(distance: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(distance), 0.0))


# resize


def _resize_shape(
    input: Shape, *, output_size: Shape, scales: Sequence[float] = (), roi: Sequence[float] = (), **attribs: Any
) -> list[int]:
    rank, count = len(input), len(output_size)
    check(
        1 <= count <= rank,
        f"'output_size' must have 1 to {rank} items for shape {list(input)}, got {list(output_size)}",
    )
    check(all(size > 0 for size in output_size), f"'output_size' must be positive, got {list(output_size)}")
    check(all(extent > 0 for extent in input[rank - count :]), f"cannot resize the empty shape {list(input)}")
    check(len(scales) <= rank, f"'scales' has more items than shape {list(input)}: {list(scales)}")
    check(all(scale > 0 for scale in scales), f"'scales' must be positive, got {list(scales)}")
    check_choice("mode", attribs.get("mode", "nearest"), MODES)
    check_choice("nearest_mode", attribs.get("nearest_mode", "round_prefer_floor"), NEAREST_MODES)
    coordinate_mode = attribs.get("coordinate_mode", "half_pixel")
    check_choice("coordinate_mode", coordinate_mode, COORDINATE_MODES)
    if coordinate_mode == "tf_crop_and_resize":
        check(len(roi) == 2 * count, f"'roi' must have {2 * count} items, got {list(roi)}")
    return [*input[: rank - count], *output_size]


def _exact_coordinates(mode: str, extent: int, size: int) -> Array | None:
    """Source coordinates for the exact factor size / extent: fractions are rounded once, so that ties stay ties.

    None for modes that do not depend on the factor.
    """
    i = np.arange(size)
    if mode == "asymmetric":
        return np.asarray(i * extent / size)
    if mode == "tf_half_pixel_for_nn":
        return np.asarray((2 * i + 1) * extent / (2 * size))
    if mode in ("half_pixel", "half_pixel_symmetric") or (mode == "pytorch_half_pixel" and size > 1):
        return np.asarray(((2 * i + 1) * extent - size) / (2 * size))
    return None


def _source_coordinates(mode: str, extent: int, size: int, scale: Any, roi: tuple[float, float]) -> Array:
    """The coordinates in the input dimension of the elements of an output dimension (ONNX Resize, coordinate modes).

    They are computed in the type of `scale`, a numpy float.
    """
    real = type(scale)
    x = np.arange(size).astype(real)
    half = real(0.5)
    if mode == "align_corners":
        return np.asarray(x * real(extent - 1) / real(size - 1) if size > 1 else x)
    if mode == "asymmetric":
        return np.asarray(x / scale)
    if mode == "tf_half_pixel_for_nn":
        return np.asarray((x + half) / scale)
    if mode == "tf_crop_and_resize":
        begin, end = real(roi[0]), real(roi[1])
        if size == 1:
            return np.asarray([half * (begin + end) * real(extent - 1)])
        return np.asarray(begin * real(extent - 1) + x * (end - begin) * real(extent - 1) / real(size - 1))
    if mode == "pytorch_half_pixel" and size == 1:
        return x
    if mode == "half_pixel_symmetric":
        # the output may be smaller than the scaled input: the centers of both coincide
        offset = real(extent) / real(2) * (real(1) - real(size) / (scale * real(extent)))
        return np.asarray((offset + (np.arange(size) + 0.5) / np.float64(scale) - 0.5).astype(real))
    return np.asarray((x + half) / scale - half)


def _scale(given: float | None, extent: int, size: int, mode: str, coordinate_mode: str) -> Any:
    """The factor, in the float type in which coordinates are computed.

    Rounding decides ties of nearest elements, and what a crop leaves outside. With a given factor, float32, the type
    that it was rounded to, yields the intended results (4 / 0.8 is 5), and runtimes compute in it.
    """
    if given is None:
        return np.float64(size / extent)
    return np.float32(given) if mode == "nearest" or coordinate_mode == "tf_crop_and_resize" else np.float64(given)


def _nearest(x: Array, mode: str) -> Array:
    """The elements nearest to the coordinates x; within TIE of a tie is a tie, too, as in onnxruntime."""
    x = x.astype(np.float64)
    rounded = {
        "round_prefer_floor": lambda: np.ceil(x - 0.5 - TIE),
        "round_prefer_ceil": lambda: np.floor(x + 0.5 + TIE),
        "floor": lambda: np.floor(x),
        "ceil": lambda: np.ceil(x),
    }[mode]()
    return np.asarray(rounded).astype(np.int64)


def _taps(
    x: Array, extent: int, scale: float, mode: str, cubic_coeff_a: float, antialias: bool, exclude_outside: bool
) -> tuple[Array, Array]:
    """Positions and weights, both [output, taps], of linear and cubic interpolation at the coordinates x."""
    stretch = min(scale, 1.0) if antialias else 1.0
    radius = 1 if mode == "linear" else 2
    ask_constant(len(x) * 2 * int(min(radius / stretch, _FARTHEST)), "its table of weights")
    first = int(np.floor(-radius / stretch)) + 1
    position = np.floor(x).astype(np.int64)[:, None] + np.arange(first, 2 - first)
    distance = (position - x[:, None]) * stretch
    weight = _linear_kernel(distance) if mode == "linear" else _cubic_kernel(distance, cubic_coeff_a)
    if exclude_outside:
        weight = np.where((position >= 0) & (position < extent), weight, 0.0)
    if exclude_outside or antialias:
        with np.errstate(invalid="ignore"):  # not a number where no element is in reach, as in runtimes
            weight = weight / weight.sum(axis=1, keepdims=True)
    return np.clip(position, 0, extent - 1), weight


class AxisMap(NamedTuple):
    """A constant linear map of an axis by the few elements that each result takes.

    y[i] = sum over k of weights[i, k] * x[positions[i, k]]. extent: of x. positions, weights: `[size, taps]`; weights
    None: elements are picked, and there is one tap.
    """

    extent: int
    positions: Array
    weights: Array | None = None

    @property
    def size(self) -> int:
        """The extent of the result."""
        return len(self.positions)

    def is_identity(self) -> bool:
        """Does the map leave the axis as it is?"""
        if self.size != self.extent:
            return False
        one = self if self.weights is None else self.merged()
        return (
            one.positions.shape[1] == 1
            and np.array_equal(one.positions[:, 0], np.arange(self.size))
            and (one.weights is None or bool(np.all(one.weights == 1)))
        )

    def merged(self) -> AxisMap:
        """The same with weights, in which no result takes an element twice; the largest weights come first.

        Results that take fewer elements than others take their first one again, with weight 0.
        """
        order = np.argsort(self.positions, axis=1, kind="stable")
        places = np.take_along_axis(self.positions, order, axis=1)
        parts = np.ones(places.shape) if self.weights is None else np.take_along_axis(self.weights, order, axis=1)
        column = np.cumsum(np.diff(places, axis=1, prepend=places[:, :1]) != 0, axis=1)
        rows = np.arange(self.size)[:, None]
        cells = (rows * places.shape[1] + column).ravel()
        totals = np.bincount(cells, parts.ravel(), places.size).reshape(places.shape)
        positions = np.zeros_like(places)
        positions[rows, column] = places
        order = np.argsort(-np.abs(totals), axis=1, kind="stable")
        order = order[:, : max(int(np.count_nonzero(totals, axis=1).max()), 1)]
        positions, totals = np.take_along_axis(positions, order, axis=1), np.take_along_axis(totals, order, axis=1)
        return AxisMap(self.extent, np.where(totals == 0, positions[:, :1], positions), totals)

    def matrix(self) -> Array:
        """The weights of all elements, float64 `[size, extent]`."""
        weights = np.ones(self.positions.shape) if self.weights is None else self.weights
        dense = np.zeros([self.size, self.extent])
        np.add.at(dense, (np.arange(self.size)[:, None], self.positions), weights)
        return dense


class ResizedAxis(NamedTuple):
    """What becomes of an axis; outside: marks the results that are the extrapolation value.

    Those take the first element, or nothing, in the map.
    """

    axis: int
    map: AxisMap
    outside: Array


def resized_axes(
    input: Shape,
    *,
    output_size: Shape,
    scales: Sequence[float] = (),
    mode: str = "nearest",
    coordinate_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    roi: Sequence[float] = (),
) -> list[ResizedAxis]:
    """The axes that `resize` changes, in the order of the computation."""
    count = len(output_size)
    first = len(input) - count
    factors = dict(zip(range(len(input) - len(scales), len(input)), scales, strict=True))
    found = []
    for axis, size in enumerate(output_size, first):
        extent, given = input[axis], factors.get(axis)
        ask_constant(size, "its table of positions")
        scale = _scale(given, extent, size, mode, coordinate_mode)
        if coordinate_mode == "tf_half_pixel_for_nn" and scale == 1:
            continue  # runtimes leave an axis that keeps its size as it is
        region = (roi[axis - first], roi[axis - first + count]) if roi else (0.0, 1.0)
        exact = _exact_coordinates(coordinate_mode, extent, size) if given is None else None
        source = _source_coordinates(coordinate_mode, extent, size, scale, region) if exact is None else exact
        cropped = coordinate_mode == "tf_crop_and_resize"
        outside = np.asarray((source < 0) | (source > extent - 1) if cropped else np.zeros(size, bool))
        if size == extent and np.array_equal(source, np.arange(size)) and not (antialias and scale < 1):
            continue
        if mode == "nearest":
            positions = np.clip(_nearest(source, nearest_mode), 0, extent - 1)
            found.append(ResizedAxis(axis, AxisMap(extent, np.where(outside, 0, positions)[:, None]), outside))
        else:
            positions, weights = _taps(source, extent, scale, mode, cubic_coeff_a, antialias, exclude_outside)
            weights = np.where(outside[:, None], 0.0, weights)
            found.append(ResizedAxis(axis, AxisMap(extent, positions, weights), outside))
    return found


def _mapped(x: Array, axis: int, axis_map: AxisMap) -> Array:
    """The elements along an axis, or their weighted sum for each row of positions."""
    if axis_map.weights is None:
        return np.take(x, axis_map.positions[:, 0], axis)
    columns = [-1 if i == axis else 1 for i in range(x.ndim)]
    total: Any = 0.0
    for position, weight in zip(axis_map.positions.T, axis_map.weights.T, strict=True):
        if weight.any():
            total = total + np.take(x, position, axis) * weight.astype(x.dtype).reshape(columns)
    return np.asarray(total)


@op("resize", shape=_resize_shape)
def resize(
    x: Array,
    *,
    output_size: Shape,
    scales: Sequence[float] = (),
    mode: str = "nearest",
    coordinate_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    extrapolation_value: float = 0.0,
    antialias: bool = False,
    roi: Sequence[float] = (),
) -> Array:
    """Resizes the last dimensions, one after the other."""
    plans = resized_axes(
        x.shape,
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
    result = x
    for plan in plans:
        result = _mapped(result, plan.axis, plan.map)
    if any(plan.outside.any() for plan in plans):
        result = result.copy()
        for plan in plans:
            np.moveaxis(result, plan.axis, 0)[plan.outside] = extrapolation_value
    return result


# grid_sample


def _grid_sample_shape(
    input: Shape, grid: Shape, *, mode: str = "linear", padding_mode: str = "zeros", align_corners: bool = False
) -> list[int]:
    check_choice("mode", mode, MODES)
    check_choice("padding_mode", padding_mode, PADDING_MODES)
    check(len(input) >= 3 and all(input[2:]), f"'input' must be [N, C, spatial...] and not empty, got {list(input)}")
    check(
        len(grid) == len(input) and grid[0] == input[0] and grid[-1] == len(input) - 2,
        f"'grid' must be [{input[0]}, ..., {len(input) - 2}] of rank {len(input)} for input shape {list(input)}, "
        f"got {list(grid)}",
    )
    ask_extent(_TAPS[mode] ** (len(input) - 2), "a cell of its grid")
    return [*input[:2], *grid[1:-1]]


def _reflect(x: Array, low: float, high: float) -> Array:
    """Mirrors coordinates at both limits until they lie between them."""
    span = high - low
    if span == 0:
        return np.full_like(x, low)
    offset = np.mod(x - low, 2 * span)
    return np.asarray(low + np.minimum(offset, 2 * span - offset))


def _bounded(x: Array, extent: int, padding_mode: str, align_corners: bool) -> Array:
    """Coordinates mapped into the extended input; with 'zeros' they stay outside."""
    if padding_mode == "border":
        return np.clip(x, 0, extent - 1)
    if padding_mode == "reflection":
        low, high = (0.0, extent - 1.0) if align_corners else (-0.5, extent - 0.5)
        return np.clip(_reflect(x, low, high), 0, extent - 1)
    return x


def _grid_taps(x: Array, mode: str) -> list[tuple[Array, Array]]:
    """Pairs of integer position and weight for each coordinate of an axis; rounded coordinates for 'nearest'."""
    if mode == "nearest":
        return [(x, np.ones_like(x))]
    base = np.floor(x)
    if mode == "linear":
        return [(base + k, _linear_kernel(base + k - x)) for k in (0, 1)]
    return [(base + k, _cubic_kernel(base + k - x, GRID_CUBIC_COEFFICIENT)) for k in (-1, 0, 1, 2)]


@op("grid_sample", shape=_grid_sample_shape)
def grid_sample(
    x: Array, grid: Array, *, mode: str = "linear", padding_mode: str = "zeros", align_corners: bool = False
) -> Array:
    """Interpolates the input at the positions of the grid."""
    batch, channels, *extents = x.shape
    points = grid.reshape(batch, -1, len(extents))
    axis_taps = []
    for axis, extent in enumerate(extents):
        # runtimes compute positions in the type of the grid, which decides what is halfway between two elements
        unit = points[:, :, len(extents) - 1 - axis]
        source = (unit + 1) / 2 * (extent - 1) if align_corners else ((unit + 1) * extent - 1) / 2
        source = np.rint(source.astype(np.float64)) if mode == "nearest" else source.astype(np.float64)
        if mode == "linear":
            source = _bounded(source, extent, padding_mode, align_corners)
        taps = []
        for position, weight in _grid_taps(source, mode):
            inside = (position >= 0) & (position < extent)
            position = np.clip(_bounded(position, extent, padding_mode, align_corners), 0, extent - 1)
            if padding_mode == "zeros":
                weight = weight * inside
            taps.append((position.astype(np.int64), weight))
        axis_taps.append(taps)
    flat = x.reshape(batch, channels, -1)
    total: Any = 0.0
    for combination in product(*axis_taps):
        index = np.ravel_multi_index([position for position, _ in combination], extents)
        weight = np.prod([weight for _, weight in combination], axis=0).astype(x.dtype)
        total = total + np.take_along_axis(flat, index[:, None, :], axis=2) * weight[:, None, :]
    return np.asarray(total).reshape(batch, channels, *grid.shape[1:-1])
