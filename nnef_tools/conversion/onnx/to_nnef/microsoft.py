"""Fused operators of the com.microsoft domain, which onnxruntime's optimizer and exporters write."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import gelu
from ...engine.rules import Bool, to_nnef
from ...maths import generated
from ..common import positive, right_aligned, shape, transpose
from .conv import conv
from .linear import gemm, matmul
from .norm import dropout, layer_normalization

MICROSOFT = "com.microsoft"


def activated(b: Builder, x: Tensor, name: str, parameters: list[float]) -> Tensor:
    """x through an activation that a fused operator names."""
    if name in ("", "Relu", "Sigmoid", "Tanh"):
        return b.single(name.lower(), x) if name else x
    if name == "LeakyRelu":
        return b.leaky_relu(x, alpha=parameters[0] if parameters else 0.01)
    if name == "Clip" and len(parameters) == 2:
        return b.clamp(x, parameters[0], parameters[1])
    if name == "HardSigmoid" and len(parameters) == 2:
        return b.clamp(b.add(b.mul(x, parameters[0]), parameters[1]), 0.0, 1.0)
    raise Unsupported(f"activation '{name}' with parameters {parameters}")


@to_nnef("onnx", "TransposeMatMul", domain=MICROSOFT)
@to_nnef("onnx", "FusedMatMul", domain=MICROSOFT)
def fused_matmul(
    b: Builder,
    x: Tensor,
    y: Tensor,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Tensor:
    """FusedMatMul: alpha * A * B; trans swaps the last two axes, transBatch moves the first axis before the last.

    TransposeMatMul is its former name.
    """
    z = matmul(b, _operand(b, x, transA, transBatchA), _operand(b, y, transB, transBatchB))
    return z if alpha == 1.0 else b.mul(z, alpha)


@to_nnef("onnx", "FusedMatMulActivation", domain=MICROSOFT)
def fused_matmul_activation(
    b: Builder,
    x: Tensor,
    y: Tensor,
    *,
    activation: str,
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Tensor:
    """FusedMatMulActivation: FusedMatMul and an activation."""
    z = fused_matmul(b, x, y, alpha=alpha, transA=transA, transB=transB, transBatchA=transBatchA,
                     transBatchB=transBatchB)  # fmt: skip
    return activated(b, z, activation, _given(activation_alpha, activation_beta, activation_gamma))


def _given(*parameters: float | None) -> list[float]:
    return [value for value in parameters if value is not None]


def _operand(b: Builder, x: Tensor, swap: int, batch: int) -> Tensor:
    rank = len(shape(x))
    axes = list(range(rank))
    if batch:
        axes = [*axes[1:-1], 0, axes[-1]]
    if swap and rank > 1:
        axes[-2:] = axes[:-3:-1]
    return transpose(b, x, axes)


@to_nnef("onnx", "FusedGemm", domain=MICROSOFT)
def fused_gemm(
    b: Builder,
    x: Tensor,
    y: Tensor,
    c: Tensor | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """FusedGemm: Gemm and an activation."""
    z = gemm(b, x, y, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return activated(b, z, activation, _given(activation_alpha, activation_beta, activation_gamma))


@to_nnef("onnx", "FusedConv", domain=MICROSOFT)
def fused_conv(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    addend: Tensor | None = None,
    *,
    activation: str = "",
    activation_params: list[float] | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """FusedConv: Conv, a tensor added to its result, and an activation."""
    y = conv(b, x, w, bias, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
             strides=strides)  # fmt: skip
    return activated(b, y if addend is None else b.add(y, addend), activation, activation_params or [])


@to_nnef("onnx", "BiasGelu", domain=MICROSOFT)
def bias_gelu(b: Builder, x: Tensor, bias: Tensor) -> Tensor:
    """BiasGelu: gelu(x + bias)."""
    return gelu(b, b.add(x, right_aligned(b, bias, len(shape(x)))))


@to_nnef("onnx", "FastGelu", domain=MICROSOFT)
def fast_gelu(b: Builder, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """FastGelu: the tanh form of gelu(x + bias)."""
    shifted = x if bias is None else b.add(x, right_aligned(b, bias, len(shape(x))))
    return gelu(b, shifted, approximate="tanh")


@to_nnef("onnx", "GemmFastGelu", domain=MICROSOFT)
def gemm_fast_gelu(b: Builder, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """GemmFastGelu: FastGelu of a matrix product."""
    return fast_gelu(b, matmul(b, x, w), bias)


@to_nnef("onnx", "BiasSoftmax", domain=MICROSOFT)
def bias_softmax(b: Builder, x: Tensor, bias: Tensor, *, is_inner_broadcast: int, axis: int = 1) -> Tensor:
    """BiasSoftmax: softmax of x + bias over all axes from the given one; extents of 1 tell how the bias repeats."""
    rank = len(shape(x))
    total = b.add(x, right_aligned(b, bias, rank))
    return b.softmax(total, axes=list(range(positive(axis, rank), rank)))


@to_nnef("onnx", "BiasDropout", domain=MICROSOFT)
def bias_dropout(
    b: Builder,
    x: Tensor,
    bias: Tensor,
    residual: Tensor | None = None,
    ratio: Tensor | None = None,
    training_mode: Bool | None = None,
    *,
    seed: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """BiasDropout: x + bias, dropped in training mode, + residual."""
    total, mask = dropout(b, b.add(x, right_aligned(b, bias, len(shape(x)))), ratio, training_mode)
    return total if residual is None else b.add(total, residual), mask


@to_nnef("onnx", "QuickGelu", domain=MICROSOFT)
def quick_gelu(b: Builder, x: Tensor, *, alpha: float = 1.702) -> Tensor:
    """QuickGelu: x * sigmoid(alpha * x)."""
    return b.mul(x, b.sigmoid(b.mul(x, alpha)))


def rms_normalized(b: Builder, x: Tensor, scale: Tensor, axes: list[int], epsilon: float) -> tuple[Tensor, Tensor]:
    """x / sqrt(mean(x^2) + epsilon) * scale over the axes; also the inverse root."""
    inverse = b.rsqrt(b.add(b.mean_reduce(b.sqr(x), axes=axes), epsilon))
    return b.mul(b.mul(x, inverse), right_aligned(b, scale, len(shape(x)))), inverse


@to_nnef("onnx", "SimplifiedLayerNormalization")
@to_nnef("onnx", "SimplifiedLayerNormalization", domain=MICROSOFT)
def simplified_layer_normalization(
    b: Builder, x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Tensor, Tensor]:
    """SimplifiedLayerNormalization: x / sqrt(mean(x^2) + epsilon) * scale; also the inverse root mean square.

    stash_type is the type of that; it is computed in float32 or wider here.
    """
    rank = len(shape(x))
    return rms_normalized(b, x, scale, list(range(positive(axis, rank), rank)), epsilon)


def _skip_sum(b: Builder, x: Tensor, skip: Tensor, bias: Tensor | None) -> Tensor:
    total = b.add(x, right_aligned(b, skip, len(shape(x))))
    return total if bias is None else b.add(total, right_aligned(b, bias, len(shape(x))))


@to_nnef("onnx", "SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(
    b: Builder,
    x: Tensor,
    skip: Tensor,
    gamma: Tensor,
    beta: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """SkipLayerNormalization of x + skip + bias over the last axis; the fourth result is that sum."""
    total = _skip_sum(b, x, skip, bias)
    return (*layer_normalization(b, total, gamma, beta, epsilon=epsilon), total)


@to_nnef("onnx", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_simplified_layer_normalization(
    b: Builder, x: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None, *, epsilon: float = 1e-12
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """SkipSimplifiedLayerNormalization of x + skip + bias over the last axis; the fourth result is that sum."""
    total = _skip_sum(b, x, skip, bias)
    y, inverse = rms_normalized(b, total, gamma, [len(shape(x)) - 1], epsilon)
    return y, None, inverse, total


@to_nnef("onnx", "EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_normalization(
    b: Builder,
    input_ids: Tensor,
    segment_ids: Tensor | None,
    words: Tensor,
    positions: Tensor,
    segments: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """EmbedLayerNormalization: the sum of word, position and segment embeddings, normalized over the last axis.

    The second result counts the positions of each sequence that the mask keeps, 0 without a mask.
    """
    batch, length = shape(input_ids)
    total = b.gather(words, input_ids, axis=0)
    places = b.constant(generated.positions(length)[None]) if position_ids is None else position_ids
    total = b.add(total, b.gather(positions, places, axis=0))
    if segment_ids is not None and segments is not None:
        total = b.add(total, b.gather(segments, segment_ids, axis=0))
    if mask is None or mask_index_type == 0:
        counts = b.constant(generated.filled([batch], 0, np.int32))
    else:
        counts = b.cast(b.squeeze(b.sum_reduce(b.cast(mask, np.float32), axes=[1]), axes=[1]), np.int32)
    return layer_normalization(b, total, gamma, beta, epsilon=epsilon)[0], counts, total
