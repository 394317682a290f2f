"""Reductions, positions of extrema, running sums; axes are an attribute in old versions and an input in new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ....model import Tensor
from ....model.dtypes import is_float
from ...building.nnef import Builder
from ...engine.rules import Int, Ints, to_nnef
from ...maths.names import REDUCE
from ..common import axes_or_all, positive, shape, squeeze

Reduction = Callable[[Builder, Tensor, list[int]], Tensor]


def _reduce(
    b: Builder, x: Tensor, axes: Sequence[int] | None, keepdims: int, noop: int, reduction: Reduction
) -> Tensor:
    if noop and not axes:
        return reduction(b, x, [])
    rank = len(shape(x))
    chosen = axes_or_all(axes, rank)
    result = reduction(b, x, chosen)
    return result if keepdims else squeeze(b, result, chosen)


def _register(onnx: str, input_since: int, reduction: Reduction) -> None:
    @to_nnef("onnx", onnx)
    def by_attribute(b: Builder, x: Tensor, *, axes: list[int] | None = None, keepdims: int = 1) -> Tensor:
        return _reduce(b, x, axes, keepdims, 0, reduction)

    @to_nnef("onnx", onnx, since=input_since)
    def by_input(
        b: Builder, x: Tensor, axes: Ints | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        return _reduce(b, x, axes, keepdims, noop_with_empty_axes, reduction)


def _plain(nnef: str) -> Reduction:
    def reduction(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
        return b.single(nnef, x, axes=axes) if axes else x

    return reduction


def _extremum(nnef: str, logical: str) -> Reduction:
    def reduction(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
        if not axes:
            return x
        return b.single(logical if x.dtype is np.bool_ else nnef, x, axes=axes)

    return reduction


def _mean(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    """A mean of no rows is 0 as in onnxruntime; ONNX leaves it open."""
    if not axes:
        return x
    result = b.mean_reduce(x, axes=axes)
    for mask in (mask for k, mask in b.masks.of(x).items() if k in axes):
        some = b.masks.shaped(b.gt(b.masks.count(mask), b.constant(0, np.int64)), [1] * len(shape(result)))
        result = b.select(some, result, b.constant(0, x.dtype))
    return result


def _sum(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return b.sum_reduce(x, axes=axes) if axes else x


def _l1(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return _sum(b, b.abs(x), axes)


def _l2(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return b.sqrt(_sum(b, b.sqr(x), axes))


def _sum_square(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return _sum(b, b.sqr(x), axes)


def _log_sum(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return b.log(_sum(b, x, axes))


def _log_sum_exp(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    """Stable logarithm of a sum: the maximum is subtracted first. It is kept finite, since inf - inf is NaN."""
    if not axes:
        return x
    top = b.max_reduce(x, axes=axes)
    if is_float(x.dtype):
        limit = float(np.finfo(np.float64 if x.dtype is np.float64 else np.float32).max)
        top = b.clamp(top, -limit, limit)
    return b.add(b.log(_sum(b, b.exp(b.sub(x, top)), axes)), top)


for _row in REDUCE:
    if _row.onnx == "ReduceMax":
        _register(_row.onnx, 18, _extremum(_row.nnef, "any_reduce"))
    elif _row.onnx == "ReduceMin":
        _register(_row.onnx, 18, _extremum(_row.nnef, "all_reduce"))
    elif _row.onnx == "ReduceMean":
        _register(_row.onnx, 18, _mean)
    else:
        _register(_row.onnx, 13 if _row.onnx == "ReduceSum" else 18, _plain(_row.nnef))
_register("ReduceL1", 18, _l1)
_register("ReduceL2", 18, _l2)
_register("ReduceSumSquare", 18, _sum_square)
_register("ReduceLogSum", 18, _log_sum)
_register("ReduceLogSumExp", 18, _log_sum_exp)


def _arg(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        k = positive(axis, len(shape(x)))
        if select_last_index:
            extent = shape(x)[k]
            backwards = b.slice(x, axes=[k], begin=[-1], end=[-extent - 1], stride=[-1])
            index = b.sub(extent - 1, b.single(nnef, backwards, axes=[k]))
        else:
            index = b.single(nnef, x, axes=[k])
        return index if keepdims else squeeze(b, index, [k])

    return convert


to_nnef("onnx", "ArgMax")(_arg("argmax_reduce"))
to_nnef("onnx", "ArgMin")(_arg("argmin_reduce"))


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


@to_nnef("onnx", "CumProd", since=26)
def cumulative_product(b: Builder, x: Tensor, axis: Int, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """CumProd -> cum_prod."""
    return b.cum_prod(x, axis=positive(axis, len(shape(x))), exclusive=bool(exclusive), reverse=bool(reverse))
