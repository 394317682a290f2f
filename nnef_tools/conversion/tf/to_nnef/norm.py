"""Normalizations."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, reshape, shape
from ...engine.rules import to_nnef
from ..common import from_channels_first, to_channels_first


@to_nnef("tf", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(
    b: Builder,
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-4,
    exponential_avg_factor: float = 1.0,
    data_format: str = "NHWC",
    is_training: bool = True,
) -> tuple[Tensor | None, ...]:
    """FusedBatchNorm -> batch_normalization.

    In training mode the statistics are those of the batch, given beside the result (the variance of a sample, with
    n - 1) after mixing them into the running ones by the factor.
    """
    x = to_channels_first(b, x, data_format)
    parameters = [channels(b, offset), channels(b, scale)]
    if not is_training:
        y = b.batch_normalization(x, channels(b, mean), channels(b, variance), *parameters, epsilon=epsilon)
        return from_channels_first(b, y, data_format), mean, variance, mean, variance, None
    axes = [k for k in range(len(shape(x))) if k != 1]
    batch_mean, batch_variance = b.moments(x, axes=axes)
    y = b.batch_normalization(x, batch_mean, batch_variance, *parameters, epsilon=epsilon)
    depth = shape(x)[1]
    count = (x.volume or 0) // depth
    sample = b.mul(reshape(b, batch_variance, [depth]), count / max(count - 1, 1))
    running = [reshape(b, batch_mean, [depth]), sample]
    if exponential_avg_factor != 1.0:
        running = [
            b.add(b.mul(old, 1.0 - exponential_avg_factor), b.mul(new, exponential_avg_factor))
            for old, new in zip((mean, variance), running, strict=True)
        ]
    return from_channels_first(b, y, data_format), *running, None, None, None


@to_nnef("tf", "BatchNormWithGlobalNormalization")
def batch_norm_with_global_normalization(
    b: Builder,
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor,
    scale: Tensor,
    *,
    variance_epsilon: float,
    scale_after_normalization: bool,
) -> Tensor:
    """BatchNormWithGlobalNormalization -> batch_normalization; without scaling the scale is 1."""
    y = b.batch_normalization(
        to_channels_first(b, x, "NHWC"),
        channels(b, mean),
        channels(b, variance),
        channels(b, offset),
        channels(b, scale) if scale_after_normalization else 1.0,
        epsilon=variance_epsilon,
    )
    return from_channels_first(b, y, "NHWC")


@to_nnef("tf", "LRN")
def local_response_normalization(
    b: Builder, x: Tensor, *, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5
) -> Tensor:
    """LRN -> local_response_normalization across channels; NNEF takes the mean of the window, TensorFlow the sum."""
    if len(shape(x)) != 4:
        raise Unsupported(f"input of shape {shape(x)}")
    size = 2 * depth_radius + 1
    y = b.local_response_normalization(
        to_channels_first(b, x, "NHWC"), size=[1, size, 1, 1], alpha=alpha * size, beta=beta, bias=bias
    )
    return from_channels_first(b, y, "NHWC")
