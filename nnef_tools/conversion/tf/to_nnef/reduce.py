"""Reductions, positions of extrema, running sums, segments in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....budget import ask_results
from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_float
from ...building.nnef import Builder
from ...building.shapes import all_positive, positive, reshape, shape, squeeze, unsqueeze
from ...engine.rules import Int, Ints, to_nnef
from ...maths.generated import filled, positions
from ...maths.names import REDUCE

Reduction = Callable[[Builder, Tensor, list[int]], Tensor]


def _register(type: str, reduction: Reduction) -> None:
    @to_nnef("tf", type)
    def convert(b: Builder, x: Tensor, axes: Ints, *, keep_dims: bool = False) -> Tensor:
        chosen = all_positive(axes, len(shape(x)))
        if not chosen:
            return reduction(b, x, []) if type == "EuclideanNorm" else x
        result = reduction(b, x, chosen)
        return result if keep_dims else squeeze(b, result, chosen)


def _plain(nnef: str) -> Reduction:
    return lambda b, x, axes: b.single(nnef, x, axes=axes)


def _euclidean_norm(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return b.sqrt(b.sum_reduce(b.sqr(x), axes=axes)) if axes else b.abs(x)


for _row in REDUCE:
    _register(_row.tf, _plain(_row.nnef))
_register("All", _plain("all_reduce"))
_register("Any", _plain("any_reduce"))
_register("EuclideanNorm", _euclidean_norm)


@to_nnef("tf", "L2Loss")
def l2_loss(b: Builder, x: Tensor) -> Tensor:
    """L2Loss: half the sum of squares."""
    axes = list(range(len(shape(x))))
    total = squeeze(b, b.sum_reduce(b.sqr(x), axes=axes), axes) if axes else b.sqr(x)
    return b.mul(total, 0.5)


def _arg(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, axis: Int | None = None, *, output_type: Any = np.int64) -> Tensor:
        k = positive(axis or 0, len(shape(x)))
        source = b.cast(x, np.float32) if x.dtype is np.bool_ else x
        return squeeze(b, b.single(nnef, source, axes=[k]), [k])

    return convert


to_nnef("tf", "ArgMax")(_arg("argmax_reduce"))
to_nnef("tf", "ArgMin")(_arg("argmin_reduce"))


def _running(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, axis: Int, *, exclusive: bool = False, reverse: bool = False) -> Tensor:
        return b.single(nnef, x, axis=positive(axis, len(shape(x))), exclusive=exclusive, reverse=reverse)

    return convert


to_nnef("tf", "Cumsum")(_running("cum_sum"))
to_nnef("tf", "Cumprod")(_running("cum_prod"))


@to_nnef("tf", "CumulativeLogsumexp")
def cumulative_log_sum_exp(
    b: Builder, x: Tensor, axis: Int, *, exclusive: bool = False, reverse: bool = False
) -> Tensor:
    """CumulativeLogsumexp: each sum is taken relative to its own maximum, so that none of its terms is lost.

    exclusive: the logarithm of the sum without terms is minus infinity.
    """
    rank = len(shape(x))
    k = positive(axis, rank)
    extent = shape(x)[k]
    place = positions(extent)
    row, column = (place[None], place[:, None]) if reverse else (place[:, None], place[None])
    taken = column < row if exclusive else column <= row
    mask = b.constant(taken.reshape([extent, extent, *[1] * (rank - 1 - k)])[(None,) * k])
    lowest = float(np.finfo(x.dtype).min)
    terms = unsqueeze(b, x, [k])  # [.., result, term, ..]
    top = b.max_reduce(b.select(mask, terms, lowest), axes=[k + 1])
    total = b.sum_reduce(b.select(mask, b.exp(b.sub(terms, top)), 0.0), axes=[k + 1])
    return squeeze(b, b.add(b.log(total), top), [k + 1])


@to_nnef("tf", "ApproxTopK")
def approximate_top_k(
    b: Builder,
    x: Tensor,
    *,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    is_max_k: bool = True,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Tensor, Tensor]:
    """ApproxTopK -> top_k, which is exact."""
    if not aggregate_to_topk:
        raise Unsupported("aggregate_to_topk = False: the number of results depends on the implementation")
    values, indices = b.top_k(x, k=k, axis=positive(reduction_dimension, len(shape(x))), largest=is_max_k, sorted=True)
    return values, indices


@to_nnef("tf", "TopKV2")
def top_k(b: Builder, x: Tensor, k: Int, *, sorted: bool = True, index_type: Any = np.int32) -> tuple[Tensor, Tensor]:
    """TopKV2 -> top_k along the last axis."""
    values, indices = b.top_k(x, k=k, axis=len(shape(x)) - 1, largest=True, sorted=sorted)
    return values, indices


@to_nnef("tf", "TopK")
def top_k_attribute(b: Builder, x: Tensor, *, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """TopK: k is an attribute."""
    return top_k(b, x, k, sorted=sorted)


@to_nnef("tf", "Bucketize")
def bucketize(b: Builder, x: Tensor, *, boundaries: list[float]) -> Tensor:
    """Bucketize: the number of boundaries that are not above the item."""
    own = shape(x)
    if not boundaries:
        return b.constant(np.broadcast_to(np.int32(0), own))
    edges = b.constant(np.asarray(boundaries, np.float32).reshape([1] * len(own) + [-1]))
    column = reshape(b, x if is_float(x.dtype) else b.cast(x, np.float32), [*own, 1])
    count = b.sum_reduce(b.select(b.ge(column, edges), 1.0, 0.0), axes=[len(own)])
    return b.cast(squeeze(b, count, [len(own)]), np.int32)


def _segments(reduction: str, start: float) -> Callable[..., Tensor]:
    """Sorted segment numbers that are constant: each segment is reduced by itself."""

    def convert(b: Builder, x: Tensor, ids: Ints) -> Tensor:
        if list(ids) != sorted(ids) or not ids or ids[0] < 0 or len(ids) != shape(x)[0]:
            raise Unsupported(f"segment numbers {ids[:8]} are not sorted, or do not fit shape {shape(x)}")
        ask_results(ids[-1] + 1)
        ratios = [ids.count(k) for k in range(ids[-1] + 1)]
        sizes = [n for n in ratios if n]
        parts = iter([x] if len(sizes) == 1 else b.split(x, axis=0, ratios=sizes))
        empty = b.constant(filled([1, *shape(x)[1:]], start, x.dtype))
        rows = [b.single(reduction, next(parts), axes=[0]) if n else empty for n in ratios]
        return rows[0] if len(rows) == 1 else b.concat(rows, axis=0)

    return convert


to_nnef("tf", "SegmentSum")(_segments("sum_reduce", 0.0))
to_nnef("tf", "SegmentMean")(_segments("mean_reduce", 0.0))
to_nnef("tf", "SegmentProd")(_segments("product_reduce", 1.0))
to_nnef("tf", "SegmentMax")(_segments("max_reduce", 0.0))
to_nnef("tf", "SegmentMin")(_segments("min_reduce", 0.0))
