"""Scatter, dynamic stitching, segments in any order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...engine.rules import Int, Ints, to_nnef


def _scattered(b: Builder, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    count = shape(indices)[-1]
    if not 0 < count <= len(shape(x)):
        raise Unsupported(f"indices of shape {shape(indices)} for shape {shape(x)}")
    return b.scatter_nd(x, indices, updates, reduction=reduction)


@to_nnef("tf", "ScatterNd")
def scatter_nd(b: Builder, indices: Tensor, updates: Tensor, new: Ints, *, bad_indices_policy: str = "") -> Tensor:
    """ScatterNd -> scatter_nd into zeros; updates of one position add up."""
    return _scattered(b, b.constant(np.zeros(new, updates.dtype)), indices, updates, "add")


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
    source = np.full(int(flat.max()) + 1, -1, np.int64)
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
        base = b.constant(np.full([count, *inner], start(x.dtype), x.dtype))
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
