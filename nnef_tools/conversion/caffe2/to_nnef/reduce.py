"""Reductions, and positions of extrema."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER
from ...building.nnef import Builder
from ...building.shapes import all_positive, positive, reshape, shape, squeeze
from ...engine.rules import Int, to_nnef
from ...maths.generated import positions

_PLAIN = {"Sum": "sum_reduce", "Mean": "mean_reduce", "Max": "max_reduce", "Min": "min_reduce"}
Reduction = Callable[[Builder, Tensor, list[int]], Tensor]


def _plain(nnef: str) -> Reduction:
    return lambda b, x, axes: b.single(nnef, x, axes=axes) if axes else x


def _l1(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return _plain("sum_reduce")(b, b.abs(x), axes)


def _l2(b: Builder, x: Tensor, axes: list[int]) -> Tensor:
    return b.sqrt(_plain("sum_reduce")(b, b.sqr(x), axes))


def _register(type: str, reduction: Reduction) -> None:
    @to_nnef("caffe2", type)
    def convert(b: Builder, x: Tensor, *, axes: list[int] | None = None, keepdims: int = 1) -> Tensor:
        rank = len(shape(x))
        chosen = all_positive(axes, rank) if axes else list(range(rank))
        result = reduction(b, x, chosen)
        return result if keepdims else squeeze(b, result, chosen)


def _register_ends(kind: str, nnef: str) -> None:
    def reduced(b: Builder, x: Tensor, axes: range) -> Tensor:
        if len(axes) > len(shape(x)):
            raise Unsupported(f"{len(axes)} dimensions of shape {shape(x)}")
        return squeeze(b, _plain(nnef)(b, x, list(axes)), list(axes))

    @to_nnef("caffe2", f"ReduceFront{kind}")
    def front(b: Builder, x: Tensor, *, num_reduce_dim: int = 1) -> Tensor:
        return reduced(b, x, range(num_reduce_dim))

    @to_nnef("caffe2", f"ReduceBack{kind}")
    def back(b: Builder, x: Tensor, *, num_reduce_dim: int = 1) -> Tensor:
        rank = len(shape(x))
        return reduced(b, x, range(rank - num_reduce_dim, rank))


for _kind, _nnef in _PLAIN.items():
    _register(f"Reduce{_kind}", _plain(_nnef))
    if _kind != "Min":
        _register_ends(_kind, _nnef)
_register("ReduceL1", _l1)
_register("ReduceL2", _l2)


def _every(x: Tensor) -> list[int]:
    return list(range(len(shape(x))))


@to_nnef("caffe2", "SumElements")
def sum_elements(b: Builder, x: Tensor, *, average: int = 0) -> Tensor:
    """SumElements: the sum or mean of all items, of rank 0."""
    return reshape(b, b.single("mean_reduce" if average else "sum_reduce", x, axes=_every(x)), [])


@to_nnef("caffe2", "SumSqrElements")
def sum_squares(b: Builder, x: Tensor, *, average: int = 0) -> Tensor:
    """SumSqrElements: the sum or mean of all squares, of rank 0."""
    return sum_elements(b, b.sqr(x), average=average)


@to_nnef("caffe2", "LpNorm")
def lp_norm(b: Builder, x: Tensor, *, p: int = 2, average: int = 0) -> Tensor:
    """LpNorm: the sum or mean of magnitudes or, for p = 2, of squares, without a root; `[1]`."""
    if p not in (1, 2):
        raise Unsupported(f"p = {p}")
    powers = b.abs(x) if p == 1 else b.sqr(x)
    return reshape(b, sum_elements(b, powers, average=average), [1])


@to_nnef("caffe2", "RowwiseMax")
def rowwise_max(b: Builder, x: Tensor) -> Tensor:
    """RowwiseMax: maxima over the last of three axes."""
    return _maxima(b, x, 2)


@to_nnef("caffe2", "ColwiseMax")
def colwise_max(b: Builder, x: Tensor) -> Tensor:
    """ColwiseMax: maxima over the middle one of three axes."""
    return _maxima(b, x, 1)


def _maxima(b: Builder, x: Tensor, axis: int) -> Tensor:
    if len(shape(x)) != 3:
        raise Unsupported(f"an input of shape {shape(x)}")
    return squeeze(b, b.max_reduce(x, axes=[axis]), [axis])


def _extremum(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, *, axis: int = -1, keepdims: int = 1) -> Tensor:
        k = positive(axis, len(shape(x)))
        index = b.single(nnef, x, axes=[k])
        return index if keepdims else squeeze(b, index, [k])

    return convert


to_nnef("caffe2", "ArgMax")(_extremum("argmax_reduce"))
to_nnef("caffe2", "ArgMin")(_extremum("argmin_reduce"))


@to_nnef("caffe2", "TopK")
def top_k(b: Builder, x: Tensor, count: Int | None = None, *, k: int = 1, axis: int = -1) -> tuple[Tensor, ...]:
    """TopK -> top_k; the third result counts positions in the whole tensor."""
    own = shape(x)
    place = positive(axis, len(own))
    values, indices = b.top_k(x, k=k if count is None else count, axis=place, largest=True, sorted=True)
    if not (len(b.wanted) > 2 and b.wanted[2]):
        return values, indices
    if math.prod(own) > MAX_EXACT_INTEGER:
        raise Unsupported(f"an input of shape {own} is too large to count positions in float32")
    step = math.prod(own[place + 1 :])
    total = b.mul(b.cast(indices, np.float32), float(step))
    for axis_before, extent in enumerate(own):
        if axis_before != place:
            stride = math.prod(own[axis_before + 1 :])
            grid = [extent if j == axis_before else 1 for j in range(len(own))]
            total = b.add(total, b.constant((positions(extent, np.float32) * stride).reshape(grid)))
    return values, indices, reshape(b, b.cast(total, np.int64), [math.prod(shape(values))])
