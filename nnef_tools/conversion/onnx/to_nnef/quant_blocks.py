"""Operators of com.microsoft with weights whose codes have a scale for each block: products and embeddings."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_integer
from ...building.nnef import Builder
from ...compose.slicing import expand_to
from ...engine.rules import Array, Ints, to_nnef
from ...maths.generated import filled, positions
from ..common import positive, reshape, right_aligned, shape, transpose
from .index import non_negative
from .linear import matmul
from .quant import dequantize_linear, dequantized

MICROSOFT = "com.microsoft"

PACKED: dict[int, type] = {2: ml_dtypes.uint2, 4: ml_dtypes.uint4, 8: np.uint8}
"""Bits of a code -> its type."""

FP4 = (0.0, 5.208333333e-03, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25,
       0.0, -5.208333333e-03, -0.66666667, -1.0, -0.33333333, -0.5, -0.16666667, -0.25)  # fmt: skip
NF4 = (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0)  # fmt: skip
CODE_BOOKS = (FP4, NF4)
"""The values of the codes of bitsandbytes, by `quant_type`: a float of 4 bits, and quantiles of the normal distribution
(Dettmers et al., QLoRA)."""


def unpacked(rows: Array, bits: int, count: int) -> Array:
    """Codes of that many bits along the last axis of bytes, the lowest bits first; the first `count` of them."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (rows[..., None] >> shifts) & (2**bits - 1)
    return np.asarray(codes.reshape(*rows.shape[:-1], -1)[..., :count])


def code_type(bits: int) -> type:
    """The type of codes of that many bits."""
    if bits not in PACKED:
        raise Unsupported(f"bits = {bits}; onnxruntime has 2, 4 and 8")
    return PACKED[bits]


