"""Resampling by integer factors (section 5.6); a factor per spatial dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from .borders import CONV_BORDERS, source_index
from .broadcast import Array, along
from .checks import check, check_choice
from .pool import box, debox
from .registry import op
from .window import Window

METHODS = ("symmetric", "asymmetric", "aligned")


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
        # A reflection that leaves the extent is the only way to fail.
        source_index(np.concatenate(_neighbours(extent, item, method)[:2]), extent, border)
    return shape


def _area_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(prod(outputs[0]) * prod(attribs["factor"]))


def _multilinear_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    """As a deconvolution with the kernel of that method."""
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
            low, high, weight = _neighbours(input.shape[axis], item, method)
            weight = weight.astype(input.dtype).reshape((-1,) + (1,) * (input.ndim - 1 - axis))
            input = (1 - weight) * _read(input, axis, low, border) + weight * _read(input, axis, high, border)
    return input


def _neighbours(extent: int, factor: int, method: str) -> tuple[Array, Array, Array]:
    """The two source positions of each result, and the weight of the second; exact, since done with integers.

    The second position of a result that coincides with the first is the first.
    """
    i = np.arange(extent * factor)
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
