"""NNEF to TensorFlow: reductions, running sums, the best elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder


def axes_last(axes: Sequence[int], rank: int) -> tuple[list[int], list[int]]:
    """The permutation that brings the axes to the end, in ascending order, and its inverse."""
    order = [*(k for k in range(rank) if k not in axes), *sorted(axes)]
    return order, np.argsort(order).tolist()


def _arg_reduction(tf: str) -> Callable[..., Tensor]:
    def convert(b: TfBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        own = shape(input)
        dims = [1 if k in axes else n for k, n in enumerate(own)]
        x, axis = input, axes[0] if axes else 0
        if len(axes) != 1:
            x, axis = b.transpose(input, axes_last(axes, len(own))[0]), len(own) - len(axes)
            x = b.reshape(x, [*shape(x)[:axis], math.prod(shape(x)[axis:])])
        b.warnings[f"{tf} leaves open which of several equal elements it finds; NNEF takes the first"] = None
        index = b.op(tf, x, b.number(axis), output_type=np.int64)
        return b.reshape(known(index, [n for k, n in enumerate(shape(x)) if k != axis], np.int64), dims)

    return convert


from_nnef("tf", "argmax_reduce")(_arg_reduction("ArgMax"))
from_nnef("tf", "argmin_reduce")(_arg_reduction("ArgMin"))


def _running(tf: str) -> Callable[..., Tensor]:
    def convert(b: TfBuilder, x: Tensor, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
        return known(b.op(tf, x, b.number(axis), exclusive=exclusive, reverse=reverse), shape(x), x.dtype)

    return convert


from_nnef("tf", "cum_sum")(_running("Cumsum"))
from_nnef("tf", "cum_prod")(_running("Cumprod"))


@from_nnef("tf", "top_k")
def top_k(
    b: TfBuilder, x: Tensor, *, k: int, axis: int, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    """top_k -> TopKV2 of the last dimension; for the smallest elements the input is negated."""
    axis %= len(shape(x))
    order, back = axes_last([axis], len(shape(x)))
    y = b.transpose(x, order)
    # -1 - x, unlike -x, does not overflow for integers
    inverted = b.Neg if y.dtype is b.real else b.Invert
    y = y if largest else b.elementwise(inverted, y)
    values, indices = b.TopKV2(y, b.number(k), outputs=2, sorted=sorted)
    dims = [*shape(y)[:-1], k]
    values, indices = known(values, dims, x.dtype), b.cast(known(indices, dims, np.int32), np.int64)
    values = values if largest else b.elementwise(inverted, values)
    return b.transpose(values, back), b.transpose(indices, back)
