"""Operators of com.microsoft that are no fusions: distances, complex numbers, integers, windows."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import arithmetic_range
from ...engine.rules import Array, Bool, Int, to_nnef
from ...maths.generated import positions
from ..common import all_positive, positive, right_aligned, shape, transpose, unsqueeze
from .index import gather, gather_nd
from .quant import centered, integer_matmul, per_tensor
from .resize import grid_sample
from .signal import dft

MICROSOFT = "com.microsoft"

to_nnef("onnx", "GatherND", domain=MICROSOFT)(gather_nd)


@to_nnef("onnx", "GridSample", domain=MICROSOFT)
def grid_sample_of_images(
    b: Builder, x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Tensor:
    """GridSample: that of version 16 of the default domain."""
    return grid_sample(b, x, grid, align_corners=align_corners, mode=mode, padding_mode=padding_mode)


@to_nnef("onnx", "Range", domain=MICROSOFT)
def number_range(b: Builder, start: Array, limit: Array, delta: Array | None = None) -> Tensor:
    """Range: start + k * delta below limit, by steps of 1 if no delta is given."""
    step = np.ones((), start.dtype) if delta is None else delta.reshape(())
    return b.constant(arithmetic_range(start.reshape(()), limit.reshape(()), step))


@to_nnef("onnx", "TorchEmbedding", domain=MICROSOFT)
def torch_embedding(
    b: Builder,
    weight: Tensor,
    indices: Tensor,
    padding_index: Int | None = None,
    scale_grad_by_freq: Bool | None = None,
) -> Tensor:
    """TorchEmbedding: Gather; its options only change gradients."""
    return gather(b, weight, indices)


@to_nnef("onnx", "CDist", domain=MICROSOFT)
def cdist(b: Builder, x: Tensor, y: Tensor, *, metric: str = "sqeuclidean") -> Tensor:
    """CDist: the distances of the rows of x [M, N] from those of y [K, N], squared or not, [M, K]."""
    if metric not in ("sqeuclidean", "euclidean"):
        raise Unsupported(f"metric = '{metric}'; onnxruntime has 'sqeuclidean' and 'euclidean'")
    squares = b.sqr(b.sub(unsqueeze(b, x, [1]), unsqueeze(b, y, [0])))
    total = b.squeeze(b.sum_reduce(squares, axes=[2]), axes=[2])
    return total if metric == "sqeuclidean" else b.sqrt(total)


# complex numbers, whose parts are pairs in the last dimension


def _complex_product(b: Builder, x: Tensor, y: Tensor, conjugate: bool) -> Tensor:
    rank = max(len(shape(x)), len(shape(y)))
    parts = [b.split(unsqueeze(b, t, range(rank - len(shape(t)))), axis=rank - 1, ratios=[1, 1]) for t in (x, y)]
    (a, c), (d, e) = parts
    if conjugate:
        real, imaginary = b.add(b.mul(a, d), b.mul(c, e)), b.sub(b.mul(c, d), b.mul(a, e))
    else:
        real, imaginary = b.sub(b.mul(a, d), b.mul(c, e)), b.add(b.mul(a, e), b.mul(c, d))
    return b.concat([real, imaginary], axis=rank - 1)


@to_nnef("onnx", "ComplexMul", domain=MICROSOFT)
def complex_mul(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """ComplexMul: x * y."""
    return _complex_product(b, x, y, conjugate=False)


@to_nnef("onnx", "ComplexMulConj", domain=MICROSOFT)
def complex_mul_conjugate(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """ComplexMulConj: x times the conjugate of y."""
    return _complex_product(b, x, y, conjugate=True)


def _check_transform(signal_ndim: int, normalized: int, onesided: int) -> None:
    if signal_ndim != 1 or normalized or not onesided:
        raise Unsupported(f"signal_ndim = {signal_ndim}, normalized = {normalized}, onesided = {onesided}")


@to_nnef("onnx", "Rfft", domain=MICROSOFT)
def rfft(b: Builder, x: Tensor, *, normalized: int = 0, onesided: int = 1, signal_ndim: int = 1) -> Tensor:
    """Rfft: half of the spectrum of the last axis, [.., n // 2 + 1, 2]."""
    _check_transform(signal_ndim, normalized, onesided)
    return dft(b, unsqueeze(b, x, [len(shape(x))]), onesided=1)


# integers


@to_nnef("onnx", "MulInteger", domain=MICROSOFT)
def mul_integer(
    b: Builder, x: Tensor, x_zero_point: Tensor | None, y: Tensor, y_zero_point: Tensor | None = None
) -> Tensor:
    """MulInteger: the product of codes minus their zero points."""
    rank = max(len(shape(x)), len(shape(y)))
    factors = [
        right_aligned(b, centered(b, t, None if zero is None else per_tensor(b, zero, "zero_point")), rank)
        for t, zero in ((x, x_zero_point), (y, y_zero_point))
    ]
    return b.cast(b.mul(*factors), np.int32)


@to_nnef("onnx", "ReduceSumInteger", domain=MICROSOFT)
def reduce_sum_integer(b: Builder, x: Tensor, *, axes: list[int], keepdims: int) -> Tensor:
    """ReduceSumInteger: sums of codes."""
    reduced = all_positive(axes, len(shape(x)))
    total = b.sum_reduce(centered(b, x, None), axes=reduced)
    return b.cast(total if keepdims else b.squeeze(total, axes=reduced), np.int32)


@to_nnef("onnx", "MatMulInteger16", domain=MICROSOFT)
def matmul_integer16(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """MatMulInteger16: the product of matrices of integers of 16 bits."""
    return b.cast(integer_matmul(b, x, y, None, None), np.int32)


# windows


@to_nnef("onnx", "UnfoldTensor", domain=MICROSOFT)
def unfold_tensor(b: Builder, x: Tensor, *, size: int, dim: int = -1, step: int = 1) -> Tensor:
    """UnfoldTensor: windows of an axis, whose items become the last axis."""
    rank = len(shape(x))
    axis = positive(dim, rank)
    if size < 1 or step < 1 or size > shape(x)[axis]:
        raise Unsupported(f"windows of {size} in steps of {step} over an extent of {shape(x)[axis]}")
    count = (shape(x)[axis] - size) // step + 1
    index = positions(count)[:, None] * step + positions(size)
    windows = b.gather(x, b.constant(index), axis=axis)
    return transpose(b, windows, [*range(axis + 1), *range(axis + 2, rank + 1), axis + 1])
