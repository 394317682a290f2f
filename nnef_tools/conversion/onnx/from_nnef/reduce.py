"""NNEF to ONNX: reductions, running sums, the best elements."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....model import Tensor
from ...building.target import known
from ...engine.rules import from_nnef
from ...maths.generated import filled
from ..building import OnnxBuilder
from ..common import shape
from .substitutes import numbers


@from_nnef("onnx", "mean_reduce")
def mean_reduce(b: OnnxBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """mean_reduce -> GlobalAveragePool over all of two or three spatial axes, else ReduceMean.

    The pooling has kernels for the layouts that runtimes choose, but for float32 only. Runtimes look for ReduceMean
    over a single last axis when they fuse layer normalization.
    """
    own = shape(input)
    if b.real is np.float32 and len(own) in (4, 5) and sorted(axes) == list(range(2, len(own))):
        return known(b.GlobalAveragePool(input), [*own[:2], *[1] * (len(own) - 2)])
    return b.reduce("mean", input, axes)


def _arg(onnx: str) -> Callable[..., Tensor]:
    def convert(b: OnnxBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        """Merges several axes; positions are then row-major in ascending order of the axes."""
        own, chosen = shape(input), sorted(axes)
        result = [1 if k in chosen else n for k, n in enumerate(own)]
        if not chosen:
            return b.constant(np.broadcast_to(np.int64(0), own))
        if len(chosen) == 1:
            return known(b.op(onnx, input, axis=chosen[0], keepdims=1), result, np.int64)
        rest = [k for k in range(len(own)) if k not in chosen]
        flat = b.reshape(
            b.transpose(input, [*rest, *chosen]), [*(own[k] for k in rest), math.prod(own[k] for k in chosen)]
        )
        index = known(b.op(onnx, flat, axis=len(rest), keepdims=0), [own[k] for k in rest], np.int64)
        return b.reshape(index, result)

    return convert


from_nnef("onnx", "argmax_reduce")(_arg("ArgMax"))
from_nnef("onnx", "argmin_reduce")(_arg("ArgMin"))


@from_nnef("onnx", "moments")
def moments(b: OnnxBuilder, input: Tensor, *, axes: list[int]) -> tuple[Tensor, Tensor]:
    """moments -> ReduceMean of the input and of the squared difference from that."""
    mean = b.reduce("mean", input, axes)
    difference = b.elementwise(b.Sub, input, mean)
    return mean, b.reduce("mean", b.elementwise(b.Pow, difference, b.scalar(2.0)), axes)


@from_nnef("onnx", "cum_sum")
def cum_sum(b: OnnxBuilder, x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """cum_sum -> CumSum."""
    (x,), dtype = numbers(b, True, x), x.dtype
    result = b.CumSum(x, b.constant(axis, np.int64), exclusive=int(exclusive), reverse=int(reverse))
    return b.cast(known(result, shape(x), x.dtype), dtype)


@from_nnef("onnx", "cum_prod")
def cum_prod(b: OnnxBuilder, x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """cum_prod -> CumProd; before version 26 products by doubling the distance, log2(extent) steps."""
    if x.dtype is np.bool_:
        (number,) = numbers(b, True, x)
        return b.cast(cum_prod(b, number, axis=axis, exclusive=exclusive, reverse=reverse), np.bool_)
    if b.version >= 26:
        result = b.CumProd(x, b.constant(axis, np.int64), exclusive=int(exclusive), reverse=int(reverse))
        return known(result, shape(x), x.dtype)
    k = axis + len(shape(x)) if axis < 0 else axis
    extent = shape(x)[k]

    def shifted(y: Tensor, distance: int) -> Tensor:
        kept = range(distance, extent) if reverse else range(extent - distance)
        ones = b.constant(filled([distance if j == k else n for j, n in enumerate(shape(x))], 1, x.dtype))
        part = b.slice(y, {k: kept})
        return b.concat([part, ones] if reverse else [ones, part], k)

    y = shifted(x, 1) if exclusive and extent > 1 else x
    if exclusive and extent == 1:
        return b.constant(filled(shape(x), 1, x.dtype))
    distance = 1
    while distance < extent:
        y = b.elementwise(b.Mul, y, shifted(y, distance))
        distance *= 2
    return y


@from_nnef("onnx", "top_k")
def top_k(b: OnnxBuilder, x: Tensor, *, k: int, axis: int, largest: bool, sorted: bool) -> tuple[Tensor, Tensor]:
    """top_k -> TopK."""
    (number,) = numbers(b, True, x)
    values, indices = b.TopK(number, b.ints([k]), axis=axis, largest=int(largest), sorted=int(sorted), outputs=2)
    dims = [k if j == axis % len(shape(x)) else n for j, n in enumerate(shape(x))]
    return b.cast(known(values, dims, number.dtype), x.dtype), known(indices, dims, np.int64)
