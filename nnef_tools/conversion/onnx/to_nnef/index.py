"""Operators with computed positions: gather, scatter, one-hot, triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER
from ...building.nnef import Builder
from ...compose.counts import non_zero_positions
from ...engine.rules import Int, to_nnef
from ...maths.generated import filled, positions
from ..common import positive, reshape, shape, squeeze, unsqueeze

Array = np.ndarray[Any, Any]


def non_negative(b: Builder, indices: Tensor, extent: int) -> Tensor:
    """Indices with negative ones counted from the end, as NNEF's gather wants them."""
    if indices.data is not None:
        known = np.asarray(indices.data)
        if np.any(known < -extent) or np.any(known >= extent):
            raise InvalidOperator(f"indices are out of range for extent {extent}")
        return b.constant(np.where(known < 0, known + extent, known).astype(np.int64))
    if indices in b.masks and (b.masks.known(indices) is not None or b.masks.relative_to(indices) is not None):
        return indices  # they are positions of all rows
    origin = indices.producer
    while origin is not None and origin.type in ("squeeze", "unsqueeze", "reshape"):
        origin = origin.input.producer
    if origin is not None and origin.type in ("argmax_reduce", "argmin_reduce"):
        return indices
    values = b.cast(indices, np.float32)
    if extent > MAX_EXACT_INTEGER:
        b.rounded.add("gather")
    return b.cast(b.select(b.lt(values, 0.0), b.add(values, float(extent)), values), indices.dtype)


@to_nnef("onnx", "Gather")
def gather(b: Builder, x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Gather -> gather."""
    k = positive(axis, len(shape(x)))
    return b.gather(x, non_negative(b, indices, shape(x)[k]), axis=k)


@to_nnef("onnx", "GatherElements", since=11)
def gather_elements(b: Builder, x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """GatherElements -> gather_elements."""
    return b.gather_elements(x, indices, axis=positive(axis, len(shape(x))))


@to_nnef("onnx", "GatherND", since=11)
def gather_nd(b: Builder, x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """GatherND -> gather_nd."""
    return b.gather_nd(x, indices, batch_dims=batch_dims)


@to_nnef("onnx", "Scatter", since=9)
@to_nnef("onnx", "ScatterElements", since=11)
def scatter_elements(
    b: Builder, x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    """ScatterElements -> scatter_elements."""
    return b.scatter_elements(x, indices, updates, axis=positive(axis, len(shape(x))), reduction=reduction)


@to_nnef("onnx", "ScatterND", since=11)
def scatter_nd(b: Builder, x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """ScatterND -> scatter_nd."""
    return b.scatter_nd(x, indices, updates, reduction=reduction)


@to_nnef("onnx", "OneHot", since=9)
def one_hot(b: Builder, indices: Tensor, depth: Int, values: Tensor, *, axis: int = -1) -> Tensor:
    """OneHot: `on` where the position along the new axis equals the index, else `off`."""
    rank = len(shape(indices)) + 1
    k = positive(axis, rank)
    place = positions(depth, np.float32).reshape([depth if j == k else 1 for j in range(rank)])
    index = b.cast(indices, np.float32)
    index = unsqueeze(b, b.select(b.lt(index, 0.0), b.add(index, float(depth)), index), [k])
    off, on = (reshape(b, part, []) for part in b.split(values, axis=0, ratios=[1, 1]))
    return b.select(b.eq(b.constant(place), index), on, off)


def _known(b: Builder, x: Tensor, what: str) -> Array:
    value = b.value(x)
    if value is None:
        raise Unsupported(f"the shape of the result depends on {what}, which is computed from the inputs")
    return value


@to_nnef("onnx", "Compress", since=9)
def compress(b: Builder, x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    """Compress -> gather: of the rows that a constant condition selects, or of all, of which those count."""
    known = b.value(condition)
    if axis is None:
        x, k = reshape(b, x, [int(np.prod(shape(x)))]), 0
    else:
        k = positive(axis, len(shape(x)))
    if known is None:
        places = squeeze(b, non_zero_positions(b, condition), [0])
        if shape(places)[0] > shape(x)[k]:
            raise Unsupported(f"a condition of {shape(places)[0]} items for {shape(x)[k]} rows")
        return b.gather(x, places, axis=k)
    chosen = np.flatnonzero(known)
    if not chosen.size:
        raise Unsupported("the result would be empty; NNEF has no empty tensors")
    return b.gather(x, b.constant(chosen.astype(np.int64)), axis=k)


@to_nnef("onnx", "Trilu", since=14)
@to_nnef("onnx", "Trilu", domain="com.microsoft")
def triangle(b: Builder, x: Tensor, k: Int | None = None, *, upper: int = 1) -> Tensor:
    """Trilu: the upper or lower triangle of each matrix, zero elsewhere."""
    own = shape(x)
    ones = filled(own[-2:], True, np.bool_)
    mask = np.triu(ones, k or 0) if upper else np.tril(ones, k or 0)
    return b.select(b.constant(mask.reshape([1] * (len(own) - 2) + own[-2:])), x, b.constant(np.zeros((), x.dtype)))


@to_nnef("onnx", "NonZero", since=9)
def non_zero(b: Builder, x: Tensor) -> Tensor:
    """NonZero of a constant: a constant. Of anything else: all positions, of which some count."""
    known = b.value(x)
    if known is None:
        return non_zero_positions(b, x)
    return b.constant(np.stack(np.nonzero(known)).astype(np.int64))


@to_nnef("onnx", "Unique", since=11)
def unique(b: Builder, x: Tensor, *, axis: int | None = None, sorted: int = 1) -> tuple[Tensor, ...]:
    """Unique of a constant: constants. Unsorted means in the order of the first occurrence."""
    known = _known(b, x, "the data")
    values, first, inverse, counts = np.unique(
        known, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        rank = np.argsort(order)
        values = np.take(values, order, axis=0 if axis is None else axis)
        first, inverse, counts = first[order], rank[inverse], counts[order]
    return tuple(b.constant(array) for array in (values, *(a.astype(np.int64) for a in (first, inverse, counts))))


@to_nnef("onnx", "TensorScatter", since=24)
def tensor_scatter(
    b: Builder, cache: Tensor, update: Tensor, starts: Tensor | None = None, *, axis: int = -2, mode: str = "linear"
) -> Tensor:
    """TensorScatter -> scatter_elements at the positions from each item's start on, modulo the extent if circular."""
    own, new = shape(cache), shape(update)
    k = positive(axis, len(own))
    if k == 0 or mode not in ("linear", "circular"):
        raise Unsupported(f"axis = {axis}, mode = '{mode}'")
    steps = positions(new[k], np.float32).reshape([-1 if j == k else 1 for j in range(len(own))])
    begin = b.constant(filled([new[0]], 0, np.float32)) if starts is None else b.cast(starts, np.float32)
    position = b.add(reshape(b, begin, [new[0]] + [1] * (len(own) - 1)), b.constant(steps))
    if mode == "circular":
        position = b.sub(position, b.mul(b.floor(b.div(position, float(own[k]))), float(own[k])))
    repeats = [1 if j in (0, k) else n for j, n in enumerate(new)]
    return b.scatter_elements(cache, b.tile(b.cast(position, np.int64), repeats=repeats), update, axis=k)
