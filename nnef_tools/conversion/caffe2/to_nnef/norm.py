"""Normalizations and dropout."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, positive, reshape, right_aligned, shape, squeeze
from ...engine.rules import to_nnef
from ..common import channel_axis, from_channels_first, is_channels_last, to_channels_first


@to_nnef("caffe2", "SpatialBN")
def spatial_bn(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    is_test: int = 0,
    order: str = "NCHW",
    num_batches: int = 1,
) -> Tensor:
    """SpatialBN -> batch_normalization with the statistics that are given."""
    if not is_test:
        raise Unsupported("is_test = 0: statistics of the batch (training)")
    parameters = [channels(b, p) for p in (mean, variance, offset, scale)]
    y = b.batch_normalization(to_channels_first(b, x, order), *parameters, epsilon=epsilon)
    return from_channels_first(b, y, order)


@to_nnef("caffe2", "LRN")
def local_response_normalization(
    b: Builder,
    x: Tensor,
    *,
    size: int = 0,
    alpha: float = 0.0,
    beta: float = 0.0,
    bias: float = 1.0,
    order: str = "NCHW",
) -> tuple[Tensor, Tensor | None]:
    """LRN -> local_response_normalization across channels; the second result is the sum that is raised to a power."""
    if size < 1 or size % 2 == 0:
        raise Unsupported(f"size = {size}, which has no middle")
    window = [1] * len(shape(x))
    window[channel_axis(order, len(window))] = size
    y = b.local_response_normalization(x, size=window, alpha=alpha, beta=beta, bias=bias)
    if not any(b.wanted[1:]):
        return y, None
    return y, b.add(b.mul(b.box(b.sqr(x), size=window, padding=[], normalize=True), alpha), bias)


@to_nnef("caffe2", "InstanceNorm")
def instance_norm(
    b: Builder, x: Tensor, scale: Tensor, offset: Tensor, *, epsilon: float = 1e-5, order: str = "NCHW"
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """InstanceNorm: batch_normalization with the moments of each channel of each item, and these."""
    x = to_channels_first(b, x, order)
    axes = list(range(2, len(shape(x))))
    mean, variance = b.moments(x, axes=axes)
    y = b.batch_normalization(x, mean, variance, channels(b, offset), channels(b, scale), epsilon=epsilon)
    result = from_channels_first(b, y, order)
    if not any(b.wanted[1:]):
        return result, None, None
    return result, squeeze(b, mean, axes), squeeze(b, b.rsqrt(b.add(variance, epsilon)), axes)


@to_nnef("caffe2", "GroupNorm")
def group_norm(
    b: Builder, x: Tensor, scale: Tensor, offset: Tensor, *, group: int = 32, epsilon: float = 1e-5, order: str = "NCHW"
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """GroupNorm: the moments of groups of channels; these are the other results, the deviation as its inverse."""
    x = to_channels_first(b, x, order)
    own = shape(x)
    if group < 1 or own[1] % group:
        raise Unsupported(f"{own[1]} channels in {group} groups")
    parts = reshape(b, x, [own[0], group, own[1] // group, *own[2:]])
    axes = list(range(2, len(own) + 1))
    mean, variance = b.moments(parts, axes=axes)
    inverse = b.rsqrt(b.add(variance, epsilon))
    normal = reshape(b, b.mul(b.sub(parts, mean), inverse), own)
    y = b.add(b.mul(normal, channels(b, scale)), channels(b, offset))
    result = from_channels_first(b, y, order)
    if not any(b.wanted[1:]):
        return result, None, None
    return result, squeeze(b, mean, axes), squeeze(b, inverse, axes)


@to_nnef("caffe2", "LayerNorm")
def layer_norm(
    b: Builder,
    x: Tensor,
    scale: Tensor | None = None,
    offset: Tensor | None = None,
    *,
    axis: int = 1,
    epsilon: float = 1e-5,
    elementwise_affine: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """LayerNorm over the axes from `axis` on; also gives the mean and the deviation, `[..., 1]`."""
    rank = len(shape(x))
    k = positive(axis, rank)
    axes = list(range(k, rank))
    mean, variance = b.moments(x, axes=axes)
    deviation = b.sqrt(b.add(variance, epsilon))
    y = b.div(b.sub(x, mean), deviation)
    if elementwise_affine:
        if scale is None or offset is None:
            raise Unsupported("elementwise_affine without scale and offset")
        y = b.add(b.mul(y, right_aligned(b, scale, rank)), right_aligned(b, offset, rank))
    dims = [*shape(x)[:k], 1]
    return y, reshape(b, mean, dims), reshape(b, deviation, dims)


@to_nnef("caffe2", "Normalize")
def normalize(b: Builder, x: Tensor, *, axis: int = -1) -> Tensor:
    """Normalize: x divided by its norm along an axis, which is 1e-12 at least."""
    norm = b.sqrt(b.sum_reduce(b.sqr(x), axes=[positive(axis, len(shape(x)))]))
    return b.div(x, b.max(norm, 1e-12))


@to_nnef("caffe2", "NormalizeL1")
def normalize_l1(b: Builder, x: Tensor, *, axis: int = -1) -> Tensor:
    """NormalizeL1: x divided by the sum of magnitudes along an axis; zeros stay zeros."""
    norm = b.sum_reduce(b.abs(x), axes=[positive(axis, len(shape(x)))])
    return b.div(x, b.select(b.eq(norm, 0.0), 1.0, norm))


@to_nnef("caffe2", "Dropout")
def dropout(b: Builder, x: Tensor, *, ratio: float = 0.5, is_test: int = 0) -> tuple[Tensor, Tensor | None]:
    """Dropout: the tensor itself."""
    if not is_test and ratio != 0:
        raise Unsupported("is_test = 0: drops at random (training)")
    return x, b.constant(np.broadcast_to(np.True_, shape(x))) if any(b.wanted[1:]) else None


@to_nnef("caffe2", "AffineChannel")
def affine_channel(b: Builder, x: Tensor, scale: Tensor, offset: Tensor, *, order: str = "NCHW") -> Tensor:
    """AffineChannel: a factor and a summand for each channel."""
    rank = len(shape(x))
    last = is_channels_last(order)
    factor, summand = (right_aligned(b, p, rank) if last else channels(b, p) for p in (scale, offset))
    return b.add(b.mul(x, factor), summand)


@to_nnef("caffe2", "Moments")
def moments(b: Builder, x: Tensor, *, axes: list[int] | None = None, keepdims: int = 1) -> tuple[Tensor, Tensor]:
    """Moments -> moments."""
    rank = len(shape(x))
    chosen = sorted(positive(axis, rank) for axis in axes) if axes else list(range(rank))
    mean, variance = b.moments(x, axes=chosen)
    return (mean, variance) if keepdims else (squeeze(b, mean, chosen), squeeze(b, variance, chosen))
