"""NNEF to ONNX: matrix products and normalisation by given statistics."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ..building import cast, elementwise, is_number, known, per_channel, reshape, scalar, transpose
from ..common import shape
from . import substitutes


def _turned(b: PlainBuilder, x: Tensor, turned: bool) -> Tensor:
    rank = len(shape(x))
    return transpose(b, x, [*range(rank - 2), rank - 1, rank - 2]) if turned else x


def _lean(b: PlainBuilder, x: Tensor, rank: int) -> Tensor:
    """A constant matrix without the leading axes of extent 1 that only NNEF needs."""
    own = shape(x)
    only = x.data is not None and len(own) == rank and all(extent == 1 for extent in own[:-2])
    return reshape(b, x, own[-2:]) if only else x


@from_nnef("onnx", "matmul")
def matmul(b: PlainBuilder, A: Tensor, B: Tensor, *, transposeA: bool, transposeB: bool) -> Tensor:
    """matmul -> MatMul, or Gemm where matrices are transposed."""
    if len(shape(A)) == 2 and len(shape(B)) == 2 and (transposeA or transposeB):
        result: Tensor = b.Gemm(A, B, transA=int(transposeA), transB=int(transposeB))
    else:
        result = b.MatMul(_turned(b, A, transposeA), _turned(b, _lean(b, B, len(shape(A))), transposeB))
    return result


@from_nnef("onnx", "linear")
def linear(b: PlainBuilder, input: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    """linear -> Gemm."""
    rows = None if is_number(bias, 0.0) else per_channel(b, bias, shape(filter)[0])
    result = known(b.Gemm(input, filter, rows, transB=1), [shape(input)[0], shape(filter)[0]])
    return result if rows is not None or is_number(bias, 0.0) else elementwise(b, "Add", result, bias)


@from_nnef("onnx", "batch_normalization")
def batch_normalization(
    b: PlainBuilder, input: Tensor, mean: Tensor, variance: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float
) -> Tensor:
    """batch_normalization -> BatchNormalization with parameters per channel; with others by its formula."""
    own = shape(input)
    exact = b.real is np.float32 or float(np.float32(epsilon)) == epsilon  # the attribute is of float32
    if len(own) >= 2 and exact and all(idioms.is_per_channel(x, own[1]) for x in (mean, variance, offset, scale)):
        vectors = [per_channel(b, x, own[1]) for x in (scale, offset, mean, variance)]
        return known(b.BatchNormalization(input, *vectors, epsilon=epsilon), own)
    deviation = elementwise(b, "Sqrt", elementwise(b, "Add", variance, scalar(b, epsilon)))
    centred = elementwise(b, "Sub", input, mean)
    return elementwise(b, "Add", elementwise(b, "Mul", centred, elementwise(b, "Div", scale, deviation)), offset)


@from_nnef("onnx", idioms.INSTANCE_NORMALIZATION)
def instance_normalization(b: PlainBuilder, x: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float) -> Tensor:
    """batch_normalization by the moments of each channel -> InstanceNormalization."""
    vectors = [per_channel(b, parameter, shape(x)[1]) for parameter in (scale, offset)]
    return known(b.InstanceNormalization(x, *vectors, epsilon=epsilon), shape(x))


@from_nnef("onnx", idioms.LAYER_NORMALIZATION)
def layer_normalization(
    b: PlainBuilder, x: Tensor, scale: Tensor, bias: Tensor | None = None, *, count: int, epsilon: float
) -> Tensor:
    """Normalization by moments and a scale -> LayerNormalization, which runtimes do not make of all its forms."""
    own = shape(x)
    vectors = [reshape(b, item, own[-count:]) for item in (scale, bias) if item is not None]
    return known(b.LayerNormalization(x, *vectors, axis=-count, epsilon=epsilon), own)


@from_nnef("onnx", idioms.COLUMN_BIAS)
def column_bias(b: PlainBuilder, x: Tensor, bias: Tensor) -> Tensor:
    """A number added to a single column -> Add of a vector of one item."""
    return known(b.Add(cast(b, x, b.real), reshape(b, cast(b, bias, b.real), [1])), shape(x))


@from_nnef("onnx", "det")
def det(b: PlainBuilder, x: Tensor) -> Tensor:
    """det -> Det."""
    if b.real is np.float64:
        return substitutes.determinant(b, x)
    result: Tensor = b.Det(x)
    return result


@from_nnef("onnx", "inverse")
def inverse(b: PlainBuilder, x: Tensor) -> Tensor:
    """inverse -> Inverse of com.microsoft; ONNX itself has no such operator."""
    result: Tensor = b.Inverse(x, domain="com.microsoft")
    return result
