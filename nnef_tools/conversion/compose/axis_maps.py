"""Constant maps along one axis of a tensor: picking elements and multiplying by a matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...model import Tensor
from ..building.nnef import Builder
from ..building.shapes import reshape, shape

Array = np.ndarray[Any, Any]


def take(b: Builder, x: Tensor, axis: int, positions: Array) -> Tensor:
    """The elements at these positions of an axis; x itself if that is all of them in order."""
    if np.array_equal(positions, np.arange(shape(x)[axis])):
        return x
    return b.gather(x, b.constant(positions.astype(np.int64)), axis=axis)


def apply_matrix(b: Builder, x: Tensor, axis: int, matrix: Array) -> Tensor:
    """y[..., i, ...] = sum over k of matrix[i, k] * x[..., k, ...]: a matrix `[new extent, extent]` along an axis."""
    own = shape(x)
    rank = len(own)
    rows = len(matrix)
    if axis == rank - 1 and rank >= 2:
        return b.matmul(x, _constant(b, x, matrix.T, rank))
    if axis == rank - 2:
        return b.matmul(_constant(b, x, matrix, rank), x)
    flat = reshape(b, x, [math.prod(own[:axis]), own[axis], math.prod(own[axis + 1 :])])
    y: Tensor = b.matmul(_constant(b, x, matrix, 3), flat)
    return reshape(b, y, [*own[:axis], rows, *own[axis + 1 :]])


def weighted_sum(b: Builder, x: Tensor, axis: int, matrix: Array) -> Tensor:
    """The same as apply_matrix, by gathers for a matrix with at most two elements in each row."""
    columns = np.argsort(-np.abs(matrix), axis=1, kind="stable")[:, :2]
    weights = np.take_along_axis(matrix, columns, axis=1)
    if np.count_nonzero(matrix, axis=1).max() > 2:
        return apply_matrix(b, x, axis, matrix)
    terms = [_scaled(b, take(b, x, axis, columns[:, k]), axis, weights[:, k]) for k in range(columns.shape[1])]
    used = [term for term, weight in zip(terms, weights.T, strict=True) if weight.any()] or terms[:1]
    return used[0] if len(used) == 1 else b.add(*used)


def _scaled(b: Builder, x: Tensor, axis: int, weights: Array) -> Tensor:
    if np.all(weights == 1):
        return x
    column = weights.reshape([-1 if k == axis else 1 for k in range(len(shape(x)))])
    return b.mul(x, b.constant(column, x.dtype))


def _constant(b: Builder, x: Tensor, matrix: Array, rank: int) -> Tensor:
    return b.constant(matrix.reshape([1] * (rank - 2) + list(matrix.shape)), x.dtype)
