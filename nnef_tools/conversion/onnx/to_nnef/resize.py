"""Resampling: standard operations where these compute the same, else gathers and constant weights.

The arithmetic of all modes of Resize is that of the `resize` kernel, whose maps of axes are compared with what the
standard operations do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import nnef_dtype
from ....ops.resize import AxisMap, ResizedAxis, resized_axes
from ...building.nnef import Builder
from ...compose.axis_maps import Array
from ...compose.resampling import resampled, standard_resampling
from ...engine.rules import Floats, Ints, to_nnef
from ..common import positive, reshape, shape

Options = dict[str, Any]
"""Options of the `resize` kernel for an axis."""


def _axis(k: int, extent: int, size: int, scale: float, options: Options) -> list[ResizedAxis]:
    """How axis k is resized; nothing if it stays as it is. scale: a float32 value.

    Scale 1 keeps an axis whatever the formula says: 'tf_half_pixel_for_nn' would shift it.
    """
    if size == extent and scale == 1 and options["coordinate_mode"] != "tf_crop_and_resize":
        return []
    found = resized_axes([extent], output_size=[size], scales=[scale], **options)
    changed = [item for item in found if item.outside.any() or not item.map.is_identity()]
    return [item._replace(axis=k) for item in changed]


def _interpolated(b: Builder, x: Tensor, maps: Mapping[int, AxisMap], options: Options) -> Tensor:
    """Integers are weighted in scalars; they are truncated, but rounded and limited to their range with antialias."""
    if options["mode"] == "nearest" or nnef_dtype(x.dtype) == "scalar":
        return resampled(b, x, maps)
    if nnef_dtype(x.dtype) != "integer":
        raise Unsupported("logical values cannot be interpolated")
    b.warnings[f"Resize of {x.dtype.__name__} interpolates in scalars: results may differ by 1"] = None
    y = resampled(b, b.cast(x, np.float32), maps)
    if options["antialias"]:
        y = b.round(y)
    if options["antialias"] or options["mode"] == "cubic":
        limits = np.iinfo(x.dtype)
        y = b.clamp(y, float(limits.min), float(limits.max))
    return b.cast(y, x.dtype)


def _resize(b: Builder, x: Tensor, axes: Sequence[ResizedAxis], options: Options, value: float) -> Tensor:
    """value: of results outside of the input."""
    if not axes:
        return x
    masks = {item.axis: item.outside for item in axes if item.outside.any()}
    maps = {item.axis: item.map for item in axes}
    result = (None if masks else standard_resampling(b, x, maps)) or _interpolated(b, x, maps, options)
    for k, mask in masks.items():
        column = b.constant(mask.reshape([-1 if j == k else 1 for j in range(len(shape(x)))]))
        result = b.select(column, b.constant(value, x.dtype), result)
    return result


def _scaled_size(extent: int, scale: float) -> int:
    """The size of the result, computed in float32 like in runtimes and ONNX shape inference."""
    return int(np.float32(scale) * np.float32(extent))


def _ratio(size: int, extent: int) -> float:
    return float(np.float32(size) / np.float32(extent))


def _legacy(b: Builder, x: Tensor, scales: Sequence[float], mode: str) -> Tensor:
    """Upsample and Resize-10: position / scale, rounded towards the input that covers it."""
    own = shape(x)
    if mode not in ("nearest", "linear", "bilinear"):
        raise Unsupported(f"mode = '{mode}' is not known")
    if len(scales) != len(own) or min(scales) <= 0:
        raise Unsupported(f"scales {list(scales)} do not fit an input of shape {own}")
    options: Options = {
        "mode": "nearest" if mode == "nearest" else "linear",
        "coordinate_mode": "asymmetric",
        "antialias": False,
    }
    axes = []
    for k, (extent, scale) in enumerate(zip(own, scales, strict=True)):
        rounding = "ceil" if scale < 1 else "floor"
        size = _checked(_scaled_size(extent, scale))
        axes.extend(_axis(k, extent, size, scale, {**options, "nearest_mode": rounding}))
    return _resize(b, x, axes, options, 0.0)


def _checked(size: int) -> int:
    if size < 1:
        raise Unsupported("the result would be empty; NNEF has no empty tensors")
    return size


@to_nnef("onnx", "Upsample")
def upsample_spatial(
    b: Builder, x: Tensor, *, height_scale: float, width_scale: float, mode: str = "nearest"
) -> Tensor:
    """Upsample-1, of images."""
    return _legacy(b, x, [1.0, 1.0, height_scale, width_scale], mode)


@to_nnef("onnx", "Upsample", since=7)
def upsample_attribute(b: Builder, x: Tensor, *, scales: list[float], mode: str = "nearest") -> Tensor:
    """Upsample-7: scales are an attribute."""
    return _legacy(b, x, scales, mode)


@to_nnef("onnx", "Upsample", since=9)
@to_nnef("onnx", "Resize", since=10)
def upsample(b: Builder, x: Tensor, scales: Floats, *, mode: str = "nearest") -> Tensor:
    """Upsample-9 and Resize-10."""
    return _legacy(b, x, scales, mode)


@to_nnef("onnx", "Resize", since=11)
def resize(
    b: Builder,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Floats | None = None,
    sizes: Ints | None = None,
    *,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    """Resize to sizes or by scales.

    Positions are computed in float32 and ties are those of onnxruntime. The region of 'tf_crop_and_resize' is constant.
    """
    options: Options = {
        "mode": _known("mode", mode, ("nearest", "linear", "cubic")),
        "coordinate_mode": _known("coordinate_transformation_mode", coordinate_transformation_mode, COORDINATES),
        "nearest_mode": _known("nearest_mode", nearest_mode, ROUNDINGS),
        "cubic_coeff_a": cubic_coeff_a,
        "exclude_outside": bool(exclude_outside),
        "antialias": bool(antialias) and mode != "nearest",
    }
    rank = len(shape(x))
    chosen = list(range(rank)) if axes is None else [positive(k, rank) for k in axes]
    extents = [shape(x)[k] for k in chosen]
    if bool(scales) == bool(sizes):
        raise Unsupported("either scales or sizes must be given")
    if len(scales or sizes or ()) != len(chosen) or len(set(chosen)) != len(chosen):
        raise Unsupported(f"scales {scales}, sizes {sizes} and axes {axes} do not fit an input of shape {shape(x)}")
    if scales:
        factors, results = scales, [_scaled_size(n, factor) for n, factor in zip(extents, scales, strict=True)]
    else:
        factors, results = _sizes(extents, sizes or [], keep_aspect_ratio_policy)
    regions = [(0.0, 1.0)] * len(chosen)
    if coordinate_transformation_mode == "tf_crop_and_resize":
        regions = _regions(b, roi, len(chosen))
    _check_lengths(coordinate_transformation_mode, extents, results, factors)
    rows = zip(chosen, extents, results, factors, regions, strict=True)
    resized = [_axis(k, n, _checked(m), f, {**options, "roi": r}) for k, n, m, f, r in rows]
    return _resize(b, x, [item for items in resized for item in items], options, extrapolation_value)


COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_half_pixel_for_nn", "tf_crop_and_resize")  # fmt: skip
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _known(name: str, value: str, values: Sequence[str]) -> str:
    if value not in values:
        raise Unsupported(f"{name} = '{value}' is not known")
    return value


def _sizes(extents: list[int], sizes: list[int], policy: str) -> tuple[list[float], list[int]]:
    """The factors and the sizes that come out: keeping the aspect ratio, one factor serves all axes."""
    factors = [_ratio(size, extent) for size, extent in zip(sizes, extents, strict=True)]
    if _known("keep_aspect_ratio_policy", policy, ("stretch", "not_larger", "not_smaller")) == "stretch":
        return factors, sizes
    factor = min(factors) if policy == "not_larger" else max(factors)
    results = [math.floor(np.float32(factor) * np.float32(extent) + 0.5) for extent in extents]
    return [factor] * len(factors), results


def _check_lengths(mode: str, extents: list[int], sizes: list[int], factors: list[float]) -> None:
    """A crop uses the length of the result: for some it is extent * scale, for others that rounded down.

    So does align_corners, where onnxruntime and PyTorch round it down, as in the result.
    """
    whole = all(_ratio(size, extent) == factor for size, extent, factor in zip(sizes, extents, factors, strict=True))
    if mode == "tf_crop_and_resize" and not whole:
        raise Unsupported(
            f"{mode} with scales {factors} of extents {extents}: onnxruntime and the test data of ONNX disagree where "
            "the result is no whole length; give sizes instead of scales"
        )


def _regions(b: Builder, roi: Tensor | None, count: int) -> list[tuple[float, float]]:
    value = None if roi is None else b.value(roi)
    if value is None:
        raise Unsupported("input 1 ('roi') must be a constant, but it is missing or computed from the inputs")
    if value.size != 2 * count:
        raise Unsupported(f"roi has {value.size} items, {2 * count} are needed")
    begins, ends = value.astype(np.float64).reshape(2, count)
    return [(float(begin), float(end)) for begin, end in zip(begins, ends, strict=True)]


# sampling at a grid

SAMPLING_MODES = {"bilinear": "linear", "bicubic": "cubic", "linear": "linear", "cubic": "cubic", "nearest": "nearest"}


@to_nnef("onnx", "GridSample", since=16)
def grid_sample(
    b: Builder, x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """GridSample -> grid_sample. Version 16 says bilinear and bicubic."""
    if mode not in SAMPLING_MODES:
        raise Unsupported(f"mode = '{mode}' is not known")
    return b.grid_sample(
        x, grid, mode=SAMPLING_MODES[mode], padding_mode=padding_mode, align_corners=bool(align_corners)
    )


@to_nnef("onnx", "AffineGrid", since=20)
def affine_grid(b: Builder, theta: Tensor, size: Ints, *, align_corners: int = 0) -> Tensor:
    """AffineGrid: the constant grid of an image times the transposed matrices theta `[N, r, r + 1]`."""
    batch, rank, width = shape(theta)
    extents = size[2:]
    if len(extents) != rank or width != rank + 1 or batch != size[0]:
        raise Unsupported(f"theta of shape {shape(theta)} does not fit the size {size}")
    ask_constant(math.prod(extents) * width, "its grid")
    axes = [_centers(extent, bool(align_corners)) for extent in extents]
    positions = np.meshgrid(*axes, indexing="ij")[::-1]  # x first
    base = np.stack([*positions, np.ones(extents)], axis=-1).reshape(1, -1, width)
    grid: Tensor = b.matmul(b.constant(base, theta.dtype), theta, transposeB=True)
    return reshape(b, grid, [batch, *extents, rank])


def _centers(extent: int, align_corners: bool) -> Array:
    """The elements of an axis between -1 and 1: the first one at -1, or in the middle of the first of equal parts."""
    if align_corners:
        return np.linspace(-1.0, 1.0, extent)
    return (2 * np.arange(extent) + 1) / extent - 1
