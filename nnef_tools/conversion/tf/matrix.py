"""Matrix products, diagonals and bands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..build import reshape, shape, unsqueeze
from ..builder import Builder
from ..einsum import einsum
from ..narrow import convert_dtype
from ..parts import slice_axes
from ..rules import Int, Ints, to_nnef


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


@to_nnef("tf", "Cross")
def cross(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """Cross product along the last axis: x[1, 2, 0] * y[2, 0, 1] - x[2, 0, 1] * y[1, 2, 0]."""
    k = len(shape(x)) - 1
    one, two = b.constant(np.asarray([1, 2, 0])), b.constant(np.asarray([2, 0, 1]))
    left = b.mul(b.gather(x, one, axis=k), b.gather(y, two, axis=k))
    return b.sub(left, b.mul(b.gather(x, two, axis=k), b.gather(y, one, axis=k)))


def _masked(b: Builder, mask: Any, x: Tensor, other: Tensor) -> Tensor:
    """x where the mask over the last two dimensions is true, else the other."""
    rank = max(len(shape(x)), len(shape(other)))
    column = b.constant(mask.reshape([1] * (rank - 2) + list(mask.shape)))
    return b.select(column, x, other)


@to_nnef("tf", "MatrixBandPart", "BatchMatrixBandPart")
def matrix_band_part(b: Builder, x: Tensor, lower: Int, upper: Int) -> Tensor:
    """MatrixBandPart: zero outside of the band; a negative number of diagonals keeps the whole triangle."""
    rows, columns = shape(x)[-2:]
    offset = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    mask = ((lower < 0) | (-offset <= lower)) & ((upper < 0) | (offset <= upper))
    return _masked(b, mask, x, b.constant(0, x.dtype))


@to_nnef("tf", "MatrixDiag", "BatchMatrixDiag")
def matrix_diag(b: Builder, x: Tensor) -> Tensor:
    """MatrixDiag: square matrices with these diagonals, zero elsewhere."""
    rank = len(shape(x))
    return _masked(b, np.eye(shape(x)[-1], dtype=np.bool_), unsqueeze(b, x, [rank]), b.constant(0, x.dtype))


def _main_diagonal(k: list[int]) -> None:
    if any(k):
        raise Unsupported(f"diagonals {k}; only the main one is supported")


@to_nnef("tf", "MatrixDiagV2", "MatrixDiagV3")
def matrix_diag_padded(
    b: Builder,
    x: Tensor,
    k: Ints,
    rows: Int,
    columns: Int,
    padding: Tensor,
    *,
    align: str = "RIGHT_LEFT",
) -> Tensor:
    """MatrixDiagV3 of the main diagonal."""
    _main_diagonal(k)
    n = shape(x)[-1]
    height, width = n if rows < 0 else rows, n if columns < 0 else columns
    if min(height, width) != n:
        raise Unsupported(f"a diagonal of {n} items does not fit {height} x {width}")
    rank = len(shape(x))
    extent = max(height, width)
    if extent > n:
        x = b.pad(x, padding=[(0, 0)] * (rank - 1) + [(0, extent - n)])
    longer = unsqueeze(b, x, [rank - 1] if width > height else [rank])
    return _masked(b, np.eye(height, width, dtype=np.bool_), longer, reshape(b, padding, []))


def _diagonal(b: Builder, x: Tensor) -> Tensor:
    """The main diagonals of the matrices in the last two dimensions."""
    *batch, rows, columns = shape(x)
    n = min(rows, columns)
    x = slice_axes(b, x, [0], [n], [len(batch)], [1])
    flat = reshape(b, x, [*batch, n * columns])
    return slice_axes(b, flat, [0], [n * columns], [len(batch)], [columns + 1])


@to_nnef("tf", "MatrixDiagPart", "BatchMatrixDiagPart")
def matrix_diag_part(b: Builder, x: Tensor) -> Tensor:
    """MatrixDiagPart: the main diagonals."""
    return _diagonal(b, x)


@to_nnef("tf", "MatrixDiagPartV2", "MatrixDiagPartV3")
def matrix_diag_part_padded(b: Builder, x: Tensor, k: Ints, padding: Tensor, *, align: str = "RIGHT_LEFT") -> Tensor:
    """MatrixDiagPartV3 of the main diagonal."""
    _main_diagonal(k)
    return _diagonal(b, x)


@to_nnef("tf", "MatrixSetDiag", "BatchMatrixSetDiag")
def matrix_set_diag(b: Builder, x: Tensor, diagonal: Tensor) -> Tensor:
    """MatrixSetDiag: other main diagonals."""
    *batch, rows, columns = shape(x)
    rank = len(batch) + 2
    extent = max(rows, columns)
    n = shape(diagonal)[-1]
    if extent > n:
        diagonal = b.pad(diagonal, padding=[(0, 0)] * len(batch) + [(0, extent - n)])
    longer = unsqueeze(b, diagonal, [rank - 2] if columns > rows else [rank - 1])
    return _masked(b, np.eye(rows, columns, dtype=np.bool_), longer, x)


@to_nnef("tf", "MatrixSetDiagV2", "MatrixSetDiagV3")
def matrix_set_diag_main(b: Builder, x: Tensor, diagonal: Tensor, k: Ints, *, align: str = "RIGHT_LEFT") -> Tensor:
    """MatrixSetDiagV3 of the main diagonal."""
    _main_diagonal(k)
    return matrix_set_diag(b, x, diagonal)


@to_nnef("tf", "Diag")
def diag(b: Builder, x: Tensor) -> Tensor:
    """Diag: a tensor of twice the rank with the items on its diagonal."""
    n = x.volume or 0
    return reshape(b, matrix_diag(b, reshape(b, x, [n])), [*shape(x), *shape(x)])


@to_nnef("tf", "DiagPart")
def diag_part(b: Builder, x: Tensor) -> Tensor:
    """DiagPart: the inverse of Diag."""
    extents = shape(x)[: len(shape(x)) // 2]
    n = int(np.prod(extents))
    return reshape(b, _diagonal(b, reshape(b, x, [n, n])), extents)
