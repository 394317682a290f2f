"""Normalizations."""

from __future__ import annotations

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, shape
from ...engine.rules import to_nnef


@to_nnef("caffe", "BatchNorm")
def batch_norm(
    b: Builder,
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    factor: Tensor,
    *,
    eps: float = 1e-5,
    use_global_stats: bool = True,
) -> Tensor:
    """BatchNorm: sums of statistics and their number; a number of 0 makes both 0. Without them, those of the batch."""
    rank = len(shape(x))
    if not use_global_stats:
        text = "BatchNorm with use_global_stats: false takes the statistics of the batch, as in training"
        b.warnings[text] = None
        axes = [k for k in range(rank) if k != 1]
        batch_mean, batch_variance = b.moments(x, axes=axes)
        return b.batch_normalization(x, batch_mean, batch_variance, 0.0, 1.0, epsilon=eps)
    width = [shape(x)[1]] if rank > 1 else [1]
    if shape(mean) != width or shape(variance) != width or shape(factor) != [1]:
        raise InvalidOperator(
            f"its weights have shapes {shape(mean)}, {shape(variance)} and {shape(factor)}, "
            f"the input has {width[0]} channels"
        )
    value = float(np.asarray(factor.data).reshape(()))
    inverse = np.float32(0 if value == 0 else 1 / value)
    mean, variance = (_scaled(b, t, inverse) for t in (mean, variance))
    if rank > 1:
        mean, variance = channels(b, mean), channels(b, variance)
    return b.batch_normalization(x, mean, variance, 0.0, 1.0, epsilon=eps)


def _scaled(b: Builder, x: Tensor, factor: np.float32) -> Tensor:
    return x if factor == 1 else b.constant(np.asarray(x.data) * factor, base=x)


@to_nnef("caffe", "BN")
def bn(
    b: Builder,
    x: Tensor,
    slope: Tensor,
    bias: Tensor,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    *,
    eps: float = 1e-5,
    bn_mode: str = "LEARN",
    icnet: bool = False,
) -> Tensor:
    """BN of forks: with statistics (PSPNet), or with those in slope and bias already (SegNet, bn_mode INFERENCE)."""
    slope, bias = (_per_channel(b, x, t) for t in (slope, bias))
    if mean is not None and variance is not None:
        mean, variance = (_per_channel(b, x, t) for t in (mean, variance))
        return b.batch_normalization(x, mean, variance, bias, slope, epsilon=eps)
    if bn_mode != "INFERENCE":
        raise Unsupported("bn_mode LEARN takes the statistics of the batch; a net for deployment has bn_mode INFERENCE")
    return b.add(b.mul(x, slope), bias)


def _per_channel(b: Builder, x: Tensor, t: Tensor) -> Tensor:
    """A parameter as `[1, C]`, whatever its shape."""
    count = shape(x)[1]
    if t.volume != count:
        raise InvalidOperator(f"a weight has shape {shape(t)}, the input has {count} channels")
    flat = t if shape(t) == [count] else b.constant(np.asarray(t.data).reshape(count), base=t)
    return channels(b, flat)


@to_nnef("caffe", "LRN")
def lrn(
    b: Builder,
    x: Tensor,
    *,
    local_size: int = 5,
    alpha: float = 1.0,
    beta: float = 0.75,
    k: float = 1.0,
    norm_region: str = "ACROSS_CHANNELS",
) -> Tensor:
    """LRN -> local_response_normalization over channels, or over rows and columns, where k is always 1."""
    if local_size < 1 or local_size % 2 == 0:
        raise InvalidOperator(f"local_size {local_size} is not odd")
    if len(shape(x)) != 4:
        raise InvalidOperator(f"input of shape {shape(x)}: four dimensions are needed")
    within = norm_region == "WITHIN_CHANNEL"
    if not within and norm_region != "ACROSS_CHANNELS":
        raise Unsupported(f"norm_region {norm_region} is not known")
    size = [1, 1, local_size, local_size] if within else [1, local_size, 1, 1]
    return b.local_response_normalization(x, size=size, alpha=alpha, beta=beta, bias=1.0 if within else k)


@to_nnef("caffe", "MVN")
def mvn(
    b: Builder, x: Tensor, *, normalize_variance: bool = True, across_channels: bool = False, eps: float = 1e-9
) -> Tensor:
    """MVN: the mean subtracted, divided by the deviation + eps, which is added behind the root."""
    rank = len(shape(x))
    if rank < (2 if across_channels else 3):
        raise InvalidOperator(f"input of shape {shape(x)} has no axes to normalize over")
    axes = list(range(1 if across_channels else 2, rank))
    if not normalize_variance:
        return b.sub(x, b.mean_reduce(x, axes=axes))
    mean, variance = b.moments(x, axes=axes)
    return b.div(b.sub(x, mean), b.add(b.sqrt(variance), eps))


@to_nnef("caffe", "Normalize")
def normalize(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    *,
    across_spatial: bool = True,
    channel_shared: bool = True,
    eps: float = 1e-10,
) -> Tensor:
    """Normalize of SSD: x / sqrt(sum(x^2) + eps) over the channels (and all places), times a scale."""
    axes = list(range(1, len(shape(x)))) if across_spatial else [1]
    count = 1 if channel_shared else shape(x)[1]
    if scale.volume != count:
        raise InvalidOperator(f"its weights have shape {shape(scale)}, but {count} are needed")
    factor = b.constant(np.asarray(scale.data).reshape([] if channel_shared else [1, count]), base=scale)
    y = b.div(x, b.sqrt(b.add(b.sum_reduce(b.sqr(x), axes=axes), eps)))
    return b.mul(y, factor)
