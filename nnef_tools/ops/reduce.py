"""Reductions (section 5.7), running sums and products, and the best elements along an axis.

The rank is kept, reduced extents become 1; no axes at all is the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .axes import normal_axis
from .broadcast import Array
from .checks import check, check_axes
from .definition import op
from .precision import ieee


def reduced_shape(shape: Sequence[int], *, axes: Sequence[int], **_attribs: Any) -> list[int]:
    """Shape rule of reductions."""
    check_axes(axes, len(shape))
    return [1 if axis in axes else extent for axis, extent in enumerate(shape)]


def nonempty_reduced_shape(shape: Sequence[int], *, axes: Sequence[int], **_attribs: Any) -> list[int]:
    """Shape rule of reductions that have no value for an empty set."""
    result = reduced_shape(shape, axes=axes)
    check(all(shape[axis] > 0 for axis in axes), f"'axes' {list(axes)} select an empty extent of shape {list(shape)}")
    return result


def _moments_shape(shape: Sequence[int], *, axes: Sequence[int]) -> tuple[list[int], list[int]]:
    result = nonempty_reduced_shape(shape, axes=axes)
    return result, list(result)


def _sum_shape(shape: Sequence[int], *, axes: Sequence[int], normalize: bool = False) -> list[int]:
    return nonempty_reduced_shape(shape, axes=axes) if normalize else reduced_shape(shape, axes=axes)


def input_volume(inputs: Sequence[Any], _outputs: Sequence[Any], _attribs: Mapping[str, Any]) -> int:
    """MACs of a reduction: each input element takes part once."""
    return int(math.prod(inputs[0]))


def _mean(x: Array, axes: Sequence[int]) -> Array:
    total = np.sum(x, axis=tuple(axes), keepdims=True, dtype=x.dtype)
    count = math.prod(x.shape[axis] for axis in axes)
    return total if count == 1 else np.asarray(total / count).astype(x.dtype, copy=False)


def _reduction(*names: str, shape: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return op(*names, shape=shape, macs=input_volume, macs_group="reduction")


@_reduction("sum_reduce", shape=_sum_shape)
def sum_reduce(x: Array, *, axes: Sequence[int], normalize: bool = False) -> Array:
    """Sum, or with `normalize` the mean, over the axes."""
    return _mean(x, axes) if normalize else np.sum(x, axis=tuple(axes), keepdims=True, dtype=x.dtype)


@_reduction("mean_reduce", shape=nonempty_reduced_shape)
def mean_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Arithmetic mean over the axes."""
    return _mean(x, axes)


@_reduction("max_reduce", shape=nonempty_reduced_shape)
def max_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Largest element over the axes."""
    return np.asarray(np.max(x, axis=tuple(axes), keepdims=True))


@_reduction("min_reduce", shape=nonempty_reduced_shape)
def min_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Smallest element over the axes."""
    return np.asarray(np.min(x, axis=tuple(axes), keepdims=True))


@_reduction("any_reduce", shape=reduced_shape)
def any_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Logical or over the axes; false for an empty set."""
    return np.asarray(np.any(x, axis=tuple(axes), keepdims=True))


@_reduction("all_reduce", shape=reduced_shape)
def all_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Logical and over the axes; true for an empty set."""
    return np.asarray(np.all(x, axis=tuple(axes), keepdims=True))


def _arg_reduce(find: Callable[..., Any], x: Array, axes: Sequence[int]) -> Array:
    """Row-major index over the axes in ascending order; the first of equal elements counts."""
    ordered = sorted(axes)
    if not ordered:
        return np.zeros(x.shape, np.int64)
    moved = np.moveaxis(x, ordered, range(x.ndim - len(ordered), x.ndim))
    kept = moved.shape[: x.ndim - len(ordered)]
    shape = [1 if axis in ordered else extent for axis, extent in enumerate(x.shape)]
    count = math.prod(x.shape[axis] for axis in ordered)
    return np.asarray(find(moved.reshape(*kept, count), axis=-1), np.int64).reshape(shape)


@_reduction("argmax_reduce", shape=nonempty_reduced_shape)
def argmax_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Index of the first largest element; over several axes it is row-major in ascending axis order. int64."""
    return _arg_reduce(np.argmax, x, axes)


@_reduction("argmin_reduce", shape=nonempty_reduced_shape)
def argmin_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Index of the first smallest element; over several axes it is row-major in ascending axis order. int64."""
    return _arg_reduce(np.argmin, x, axes)


@_reduction("moments", shape=_moments_shape)
def moments(x: Array, *, axes: Sequence[int]) -> tuple[Array, Array]:
    """Mean and biased variance over the axes."""
    mean = _mean(x, axes)
    return mean, _mean(np.square(x - mean), axes)


@_reduction("product_reduce", shape=reduced_shape)
def product_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Product over the axes."""
    return np.asarray(np.prod(x, axis=tuple(axes), keepdims=True, dtype=x.dtype))


def _running_shape(x: Sequence[int], *, axis: int, exclusive: bool = False, reverse: bool = False) -> list[int]:
    normal_axis(axis, len(x))
    return list(x)


def _running(
    x: Array, accumulate: Callable[..., Array], start: int, axis: int, exclusive: bool, reverse: bool
) -> Array:
    x = np.flip(x, axis) if reverse else x
    total = accumulate(x, axis, dtype=x.dtype)
    if exclusive and total.shape[axis]:
        # shifted, since total - x would lose digits and could be infinity - infinity
        total = np.roll(total, 1, axis)
        np.moveaxis(total, axis, 0)[0] = start
    return np.flip(total, axis) if reverse else total


@op("cum_sum", shape=_running_shape)
@partial(ieee, arithmetic=True)
def cum_sum(x: Array, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Array:
    """Running sum along an axis."""
    return _running(x, np.cumsum, 0, axis, exclusive, reverse)


@op("cum_prod", shape=_running_shape)
@partial(ieee, arithmetic=True)
def cum_prod(x: Array, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Array:
    """Running product along an axis."""
    return _running(x, np.cumprod, 1, axis, exclusive, reverse)


def _top_k_shape(
    x: Sequence[int], *, k: int, axis: int, largest: bool = True, sorted: bool = True
) -> tuple[list[int], list[int]]:
    axis = normal_axis(axis, len(x))
    check(1 <= k <= x[axis], f"'k' must lie in [1, {x[axis]}] for axis {axis} of shape {list(x)}, got {k}")
    result = [k if i == axis else extent for i, extent in enumerate(x)]
    return result, list(result)


@op("top_k", shape=_top_k_shape)
def top_k(x: Array, *, k: int, axis: int, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    """The k best elements, best first, and their positions (int64)."""
    order = np.argsort(np.flip(x, axis) if largest else x, axis, kind="stable")
    if largest:
        # the stable ascending order of the mirrored axis, read backwards, is descending with the first of equals first
        order = np.flip(x.shape[axis] - 1 - order, axis)
    indices = np.take(order, np.arange(k), axis).astype(np.int64, copy=False)
    return np.take_along_axis(x, indices, axis), indices