@to_nnef("onnx", "MatMulNBits", domain=MICROSOFT)
def matmul_n_bits(
    b: Builder,
    x: Tensor,
    packed: Array,
    scales: Tensor,
    zero_points: Array | None = None,
    group_index: Ints | None = None,
    bias: Tensor | None = None,
    *,
    K: int,
    N: int,
    bits: int = 4,
    block_size: int,
    accuracy_level: int = 0,
    weight_prepacked: int = 0,
) -> Tensor:
    """MatMulNBits: x times the transposed weights [N, K], whose codes have one scale for each block along K.

    Codes are packed with the lowest bits first, [N, blocks, bytes of a block]; zero points alike, [N, bytes], in the
    middle of the range by default, or given as reals. group_index: the block of each position of K, if they are not in
    order. Without codes the product is zero.
    """
    dtype = code_type(bits)
    if weight_prepacked:
        raise Unsupported(f"weight_prepacked = {weight_prepacked}: the codes are in the order of a CUDA kernel")
    if packed.size == 0:
        zero = b.constant(np.float32(0)) if bias is None else bias
        return expand_to(b, zero, [*shape(x)[:-1], N])
    blocks = -(-K // block_size)
    weights = b.constant(unpacked(packed.reshape(N, -1), bits, blocks * block_size)[:, :K].astype(dtype))
    if zero_points is None:
        zeros = b.constant(filled([N, blocks], 2 ** (bits - 1), np.uint8))
    elif zero_points.dtype == np.uint8:
        zeros = b.constant(unpacked(zero_points.reshape(N, -1), bits, blocks))
    else:
        zeros = b.constant(zero_points.reshape(N, blocks))
    scales = reshape(b, scales, [N, blocks])
    if group_index:
        if bits != 4 or (zero_points is not None and zero_points.dtype == np.uint8):
            text = "MatMulNBits with g_idx: kernels of onnxruntime ignore packed zero points, and take 4 bits"
            b.warnings[text] = None
        index = b.constant(np.asarray(group_index[:K], np.int64))
        values = dequantized(b, weights, b.gather(scales, index, axis=1), b.gather(zeros, index, axis=1))
    else:
        values = dequantize_linear(b, weights, scales, zeros, axis=1, block_size=block_size)
    y = matmul(b, x, transpose(b, values, [1, 0]))
    return y if bias is None else b.add(y, right_aligned(b, bias, len(shape(y))))


@to_nnef("onnx", "MatMulBnb4", domain=MICROSOFT)
def matmul_bnb4(
    b: Builder,
    x: Tensor,
    packed: Array,
    absmax: Tensor,
    *,
    K: int,
    N: int,
    block_size: int,
    quant_type: int,
    training_mode: int = 0,
    transB: int = 1,
) -> Tensor:
    """MatMulBnb4: x times weights [N, K], transposed by default, that are codes of a code book times a scale.

    Codes are those of the flattened weights, the highest bits first; each block of them has a scale.
    """
    if quant_type not in range(len(CODE_BOOKS)):
        raise Unsupported(f"quant_type = {quant_type} is not known")
    count = N * K
    pairs = packed.reshape(-1)
    codes = np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)
    blocks = -(-count // block_size)
    if codes.size < count or shape(absmax) != [blocks]:
        raise Unsupported(f"{codes.size} codes and scales of shape {shape(absmax)} for weights of shape {[N, K]}")
    book = b.constant(np.asarray(CODE_BOOKS[quant_type], np.float32))
    if count % block_size == 0:
        table, scales = [blocks, block_size], reshape(b, absmax, [blocks, 1])
    else:
        table, scales = [count], b.gather(absmax, b.constant(positions(count) // block_size), axis=0)
    units = b.gather(book, b.constant(codes[:count].reshape(table).astype(ml_dtypes.uint4)), axis=0)
    weights = reshape(b, b.mul(units, scales), [N, K])
    return matmul(b, x, transpose(b, weights, [1, 0]) if transB else weights)


@to_nnef("onnx", "GatherBlockQuantized", domain=MICROSOFT)
def gather_block_quantized(
    b: Builder,
    data: Tensor,
    indices: Tensor,
    scales: Tensor,
    zero_points: Tensor | None = None,
    *,
    bits: int = 4,
    block_size: int = 128,
    gather_axis: int = 0,
    quantize_axis: int = 1,
) -> Tensor:
    """GatherBlockQuantized: Gather of codes that have one scale for each block along another axis, as real numbers.

    Codes of bytes are packed along the last axis; their zero point is in the middle of the range by default, else 0.
    """
    rank = len(shape(data))
    axis, along = positive(gather_axis, rank), positive(quantize_axis, rank)
    if data.dtype is np.uint8:
        data, zero_points = _unpacked_table(b, data, scales, zero_points, bits)
    elif not is_integer(data.dtype) and zero_points is not None:
        raise Unsupported("zero points of floating-point codes")
    extents = shape(data)
    size = block_size or extents[along]
    index = non_negative(b, indices, extents[axis])
    if axis == along:
        values = dequantize_linear(b, data, scales, zero_points, axis=along, block_size=size)
        return b.gather(values, index, axis=axis)
    count = len(shape(indices))
    taken = b.gather(data, index, axis=axis)
    place = along if along < axis else along + count - 1
    wanted = [-(-extent // size) if k == place else extent for k, extent in enumerate(shape(taken))]
    if shape(scales)[axis] == extents[axis]:
        scale = b.gather(scales, index, axis=axis)
    else:  # one scale for all
        scale = reshape(b, scales, [*shape(scales)[:axis], *[1] * count, *shape(scales)[axis + 1 :]])
    zero = None if zero_points is None else b.gather(zero_points, index, axis=axis)
    return dequantize_linear(b, taken, expand_to(b, scale, wanted), zero, axis=place, block_size=size)


def _unpacked_table(
    b: Builder, data: Tensor, scales: Tensor, zero_points: Tensor | None, bits: int
) -> tuple[Tensor, Tensor]:
    """Codes and zero points of a table of bytes."""
    dtype = code_type(bits)
    codes = b.value(data)
    zeros = None if zero_points is None else b.value(zero_points)
    if codes is None or (zero_points is not None and zeros is None):
        raise Unsupported("packed codes that are computed from the inputs")
    blocks = shape(scales)
    if zeros is None:
        zeros = filled(blocks, 2 ** (bits - 1), np.uint8)
    else:
        zeros = unpacked(zeros, bits, blocks[-1])
    table = unpacked(codes, bits, codes.shape[-1] * 8 // bits)
    return b.constant(table.astype(dtype), base=data), b.constant(zeros.astype(dtype))
