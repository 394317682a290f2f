"""Gather, scatter and friends; order statistics."""

from __future__ import annotations

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..builder import Builder
from ..rules import Array, Int, to_nnef
from .common import positive, reshape, shape, unsqueeze


def non_negative(b: Builder, indices: Tensor, extent: int) -> Tensor:
    """Indices with negative ones counted from the end, as NNEF's gather wants them."""
    if indices.data is not None:
        known = np.asarray(indices.data)
        if np.any(known < -extent) or np.any(known >= extent):
            raise Unsupported(f"indices are out of range for extent {extent}")
        return b.constant(np.where(known < 0, known + extent, known).astype(np.int64))
    producer = indices.producer
    if producer is not None and producer.type in ("argmax_reduce", "argmin_reduce"):
        return indices
    values = b.cast(indices, np.float32)
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
    positions = np.arange(depth, dtype=np.float32).reshape([depth if j == k else 1 for j in range(rank)])
    index = b.cast(indices, np.float32)
    index = unsqueeze(b, b.select(b.lt(index, 0.0), b.add(index, float(depth)), index), [k])
    off, on = (reshape(b, part, []) for part in b.split(values, axis=0, ratios=[1, 1]))
    return b.select(b.eq(b.constant(positions), index), on, off)


@to_nnef("onnx", "Compress", since=9)
def compress(b: Builder, x: Tensor, condition: Array, *, axis: int | None = None) -> Tensor:
    """Compress with a constant condition -> gather."""
    if axis is None:
        x, k = reshape(b, x, [int(np.prod(shape(x)))]), 0
    else:
        k = positive(axis, len(shape(x)))
    chosen = np.flatnonzero(condition)
    if not chosen.size:
        raise Unsupported("the result would be empty; NNEF has no empty tensors")
    return b.gather(x, b.constant(chosen.astype(np.int64)), axis=k)


@to_nnef("onnx", "TopK")
def top_k_attribute(b: Builder, x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """TopK-1: k is an attribute."""
    return top_k(b, x, k, axis=axis)


@to_nnef("onnx", "TopK", since=10)
def top_k(b: Builder, x: Tensor, k: Int, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    """TopK -> top_k."""
    values, indices = b.top_k(x, k=k, axis=positive(axis, len(shape(x))), largest=bool(largest), sorted=bool(sorted))
    return values, indices


@to_nnef("onnx", "CumSum", since=11)
def cumulative_sum(b: Builder, x: Tensor, axis: Int, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """CumSum -> cum_sum."""
    return b.cum_sum(x, axis=positive(axis, len(shape(x))), exclusive=bool(exclusive), reverse=bool(reverse))


@to_nnef("onnx", "Trilu", since=14)
def triangle(b: Builder, x: Tensor, k: Int | None = None, *, upper: int = 1) -> Tensor:
    """Trilu: the upper or lower triangle of each matrix, zero elsewhere."""
    own = shape(x)
    ones = np.ones(own[-2:], np.bool_)
    mask = np.triu(ones, k or 0) if upper else np.tril(ones, k or 0)
    return b.select(b.constant(mask.reshape([1] * (len(own) - 2) + own[-2:])), x, b.constant(np.zeros((), x.dtype)))


@to_nnef("onnx", "NonZero", since=9)
def non_zero(b: Builder, x: Array) -> Tensor:
    """NonZero of a constant: a constant; of anything else the shape depends on the data."""
    return b.constant(np.stack(np.nonzero(x)).astype(np.int64))
