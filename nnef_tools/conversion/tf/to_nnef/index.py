"""Operators with computed positions: gather, scatter, one-hot, dynamic stitching, segments in any order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER
from ...building.nnef import Builder
from ...building.shapes import positive, reshape, shape, squeeze, transpose, unsqueeze
from ...compose.counts import non_zero_positions
from ...engine.rules import Array, Int, Ints, to_nnef
from ...maths import generated


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
    start = generated.positions(count).reshape(batch) * extent
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


@to_nnef("tf", "UnravelIndex")
def unravel_index(b: Builder, indices: Tensor, dims: Ints) -> Tensor:
    """UnravelIndex: `[n]` positions in dimensions flattened as `[rank, n]` positions in these dimensions."""
    known = b.value(indices)
    if known is not None:
        return b.constant(np.stack(np.unravel_index(known, tuple(dims))).astype(indices.dtype))
    if math.prod(dims) > MAX_EXACT_INTEGER:
        raise Unsupported(f"{math.prod(dims)} positions are too many to count in float32")
    rest = b.cast(indices, np.float32)
    places = []
    for extent in reversed(dims[1:]):
        quotient = b.floor(b.div(rest, float(extent)))
        places.append(b.sub(rest, b.mul(quotient, float(extent))))
        rest = quotient
    return b.cast(b.stack([rest, *reversed(places)], axis=0), indices.dtype)


@to_nnef("tf", "OneHot")
def one_hot(b: Builder, indices: Tensor, depth: Int, on: Tensor, off: Tensor, *, axis: int = -1) -> Tensor:
    """OneHot: `on` where the position along the new axis equals the index, else `off`."""
    rank = len(shape(indices)) + 1
    k = positive(axis, rank)
    places = generated.positions(depth, np.float32).reshape([depth if j == k else 1 for j in range(rank)])
    return b.select(b.eq(b.constant(places), unsqueeze(b, b.cast(indices, np.float32), [k])), on, off)


@to_nnef("tf", "InTopK")
def in_top_k(b: Builder, predictions: Tensor, targets: Tensor, *, k: int) -> Tensor:
    """InTopK: fewer than k predictions of the row are above that of the target, and the row is finite."""
    rows, columns = shape(predictions)
    start = generated.positions(rows) * columns
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
def where(b: Builder, x: Tensor) -> Tensor:
    """Where of a constant: the positions of what is not zero. Of anything else: all positions, of which some count."""
    known = b.value(x)
    if known is None:
        return transpose(b, non_zero_positions(b, x), [1, 0])
    return b.constant(np.argwhere(known).astype(np.int64))


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


def _scattered(b: Builder, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    count = shape(indices)[-1]
    if not 0 < count <= len(shape(x)):
        raise Unsupported(f"indices of shape {shape(indices)} for shape {shape(x)}")
    return b.scatter_nd(x, indices, updates, reduction=reduction)


@to_nnef("tf", "ScatterNd")
def scatter_nd(b: Builder, indices: Tensor, updates: Tensor, new: Ints, *, bad_indices_policy: str = "") -> Tensor:
    """ScatterNd -> scatter_nd into zeros; updates of one position add up."""
    return _scattered(b, b.constant(np.broadcast_to(np.zeros((), updates.dtype), new)), indices, updates, "add")


def _tensor_scatter(reduction: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, indices: Tensor, updates: Tensor, *, bad_indices_policy: str = "") -> Tensor:
        return _scattered(b, x, indices, updates, reduction)

    return convert


to_nnef("tf", "TensorScatterUpdate")(_tensor_scatter("none"))
to_nnef("tf", "TensorScatterAdd")(_tensor_scatter("add"))
to_nnef("tf", "TensorScatterMin")(_tensor_scatter("min"))
to_nnef("tf", "TensorScatterMax")(_tensor_scatter("max"))


@to_nnef("tf", "TensorScatterSub")
def tensor_scatter_sub(
    b: Builder, x: Tensor, indices: Tensor, updates: Tensor, *, bad_indices_policy: str = ""
) -> Tensor:
    """TensorScatterSub -> scatter_nd that adds the negative."""
    return _scattered(b, x, indices, b.neg(updates), "add")


@to_nnef("tf", "DynamicStitch", "ParallelDynamicStitch")
def dynamic_stitch(b: Builder, *xs: Tensor, N: int) -> Tensor:
    """DynamicStitch with constant indices: concat and gather; of repeated positions the last one counts."""
    positions, rows = [], []
    for index, data in zip(xs[:N], xs[N:], strict=True):
        known = b.value(index)
        if known is None:
            raise Unsupported("the indices must be constant, but they are computed from the inputs")
        if known.size:
            positions.append(known.reshape(-1))
            rows.append(reshape(b, data, [known.size, *shape(data)[known.ndim :]]))
    if not rows:
        raise Unsupported("the result would be empty; NNEF has no empty tensors")
    flat = np.concatenate(positions)
    source = generated.filled([int(flat.max()) + 1], -1, np.int64)
    source[flat] = np.arange(len(flat))
    if np.any(source < 0):
        raise Unsupported("positions of the result that no index names have no defined value")
    joined = rows[0] if len(rows) == 1 else b.concat(rows, axis=0)
    return joined if np.array_equal(source, np.arange(len(flat))) else b.gather(joined, b.constant(source), axis=0)


def _unsorted_segments(reduction: str, start: Callable[[Any], Any]) -> Callable[..., Tensor]:
    """Rows scattered to the segments that are named for them, into the neutral element."""

    def convert(b: Builder, x: Tensor, ids: Tensor, count: Int) -> Tensor:
        rank = len(shape(ids))
        inner = shape(x)[rank:]
        rows = math.prod(shape(ids))
        base = b.constant(generated.filled([count, *inner], start(x.dtype), x.dtype))
        known = b.value(ids)
        if known is not None and np.any(known < 0):
            kept = np.flatnonzero(known.reshape(-1) >= 0)
            if not kept.size:
                return base
            flat = b.gather(reshape(b, x, [rows, *inner]), b.constant(kept), axis=0)
            return b.scatter_nd(
                base, b.constant(known.reshape(-1, 1)[kept].astype(np.int64)), flat, reduction=reduction
            )
        flat = reshape(b, x, [rows, *inner])
        return b.scatter_nd(base, reshape(b, ids, [rows, 1]), flat, reduction=reduction)

    return convert


def _lowest(dtype: Any) -> Any:
    return np.finfo(dtype).min if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).min


def _highest(dtype: Any) -> Any:
    return np.finfo(dtype).max if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max


to_nnef("tf", "UnsortedSegmentSum")(_unsorted_segments("add", lambda dtype: 0))
to_nnef("tf", "UnsortedSegmentProd")(_unsorted_segments("mul", lambda dtype: 1))
to_nnef("tf", "UnsortedSegmentMax")(_unsorted_segments("max", _lowest))
to_nnef("tf", "UnsortedSegmentMin")(_unsorted_segments("min", _highest))
