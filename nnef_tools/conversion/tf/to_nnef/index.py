"""Gather and friends; order statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER
from ...building.nnef import Builder
from ...building.shapes import positive, reshape, shape, squeeze, transpose, unsqueeze
from ...engine.rules import Array, Int, to_nnef


@to_nnef("tf", "Gather")
def gather_first(b: Builder, x: Tensor, indices: Tensor, *, validate_indices: bool = True) -> Tensor:
    """Gather -> gather along the first axis."""
    return b.gather(x, indices, axis=0)


@to_nnef("tf", "ResourceGather")
def resource_gather(
    b: Builder, x: Tensor, indices: Tensor, *, batch_dims: int = 0, validate_indices: bool = True
) -> Tensor:
    """ResourceGather -> gather along the first axis that is not shared."""
    return gather(b, x, indices, batch_dims, batch_dims=batch_dims)


@to_nnef("tf", "GatherV2")
def gather(b: Builder, x: Tensor, indices: Tensor, axis: Int, *, batch_dims: int = 0) -> Tensor:
    """GatherV2 -> gather. Leading dimensions that both share are flattened into the axis, indices moved accordingly."""
    k = positive(axis, len(shape(x)))
    shared = batch_dims + len(shape(indices)) if batch_dims < 0 else batch_dims
    if shared == 0:
        return b.gather(x, indices, axis=k)
    own = shape(x)
    rank = len(own)
    batch, extent = own[:shared], own[k]
    if shared > k or shape(indices)[:shared] != batch:
        raise Unsupported(f"batch_dims {batch_dims} for shapes {own} and {shape(indices)} along axis {k}")
    between, behind = own[shared:k], own[k + 1 :]
    count = math.prod(batch)
    x = transpose(b, x, [*range(shared), k, *range(shared, k), *range(k + 1, rank)])
    flat = reshape(b, x, [count * extent, *between, *behind])
    start = np.arange(count).reshape(batch) * extent
    moved = _moved(b, indices, start.reshape([*batch, *[1] * (len(shape(indices)) - shared)]), count * extent)
    y = b.gather(flat, moved, axis=0)
    inner = len(shape(indices)) - shared
    first, last = shared + inner, shared + inner + len(between)
    return transpose(b, y, [*range(shared), *range(first, last), *range(shared, first), *range(last, len(shape(y)))])


def _moved(b: Builder, indices: Tensor, start: Any, limit: int) -> Tensor:
    """Indices plus a constant, all below the limit."""
    known = b.value(indices)
    if known is not None:
        return b.constant(known.astype(np.int64) + start)
    if limit > MAX_EXACT_INTEGER:
        raise Unsupported(f"{limit} positions are too many to count in float32")
    return b.cast(b.add(b.cast(indices, np.float32), b.constant(start, np.float32)), np.int64)


def flat_indices(b: Builder, indices: Tensor, extents: list[int]) -> Tensor:
    """`[..., n]` positions in n dimensions as `[...]` positions in these dimensions flattened."""
    steps = np.asarray([math.prod(extents[k + 1 :]) for k in range(len(extents))], np.int64)
    known = b.value(indices)
    if known is not None:
        return b.constant((known.astype(np.int64) * steps).sum(axis=-1))
    last = len(shape(indices)) - 1
    if len(extents) == 1:
        return squeeze(b, indices, [last])
    if math.prod(extents) > MAX_EXACT_INTEGER:
        raise Unsupported(f"{math.prod(extents)} positions are too many to count in float32")
    weights = b.constant(steps.reshape([1] * last + [-1]), np.float32)
    total = b.sum_reduce(b.mul(b.cast(indices, np.float32), weights), axes=[last])
    return b.cast(squeeze(b, total, [last]), np.int64)


@to_nnef("tf", "GatherNd")
def gather_nd(b: Builder, x: Tensor, indices: Tensor, *, bad_indices_policy: str = "") -> Tensor:
    """GatherNd: gather along the addressed dimensions as one."""
    count = shape(indices)[-1]
    if not 0 < count <= len(shape(x)):
        raise Unsupported(f"indices of shape {shape(indices)} for shape {shape(x)}")
    addressed, rest = shape(x)[:count], shape(x)[count:]
    flat = reshape(b, x, [math.prod(addressed), *rest])
    return b.gather(flat, flat_indices(b, indices, addressed), axis=0)


@to_nnef("tf", "OneHot")
def one_hot(b: Builder, indices: Tensor, depth: Int, on: Tensor, off: Tensor, *, axis: int = -1) -> Tensor:
    """OneHot: `on` where the position along the new axis equals the index, else `off`."""
    rank = len(shape(indices)) + 1
    k = positive(axis, rank)
    positions = np.arange(depth, dtype=np.float32).reshape([depth if j == k else 1 for j in range(rank)])
    return b.select(b.eq(b.constant(positions), unsqueeze(b, b.cast(indices, np.float32), [k])), on, off)


@to_nnef("tf", "TopKV2")
def top_k(b: Builder, x: Tensor, k: Int, *, sorted: bool = True, index_type: Any = np.int32) -> tuple[Tensor, Tensor]:
    """TopKV2 -> top_k along the last axis."""
    values, indices = b.top_k(x, k=k, axis=len(shape(x)) - 1, largest=True, sorted=sorted)
    return values, indices


@to_nnef("tf", "TopK")
def top_k_attribute(b: Builder, x: Tensor, *, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """TopK: k is an attribute."""
    return top_k(b, x, k, sorted=sorted)


@to_nnef("tf", "InTopK")
def in_top_k(b: Builder, predictions: Tensor, targets: Tensor, *, k: int) -> Tensor:
    """InTopK: fewer than k predictions of the row are above that of the target, and the row is finite."""
    rows, columns = shape(predictions)
    start = np.arange(rows) * columns
    flat = reshape(b, predictions, [rows * columns])
    chosen = reshape(b, b.gather(flat, _moved(b, targets, start, rows * columns), axis=0), [rows, 1])
    above = b.sum_reduce(b.select(b.gt(predictions, chosen), 1.0, 0.0), axes=[1])
    difference = b.sub(predictions, predictions)
    finite = b.all_reduce(b.eq(difference, difference), axes=[1])
    return squeeze(b, b.and_(b.lt(above, float(k)), finite), [1])


@to_nnef("tf", "InTopKV2")
def in_top_k_input(b: Builder, predictions: Tensor, targets: Tensor, k: Int) -> Tensor:
    """InTopKV2: k is an input."""
    return in_top_k(b, predictions, targets, k=k)


@to_nnef("tf", "Where")
def where(b: Builder, x: Array) -> Tensor:
    """Where of a constant: the positions of what is not zero."""
    return b.constant(np.argwhere(x).astype(np.int64))


@to_nnef("tf", "Unique")
def unique(b: Builder, x: Array, *, out_idx: Any = np.int32) -> tuple[Tensor, Tensor]:
    """Unique of a constant: in the order of the first occurrence."""
    values, first, inverse = np.unique(x, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return b.constant(values[order]), b.constant(np.argsort(order)[inverse.reshape(-1)].astype(out_idx))


@to_nnef("tf", "ListDiff")
def list_difference(b: Builder, x: Array, y: Array, *, out_idx: Any = np.int32) -> tuple[Tensor, Tensor]:
    """ListDiff of constants: what is in x and not in y, and where."""
    kept = np.flatnonzero(~np.isin(x, y))
    return b.constant(x[kept]), b.constant(kept.astype(out_idx))
