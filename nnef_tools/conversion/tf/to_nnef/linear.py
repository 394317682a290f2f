"""Matrix products and determinants."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape, transpose, unsqueeze
from ...compose.einsum import einsum
from ...compose.number_types import convert_dtype
from ...engine.rules import to_nnef


@to_nnef("tf", "MatMul")
def matmul(
    b: Builder,
    x: Tensor,
    y: Tensor,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    grad_a: bool = False,
    grad_b: bool = False,
) -> Tensor:
    """MatMul -> matmul of two matrices."""
    return b.matmul(x, y, transposeA=transpose_a, transposeB=transpose_b)


@to_nnef("tf", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def batch_matmul(
    b: Builder,
    x: Tensor,
    y: Tensor,
    *,
    adj_x: bool = False,
    adj_y: bool = False,
    grad_x: bool = False,
    grad_y: bool = False,
    Tout: Any = None,
) -> Tensor:
    """BatchMatMul -> matmul; the leading dimensions broadcast from the right."""
    rank = max(len(shape(x)), len(shape(y)))
    x = unsqueeze(b, x, range(rank - len(shape(x))))
    y = unsqueeze(b, y, range(rank - len(shape(y))))
    if Tout is not None and Tout is not x.dtype:
        x, y = convert_dtype(b, x, Tout), convert_dtype(b, y, Tout)
    return b.matmul(x, y, transposeA=adj_x, transposeB=adj_y)


@to_nnef("tf", "Einsum")
def einsum_of(b: Builder, *xs: Tensor, equation: str) -> Tensor:
    """Einsum: diagonals, sums, matrix products and transposes."""
    return einsum(b, xs, equation)


@to_nnef("tf", "MatrixDeterminant")
def determinant(b: Builder, x: Tensor) -> Tensor:
    """MatrixDeterminant -> det."""
    return b.det(x)


@to_nnef("tf", "MatrixInverse")
def matrix_inverse(b: Builder, x: Tensor, *, adjoint: bool = False) -> Tensor:
    """MatrixInverse -> inverse; with adjoint that of the transposed matrices."""
    rank = len(shape(x))
    return b.inverse(transpose(b, x, [*range(rank - 2), rank - 1, rank - 2]) if adjoint else x)


@to_nnef("tf", "Cross")
def cross(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Cross product along the last axis: x[1, 2, 0] * y[2, 0, 1] - x[2, 0, 1] * y[1, 2, 0]."""
    k = len(shape(x)) - 1
    one, two = b.constant(np.asarray([1, 2, 0])), b.constant(np.asarray([2, 0, 1]))
    left = b.mul(b.gather(x, one, axis=k), b.gather(y, two, axis=k))
    return b.sub(left, b.mul(b.gather(x, two, axis=k), b.gather(y, one, axis=k)))
