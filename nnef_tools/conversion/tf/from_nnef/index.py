"""NNEF to TensorFlow: operations that gather and scatter by index tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder


@from_nnef("tf", "gather_nd")
def gather_nd(b: TfBuilder, input: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """gather_nd -> GatherNd; batch dimensions become part of the index tuples."""
    own, where = shape(input), shape(indices)
    index = nonnegative(b, indices, own[batch_dims : batch_dims + where[-1]])
    if batch_dims:
        grid = np.indices(where[:-1])[:batch_dims]
        index = b.concat([b.constant(np.moveaxis(grid, 0, -1), np.int64), index], len(where) - 1)
    return known(b.GatherNd(input, index), [*where[:-1], *own[batch_dims + where[-1] :]], input.dtype)


def nonnegative(b: TfBuilder, indices: Tensor, extents: Sequence[int]) -> Tensor:
    """Indices counted from the front. extents: of the axes that the last dimension of the indices goes through."""
    value = b.value(indices)
    if value is not None and np.all(value >= 0):
        return indices
    return b.elementwise(b.FloorMod, indices, _trailing(b, indices, extents))


def _trailing(b: TfBuilder, x: Tensor, values: Sequence[int]) -> Tensor:
    """Constants for the last dimension of x."""
    return b.constant(np.reshape(values, [1] * (len(shape(x)) - 1) + [-1]), np.int64)


@from_nnef("tf", "gather_elements")
def gather_elements(b: TfBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather_elements -> GatherNd with tuples of the own position, but for the axis."""
    tuples = element_tuples(b, input, indices, axis)
    return known(b.GatherNd(input, tuples), shape(indices), input.dtype)


def element_tuples(b: TfBuilder, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """The full position that each index stands for, in a new last dimension."""
    own, where = shape(x), shape(indices)
    axis %= len(own)
    index = b.elementwise(b.FloorMod, indices, b.integer(own[axis]))
    grid = np.indices(where)
    parts = [index if k == axis else b.constant(grid[k], np.int64) for k in range(len(own))]
    return b.stack(parts, len(own))


SCATTER = {
    "none": "TensorScatterUpdate",
    "add": "TensorScatterAdd",
    "min": "TensorScatterMin",
    "max": "TensorScatterMax",
}


def _scatter(b: TfBuilder, x: Tensor, tuples: Tensor, updates: Tensor, reduction: str) -> Tensor:
    if reduction not in SCATTER:
        raise Unsupported(f"TensorFlow has no scatter with reduction '{reduction}'")
    return known(b.op(SCATTER[reduction], x, tuples, b.cast(updates, x.dtype)), shape(x), x.dtype)


@from_nnef("tf", "scatter_elements")
def scatter_elements(
    b: TfBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str = "none"
) -> Tensor:
    """scatter_elements -> TensorScatter... with tuples of the own position, but for the axis."""
    return _scatter(b, input, element_tuples(b, input, indices, axis), updates, reduction)


@from_nnef("tf", "scatter_nd")
def scatter_nd(b: TfBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """scatter_nd -> TensorScatterUpdate and the like."""
    return _scatter(b, input, nonnegative(b, indices, shape(input)[: shape(indices)[-1]]), updates, reduction)
