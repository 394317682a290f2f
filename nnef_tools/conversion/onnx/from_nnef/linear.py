"""NNEF to ONNX: matrix products, determinants and inverses."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape
from . import substitutes


def _turned(b: OnnxBuilder, x: Tensor, turned: bool) -> Tensor:
    rank = len(shape(x))
    return b.transpose(x, [*range(rank - 2), rank - 1, rank - 2]) if turned else x


def _lean(b: OnnxBuilder, x: Tensor, rank: int) -> Tensor:
    """A constant matrix without the leading axes of extent 1 that only NNEF needs."""
    own = shape(x)
    only = x.data is not None and len(own) == rank and all(extent == 1 for extent in own[:-2])
    return b.reshape(x, own[-2:]) if only else x


@from_nnef("onnx", "matmul")
def matmul(b: OnnxBuilder, A: Tensor, B: Tensor, *, transposeA: bool, transposeB: bool) -> Tensor:
    """matmul -> MatMul, or Gemm where matrices are transposed."""
    if len(shape(A)) == 2 and len(shape(B)) == 2 and (transposeA or transposeB):
        result: Tensor = b.Gemm(A, B, transA=int(transposeA), transB=int(transposeB))
    else:
        result = b.MatMul(_turned(b, A, transposeA), _turned(b, _lean(b, B, len(shape(A))), transposeB))
    return result


@from_nnef("onnx", "linear")
def linear(b: OnnxBuilder, input: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    """linear -> Gemm."""
    rows = None if is_number(bias, 0.0) else b.per_channel(bias, shape(filter)[0])
    result = known(b.Gemm(input, filter, rows, transB=1), [shape(input)[0], shape(filter)[0]])
    return result if rows is not None or is_number(bias, 0.0) else b.elementwise(b.Add, result, bias)


@from_nnef("onnx", idioms.COLUMN_BIAS)
def column_bias(b: OnnxBuilder, x: Tensor, bias: Tensor) -> Tensor:
    """A number added to a single column -> Add of a vector of one item."""
    return known(b.Add(b.cast(x, b.real), b.reshape(b.cast(bias, b.real), [1])), shape(x))


@from_nnef("onnx", "det")
def det(b: OnnxBuilder, x: Tensor) -> Tensor:
    """det -> Det."""
    if b.real is np.float64:
        return substitutes.determinant(b, x)
    result: Tensor = b.Det(x)
    return result


@from_nnef("onnx", "inverse")
def inverse(b: OnnxBuilder, x: Tensor) -> Tensor:
    """inverse -> Inverse of com.microsoft; ONNX itself has no such operator."""
    result: Tensor = b.Inverse(x, domain="com.microsoft")
    return result
