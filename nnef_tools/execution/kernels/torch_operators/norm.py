"""Normalizations (section 5.10)."""

from __future__ import annotations

import torch

from ....ops.window import Window
from .common import Ints, Operator, Tensor, align
from .pool import box


def _local_mean(x: Tensor, size: Ints) -> Tensor:
    return box(x, window=Window(size), normalize=True)


def local_response_normalization(
    input: Tensor, *, size: Ints, alpha: float = 1.0, beta: float = 0.5, bias: float = 1.0
) -> Tensor:
    """x / (bias + alpha * mean of squares in the window) ** beta; the zeros around count."""
    return input / torch.pow(bias + alpha * _local_mean(torch.square(input), size), beta)


def local_mean_normalization(input: Tensor, *, size: Ints) -> Tensor:
    """x - mean of the window."""
    return input - _local_mean(input, size)


def local_variance_normalization(input: Tensor, *, size: Ints, bias: float = 0.0, epsilon: float = 0.0) -> Tensor:
    """x / max(root of the mean square of the window + bias, epsilon)."""
    sigma = torch.sqrt(_local_mean(torch.square(input), size))
    return input / (sigma + bias).clamp(min=epsilon)


def local_contrast_normalization(input: Tensor, *, size: Ints, bias: float = 0.0, epsilon: float = 0.0) -> Tensor:
    """The mean normalization, then the variance normalization."""
    centered = local_mean_normalization(input, size=size)
    return local_variance_normalization(centered, size=size, bias=bias, epsilon=epsilon)


def _sum(x: Tensor, axes: Ints) -> Tensor:
    return x.sum(tuple(axes), keepdim=True) if axes else x


def l1_normalization(input: Tensor, *, axes: Ints, bias: float = 0.0, epsilon: float = 0.0) -> Tensor:
    """x / max(sum of |x| + bias, epsilon)."""
    return input / (_sum(input.abs(), axes) + bias).clamp(min=epsilon)


def l2_normalization(input: Tensor, *, axes: Ints, bias: float = 0.0, epsilon: float = 0.0) -> Tensor:
    """x / max(root of the sum of squares + bias, epsilon)."""
    return input / (torch.sqrt(_sum(torch.square(input), axes)) + bias).clamp(min=epsilon)


def batch_normalization(
    input: Tensor, mean: Tensor, variance: Tensor, offset: Tensor, scale: Tensor, *, epsilon: float
) -> Tensor:
    """offset + scale * (x - mean) / sqrt(variance + epsilon); the parameters broadcast, usually [1, C]."""
    mean, variance, offset, scale, input = align(mean, variance, offset, scale, input)
    return offset + (input - mean) * (scale * torch.rsqrt(variance + epsilon))


OPERATORS: dict[str, Operator] = {
    "local_response_normalization": local_response_normalization,
    "local_mean_normalization": local_mean_normalization,
    "local_variance_normalization": local_variance_normalization,
    "local_contrast_normalization": local_contrast_normalization,
    "l1_normalization": l1_normalization,
    "l2_normalization": l2_normalization,
    "batch_normalization": batch_normalization,
}
