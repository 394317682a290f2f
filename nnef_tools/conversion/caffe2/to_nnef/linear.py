"""Matrix products."""

from __future__ import annotations

import math

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import positive, reshape, right_aligned, shape
from ...engine.rules import to_nnef
from ...onnx.to_nnef.linear import matmul as matmul_of


def _matrix(b: Builder, x: Tensor, axis: int) -> Tensor:
    """x with the dimensions before an axis, and those from it on, joined."""
    own = shape(x)
    k = positive(axis, len(own))
    return reshape(b, x, [math.prod(own[:k]), math.prod(own[k:])])


@to_nnef("caffe2", "FC", "Int8FC")
def fc(b: Builder, x: Tensor, w: Tensor, bias: Tensor, *, axis: int = 1, axis_w: int = 1) -> Tensor:
    """FC -> linear; input and filter `[out, in]` become matrices, and the dimensions before `axis` come back."""
    filter = _matrix(b, w, axis_w)
    return _product(b, x, filter, bias, axis, shape(filter)[0], transposed=True)


@to_nnef("caffe2", "FCTransposed")
def fc_transposed(b: Builder, x: Tensor, w: Tensor, bias: Tensor, *, axis: int = 1, axis_w: int = 1) -> Tensor:
    """FCTransposed: as FC, with a filter `[in, out]`."""
    filter = _matrix(b, w, axis_w)
    return _product(b, x, filter, bias, axis, shape(filter)[1], transposed=False)


def _product(b: Builder, x: Tensor, filter: Tensor, bias: Tensor, axis: int, units: int, *, transposed: bool) -> Tensor:
    own = shape(x)
    matrix = _matrix(b, x, axis)
    depth = shape(filter)[1 if transposed else 0]
    if shape(matrix)[1] != depth or math.prod(shape(bias)) != units:
        raise Unsupported(f"input {own}, filter {shape(filter)} and bias {shape(bias)} do not fit")
    row = reshape(b, bias, [1, units])
    y = b.linear(matrix, filter, row) if transposed else b.add(b.matmul(matrix, filter), row)
    return reshape(b, y, [*own[: positive(axis, len(own))], units])


@to_nnef("caffe2", "MatMul")
def matmul(
    b: Builder, x: Tensor, y: Tensor, *, axis_a: int = 1, axis_b: int = 1, trans_a: int = 0, trans_b: int = 0
) -> Tensor:
    """MatMul -> matmul of the operands as matrices."""
    return b.matmul(_matrix(b, x, axis_a), _matrix(b, y, axis_b), transposeA=bool(trans_a), transposeB=bool(trans_b))


@to_nnef("caffe2", "BatchMatMul")
def batch_matmul(b: Builder, x: Tensor, y: Tensor, *, trans_a: int = 0, trans_b: int = 0, broadcast: int = 0) -> Tensor:
    """BatchMatMul -> matmul; with broadcasting as numpy does it."""
    if min(len(shape(x)), len(shape(y))) < 2:
        if trans_a or trans_b or not broadcast:
            raise Unsupported(f"operands of shapes {shape(x)} and {shape(y)}")
        return matmul_of(b, x, y)
    if not broadcast and shape(x)[:-2] != shape(y)[:-2]:
        raise Unsupported(f"shapes {shape(x)} and {shape(y)} differ, but broadcast is not set")
    rank = max(len(shape(x)), len(shape(y)))
    x, y = (reshape(b, t, [1] * (rank - len(shape(t))) + shape(t)) for t in (x, y))
    return b.matmul(x, y, transposeA=bool(trans_a), transposeB=bool(trans_b))


@to_nnef("caffe2", "ElementwiseLinear")
def elementwise_linear(b: Builder, x: Tensor, w: Tensor, bias: Tensor, *, axis: int = 1) -> Tensor:
    """ElementwiseLinear: a factor and a summand for each item behind an axis."""
    own = shape(x)
    k = positive(axis, len(own))
    factor, summand = (right_aligned(b, reshape(b, p, own[k:]), len(own)) for p in (w, bias))
    return b.add(b.mul(x, factor), summand)


@to_nnef("caffe2", "DotProduct")
def dot_product(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """DotProduct of the items of a batch."""
    _check_same(x, y)
    return _item_sum(b, b.mul(x, y))


@to_nnef("caffe2", "SquaredL2Distance")
def squared_l2_distance(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """SquaredL2Distance: half of the squared distance."""
    _check_same(x, y)
    return b.mul(_item_sum(b, b.sqr(b.sub(x, y))), 0.5)


@to_nnef("caffe2", "L1Distance")
def l1_distance(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """L1Distance of the items of a batch."""
    _check_same(x, y)
    return _item_sum(b, b.abs(b.sub(x, y)))


@to_nnef("caffe2", "CosineSimilarity")
def cosine_similarity(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """CosineSimilarity of the items of a batch; squared norms are 1e-10 at least."""
    _check_same(x, y)
    norms = [b.max(_item_sum(b, b.sqr(t)), 1e-10) for t in (x, y)]
    return b.mul(_item_sum(b, b.mul(x, y)), b.mul(b.rsqrt(norms[0]), b.rsqrt(norms[1])))


def _check_same(x: Tensor, y: Tensor) -> None:
    if shape(x) != shape(y) or not shape(x):
        raise Unsupported(f"shapes {shape(x)} and {shape(y)}")


def _item_sum(b: Builder, x: Tensor) -> Tensor:
    """`[batch]`: the sum of each item."""
    axes = list(range(1, len(shape(x))))
    return reshape(b, b.sum_reduce(x, axes=axes), shape(x)[:1]) if axes else x
