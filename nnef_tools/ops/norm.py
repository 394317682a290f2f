"""Normalizations (section 5.10). All keep the shape of their first input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .borders import extend
from .broadcast import Array, align, axes_shape, parameter_shape
from .checks import check
from .definition import op
from .window import automatic_padding

# shape rules and MACs


def _window_shape(x: Sequence[int], *, size: Sequence[int], **_attribs: Any) -> list[int]:
    check(len(size) == len(x), f"'size' must have an item for each dimension of shape {list(x)}, got {list(size)}")
    check(all(item > 0 for item in size), f"'size' must be positive, got {list(size)}")
    return list(x)


def _output_volume(_inputs: Sequence[Any], outputs: Sequence[Any], _attribs: Mapping[str, Any]) -> int:
    return int(math.prod(outputs[0]))


def _window_macs(_inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    return int(math.prod(outputs[0]) * math.prod(attribs["size"]))


# normalization by the neighborhood


def _window_mean(x: Array, size: Sequence[int]) -> Array:
    """Mean over a centered window; the zeros beyond the border count, so the divisor is always the whole window.

    This is `box` with stride 1, automatic padding, border 'constant' and normalize; one axis after the other.
    """
    for axis, extent in enumerate(size):
        if extent > 1:
            padding = [(0, 0)] * x.ndim
            padding[axis] = automatic_padding(x.shape[axis], extent, stride=1, dilation=1)
            padded = np.moveaxis(extend(x, padding, "constant"), axis, 0)
            total = padded[: x.shape[axis]].copy()
            for offset in range(1, extent):
                total += padded[offset : offset + x.shape[axis]]
            x = np.moveaxis(total, 0, axis)
    return np.asarray(x / math.prod(size))


def _mean_normalized(x: Array, size: Sequence[int]) -> Array:
    return np.asarray(x - _window_mean(x, size))


def _variance_normalized(x: Array, size: Sequence[int], bias: float, epsilon: float) -> Array:
    deviation = np.sqrt(_window_mean(np.square(x), size))
    return np.asarray(x / np.maximum(deviation + bias, epsilon))


@op("local_response_normalization", shape=_window_shape, macs=_window_macs, macs_group="normalization")
def local_response_normalization(
    x: Array, *, size: Sequence[int], alpha: float = 1.0, beta: float = 0.5, bias: float = 1.0
) -> Array:
    """x / (bias + alpha * mean of x^2 in the window)^beta."""
    return np.asarray(x / np.power(bias + alpha * _window_mean(np.square(x), size), beta))


@op("local_mean_normalization", shape=_window_shape, macs=_window_macs, macs_group="normalization")
def local_mean_normalization(x: Array, *, size: Sequence[int]) -> Array:
    """x minus the mean in the window."""
    return _mean_normalized(x, size)


@op("local_variance_normalization", shape=_window_shape, macs=_window_macs, macs_group="normalization")
def local_variance_normalization(x: Array, *, size: Sequence[int], bias: float = 0.0, epsilon: float = 0.0) -> Array:
    """x / max(root mean square in the window + bias, epsilon)."""
    return _variance_normalized(x, size, bias, epsilon)


@op("local_contrast_normalization", shape=_window_shape, macs=_window_macs, macs_group="normalization")
def local_contrast_normalization(x: Array, *, size: Sequence[int], bias: float = 0.0, epsilon: float = 0.0) -> Array:
    """Mean normalization, then variance normalization of its result."""
    return _variance_normalized(_mean_normalized(x, size), size, bias, epsilon)


# normalization over axes, by given statistics


@op("l1_normalization", shape=axes_shape, macs=_output_volume, macs_group="normalization")
def l1_normalization(x: Array, *, axes: Sequence[int], bias: float = 0.0, epsilon: float = 0.0) -> Array:
    """x / max(sum of |x| over the axes + bias, epsilon)."""
    norm = np.sum(np.abs(x), axis=tuple(axes), keepdims=True)
    return np.asarray(x / np.maximum(norm + bias, epsilon))


@op("l2_normalization", shape=axes_shape, macs=_output_volume, macs_group="normalization")
def l2_normalization(x: Array, *, axes: Sequence[int], bias: float = 0.0, epsilon: float = 0.0) -> Array:
    """x / max(sqrt(sum of x^2 over the axes) + bias, epsilon)."""
    norm = np.sqrt(np.sum(np.square(x), axis=tuple(axes), keepdims=True))
    return np.asarray(x / np.maximum(norm + bias, epsilon))


@op("batch_normalization", shape=parameter_shape, macs=_output_volume, macs_group="normalization")
def batch_normalization(
    x: Array, mean: Array, variance: Array, offset: Array, scale: Array, *, epsilon: float
) -> Array:
    """offset + scale * (x - mean) / sqrt(variance + epsilon); the parameters are broadcast, typically [1, C]."""
    x, mean, variance, offset, scale = align(x, mean, variance, offset, scale)
    return np.asarray((x - mean) * (scale / np.sqrt(variance + epsilon)) + offset)
