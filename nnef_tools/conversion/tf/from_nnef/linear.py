"""NNEF to TensorFlow: linear algebra."""

from __future__ import annotations

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ..building import TfBuilder


@from_nnef("tf", "matmul")
def matmul(b: TfBuilder, A: Tensor, B: Tensor, *, transposeA: bool = False, transposeB: bool = False) -> Tensor:
    """matmul -> MatMul for matrices, BatchMatMulV2 for stacks of them."""
    return b.matmul(A, B, transposeA, transposeB)


@from_nnef("tf", "linear")
def linear(b: TfBuilder, input: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    """linear -> MatMul and BiasAdd; the filter is transposed where it is constant."""
    if filter.data is not None:
        y = b.matmul(input, b.transpose(filter, [1, 0]))
    else:
        y = b.matmul(input, filter, transpose_y=True)
    if is_number(bias, 0.0):
        return y
    channels = b.per_channel(bias, shape(filter)[0])
    if channels is None:
        return b.elementwise(b.AddV2, y, b.right_extended(bias, 2))
    return known(b.BiasAdd(y, channels, data_format="NHWC"), shape(y))


@from_nnef("tf", "det")
def determinant(b: TfBuilder, x: Tensor) -> Tensor:
    """det -> MatrixDeterminant."""
    return known(b.MatrixDeterminant(x), shape(x)[:-2])


@from_nnef("tf", "inverse")
def inverse(b: TfBuilder, x: Tensor) -> Tensor:
    """inverse -> MatrixInverse."""
    return known(b.MatrixInverse(x), shape(x))
