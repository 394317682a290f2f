"""NNEF to Caffe2: the reductions that it lacks, the best elements, and where they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....budget import ask_operations
from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import Caffe2Builder


@from_nnef("caffe2", "product_reduce")
def product_reduce(b: Caffe2Builder, input: Tensor, *, axes: list[int]) -> Tensor:
    """product_reduce -> Mul of the halves of each axis, as often as they can be halved."""
    x = input
    ask_operations(4 * sum(shape(x)[axis].bit_length() for axis in axes))
    for axis in axes:
        while (extent := shape(x)[axis]) > 1:
            half = extent // 2
            y = b.nnef.mul(b.slice(x, {axis: range(half)}), b.slice(x, {axis: range(half, 2 * half)}))
            x = b.concat([y, b.slice(x, {axis: range(extent - 1, extent)})], axis) if extent % 2 else y
    return x


def _arg_reduction(type: str) -> Callable[..., Tensor]:
    def convert(b: Caffe2Builder, input: Tensor, *, axes: list[int]) -> Tensor:
        own = shape(input)
        dims = [1 if k in axes else n for k, n in enumerate(own)]
        order = [*(k for k in range(len(own)) if k not in axes), *sorted(axes)]
        moved = b.transpose(input, order)
        count = len(own) - len(axes)
        flat = b.reshape(moved, [*shape(moved)[:count], math.prod(shape(moved)[count:])])
        index = known(b.op(type, flat, axis=count, keepdims=1), [*shape(flat)[:count], 1], np.int64)
        return b.reshape(index, dims)

    return convert


from_nnef("caffe2", "argmax_reduce")(_arg_reduction("ArgMax"))
from_nnef("caffe2", "argmin_reduce")(_arg_reduction("ArgMin"))


@from_nnef("caffe2", "top_k")
def top_k(
    b: Caffe2Builder, x: Tensor, *, k: int, axis: int, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    """top_k -> TopK of real numbers; for the smallest elements the input is negated."""
    place = axis % len(shape(x))
    dims = [k if j == place else n for j, n in enumerate(shape(x))]
    if x.dtype is not np.float32:
        b.warnings["TopK on integers is computed in real numbers, exact up to 2**24"] = None
    reals = b.cast(x, np.float32)
    values, indices = b.op("TopK", reals if largest else b.nnef.neg(reals), outputs=2, k=k, axis=place)
    values, indices = known(values, dims), known(indices, dims, np.int64)
    return b.cast(values if largest else b.nnef.neg(values), x.dtype), indices
