"""NNEF to TensorFlow: resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.resize import resize as resize_kernel
from ...building.shapes import shape
from ...building.target import broadcast_shape, known
from ...engine.rules import from_nnef
from ..building import TfBuilder

ResizeAttributes = dict[str, Any]

HALF_PIXEL: ResizeAttributes = {"align_corners": False, "half_pixel_centers": True}
LEGACY: ResizeAttributes = {"align_corners": False, "half_pixel_centers": False}
ALIGNED: ResizeAttributes = {"align_corners": True, "half_pixel_centers": False}


def _resize(b: TfBuilder, type: str, x: Tensor, sizes: Sequence[int], attributes: ResizeAttributes) -> Tensor:
    """A resize operator over all spatial dimensions of x, two at a time: they are images with channels last."""
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
    """nearest_upsample -> ResizeNearestNeighbor; half pixels keep positions away from the limits between elements."""
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
    """resize -> GatherV2 for nearest elements, ResizeBilinear where that is the same, else products with matrices."""
    own = shape(input)
    first = len(own) - len(output_size)
    options: dict[str, Any] = {
        "mode": mode, "coordinate_mode": coordinate_mode, "nearest_mode": nearest_mode,
        "cubic_coeff_a": cubic_coeff_a, "exclude_outside": exclude_outside, "antialias": antialias,
    }  # fmt: skip
    if mode == "linear" and _is_bilinear(own, output_size, scales, coordinate_mode, antialias):
        return _resize(b, "ResizeBilinear", input, output_size[-2:], LINEAR[coordinate_mode])
    factors = dict(zip(range(len(own) - len(scales), len(own)), scales, strict=True))
    x = input
    outside = []
    for k, size in enumerate(output_size, first):
        region = [roi[k - first], roi[k - first + len(output_size)]] if roi else []
        scale = [factors[k]] if k in factors else []

        def run(rows: np.ndarray[Any, Any], size: int = size, scale: Any = scale, region: Any = region) -> Any:
            return resize_kernel(
                rows, output_size=[size], scales=scale, roi=region, extrapolation_value=np.nan, **options
            )

        weights = run(np.eye(own[k], dtype=np.float64))
        outside.append(np.isnan(weights[0]))
        x = _along(b, x, k, np.nan_to_num(weights), mode == "nearest", run)
    if not any(rows.any() for rows in outside):
        return x
    mask = np.zeros((1,) * len(own), np.bool_)
    for k, rows in enumerate(outside, first):
        mask = mask | rows.reshape([-1 if j == k else 1 for j in range(len(own))])
    value = b.constant(extrapolation_value, b.real)
    result = b.elementwise(b.SelectV2, b.constant(mask), value, x)
    return known(result, broadcast_shape(x))


def _is_bilinear(
    own: Sequence[int], sizes: Sequence[int], scales: Sequence[float], coordinate_mode: str, antialias: bool
) -> bool:
    """Does ResizeBilinear compute that? It sees two spatial dimensions, and computes the factors itself."""
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


def _along(
    b: TfBuilder, x: Tensor, axis: int, weights: np.ndarray[Any, Any], nearest: bool, run: Callable[..., Any]
) -> Tensor:
    """x times a matrix `[extent, size]` along an axis; for weights that are all 0 or 1 the elements that these take."""
    extent, size = weights.shape
    if nearest:
        return b.take(x, weights.argmax(axis=0), axis)
    if extent == size and np.array_equal(weights, np.eye(size)):
        return x
    own = shape(x)
    order = [*(k for k in range(len(own)) if k != axis), axis]
    moved = b.transpose(x, order)
    rows = b.reshape(moved, [math.prod(shape(moved)[:-1]), extent])
    y = b.matmul(rows, b.constant(weights, b.real))
    return b.transpose(b.reshape(y, [*shape(moved)[:-1], size]), np.argsort(order).tolist())
