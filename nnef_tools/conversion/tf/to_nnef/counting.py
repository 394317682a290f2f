"""Counts: how often integers occur, how many items fall into ranges, where values would be inserted in sorted rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....budget import ask_extent
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, squeeze, unsqueeze
from ...engine.rules import Array, Int, to_nnef
from ...maths import generated


def _count(b: Builder, x: Tensor, size: int, weights: Tensor, dtype: Any, binary: bool) -> Tensor:
    """`[rows, items]` -> `[rows, size]`: how often each integer is in a row, or the sum of its weights."""
    place = b.constant(generated.positions(size, np.float32).reshape(1, 1, size))
    found = b.eq(unsqueeze(b, b.cast(x, np.float32), [2]), place)
    if binary:
        return b.cast(squeeze(b, b.any_reduce(found, axes=[1]), [1]), dtype)
    weighted = math.prod(shape(weights)) > 0
    factor = unsqueeze(b, reshape(b, b.cast(weights, np.float32), shape(x)), [2]) if weighted else 1.0
    return b.cast(squeeze(b, b.sum_reduce(b.select(found, factor, 0.0), axes=[1]), [1]), dtype)


@to_nnef("tf", "DenseBincount")
def dense_bincount(
    b: Builder, x: Tensor, size: Int, weights: Tensor, *, binary_output: bool = False, T: Any = np.float32
) -> Tensor:
    """DenseBincount: of all items, or of each row of a matrix."""
    rank = len(shape(x))
    if rank not in (1, 2):
        raise Unsupported(f"input of shape {shape(x)}")
    ask_extent(size, "the number of counts")
    counts = _count(b, unsqueeze(b, x, [0]) if rank == 1 else x, size, weights, weights.dtype, binary_output)
    return squeeze(b, counts, [0]) if rank == 1 else counts


@to_nnef("tf", "Bincount")
def bincount(b: Builder, x: Tensor, size: Int, weights: Tensor) -> Tensor:
    """Bincount: of all items."""
    flat = reshape(b, x, [1, math.prod(shape(x))])
    return squeeze(b, _count(b, flat, size, weights, weights.dtype, False), [0])


@to_nnef("tf", "HistogramFixedWidth")
def histogram_fixed_width(b: Builder, x: Tensor, value_range: Array, count: Int, *, dtype: Any = np.int32) -> Tensor:
    """HistogramFixedWidth: the first and the last bin take what lies outside.

    TensorFlow divides the distance from the lower end by the width in float64. An item is in bin k or later if it is
    at least the smallest number of its type for which this quotient is k.
    """
    low, high = (np.float64(end) for end in value_range)
    total = math.prod(shape(x))
    if not low < high or count < 1:
        raise Unsupported(f"{count} bins from {low} to {high}")
    if count == 1:
        return b.constant(np.asarray([total], dtype))
    ask_extent(count, "the number of bins")
    bounds = [_smallest(k, low, (high - low) / count, x.dtype) for k in range(1, count)]
    reached = b.ge(reshape(b, x, [total, 1]), b.constant(np.asarray([bounds], x.dtype)))
    later = squeeze(b, b.sum_reduce(b.select(reached, 1.0, 0.0), axes=[0]), [0])
    all_, none = (b.constant(np.asarray([number], np.float32)) for number in (total, 0))
    return b.cast(b.sub(b.concat([all_, later], axis=0), b.concat([later, none], axis=0)), dtype)


def _smallest(k: int, low: Any, width: Any, dtype: Any) -> Any:
    """The smallest number of the type whose distance from low, over the width, is not below k."""

    def reaches(number: Any) -> bool:
        return bool((np.float64(number) - low) / width >= k)

    found = dtype(low + k * width)
    while reaches(found):
        found = np.nextafter(found, dtype(-np.inf))
    while not reaches(found):
        found = np.nextafter(found, dtype(np.inf))
    return found


def _bound(below: str) -> Callable[..., Tensor]:
    def convert(b: Builder, rows: Tensor, values: Tensor, *, out_type: Any = np.int32) -> Tensor:
        before = b.single(below, unsqueeze(b, rows, [1]), unsqueeze(b, values, [2]))
        return b.cast(squeeze(b, b.sum_reduce(b.select(before, 1.0, 0.0), axes=[2]), [2]), out_type)

    return convert


to_nnef("tf", "LowerBound")(_bound("lt"))
to_nnef("tf", "UpperBound")(_bound("le"))
