"""Constant maps along one axis of a tensor: picking elements, weighted sums of few, and multiplying by a matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...model import Tensor
from ...ops.resize import AxisMap
from ..building.nnef import Builder
from ..building.shapes import reshape, shape
from ..maths.generated import is_every

Array = np.ndarray[Any, Any]

MATRIX_LIMIT = 2**20
"""Items of the largest matrix that stands for a weighted sum of many elements.

Up to there products with it run in about half the time of gathers in onnxruntime, numpy and PyTorch, or better (1024 x
512 elements); beyond they fall behind, and the matrix grows with the product of the extents.
"""
TERMS = 4
"""The most elements of a result that are gathered one by one: cubic interpolation needs that many."""


def take(b: Builder, x: Tensor, axis: int, positions: Array) -> Tensor:
    """The elements at these positions of an axis; x itself if that is all of them in order."""
    if is_every(positions, shape(x)[axis]):
        return x
    return b.gather(x, b.constant(positions.astype(np.int64)), axis=axis)


def apply_matrix(b: Builder, x: Tensor, axis: int, matrix: Array, key: tuple[Any, ...] | None = None) -> Tensor:
    """y[..., i, ...] = sum over k of matrix[i, k] * x[..., k, ...]: a matrix `[new extent, extent]` along an axis.

    key: what the matrix follows from, so that those of the same key are one constant.
    """
    own = shape(x)
    rank = len(own)
    rows = len(matrix)
    if axis == rank - 1 and rank >= 2:
        return b.matmul(x, _constant(b, x, matrix.T, rank, key and (*key, "right")))
    if axis == rank - 2:
        return b.matmul(_constant(b, x, matrix, rank, key), x)
    flat = reshape(b, x, [math.prod(own[:axis]), own[axis], math.prod(own[axis + 1 :])])
    y: Tensor = b.matmul(_constant(b, x, matrix, 3, key), flat)
    return reshape(b, y, [*own[:axis], rows, *own[axis + 1 :]])


def weighted_sum(b: Builder, x: Tensor, axis: int, axis_map: AxisMap) -> Tensor:
    """The map along an axis: two elements of each result are gathered, more are a matrix product if that is small."""
    merged = axis_map.merged()
    positions, weights = merged.positions, merged.weights
    assert weights is not None
    taps = weights.shape[1]
    if taps > 2 and merged.size * merged.extent <= MATRIX_LIMIT:
        return apply_matrix(b, x, axis, merged.matrix())
    if taps > TERMS:
        return _gathered_sum(b, x, axis, positions, weights)
    terms = [_scaled(b, take(b, x, axis, positions[:, k]), axis, weights[:, k]) for k in range(taps)]
    total = terms[0]
    for term in terms[1:]:
        total = b.add(total, term)
    return total


def _gathered_sum(b: Builder, x: Tensor, axis: int, positions: Array, weights: Array) -> Tensor:
    """The weighted sums of elements that are gathered along a new axis."""
    taken = b.gather(x, b.constant(positions.astype(np.int64)), axis=axis)
    factors = weights.reshape([1] * axis + list(weights.shape) + [1] * (len(shape(x)) - 1 - axis))
    total = b.sum_reduce(b.mul(taken, b.constant(factors, x.dtype)), axes=[axis + 1])
    return b.squeeze(total, axes=[axis + 1])


def _scaled(b: Builder, x: Tensor, axis: int, weights: Array) -> Tensor:
    if np.all(weights == 1):
        return x
    column = weights.reshape([-1 if k == axis else 1 for k in range(len(shape(x)))])
    return b.mul(x, b.constant(column, x.dtype))


def _constant(b: Builder, x: Tensor, matrix: Array, rank: int, key: tuple[Any, ...] | None = None) -> Tensor:
    own = (key, rank, x.dtype)
    if key is not None and own in b.views:
        return b.views[own]
    result = b.constant(matrix.reshape([1] * (rank - 2) + list(matrix.shape)), x.dtype)
    if key is not None:
        b.views[own] = result
    return result
