"""Activations and normalizations (section 5.10)."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from ....ops.window import Window
from .common import Ints, Operator, Tensor, align
from .pool import box


def _gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def _elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return torch.where(x < 0, alpha * torch.expm1(x), x)


def _selu(x: Tensor, *, alpha: float = 1.67326319, _lambda_: float = 1.05070102) -> Tensor:
    return _lambda_ * _elu(x, alpha=alpha)


def _prelu(x: Tensor, alpha: Tensor) -> Tensor:
    x, alpha = align(x, alpha)
    return torch.where(x < 0, alpha * x, x)


def _leaky_relu(x: Tensor, *, alpha: float) -> Tensor:
    return F.leaky_relu(x, alpha)


def _softmax(x: Tensor, *, axes: list[int] | tuple[int, ...] = (1,)) -> Tensor:
    if len(axes) == 1:
        return torch.softmax(x, axes[0])
    if not axes:  # each element is a set of its own
        return torch.ones_like(x)
    e = torch.exp(x - x.amax(tuple(axes), keepdim=True))
    return e / e.sum(tuple(axes), keepdim=True)


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
    """The mean normalisation, then the variance normalisation."""
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
    """offset + scale * (x - mean) / sqrt(variance + epsilon); the parameters broadcast, [1, C] as a rule."""
    mean, variance, offset, scale, input = align(mean, variance, offset, scale, input)
    return offset + (input - mean) * (scale * torch.rsqrt(variance + epsilon))


OPERATORS: dict[str, Operator] = {
    "relu": lambda x: torch.relu(x),
    "sigmoid": lambda x: torch.sigmoid(x),
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": lambda x: F.silu(x),
    "elu": _elu,
    "selu": _selu,
    "prelu": _prelu,
    "leaky_relu": _leaky_relu,
    "softmax": _softmax,
    "local_response_normalization": local_response_normalization,
    "local_mean_normalization": local_mean_normalization,
    "local_variance_normalization": local_variance_normalization,
    "local_contrast_normalization": local_contrast_normalization,
    "l1_normalization": l1_normalization,
    "l2_normalization": l2_normalization,
    "batch_normalization": batch_normalization,
}
