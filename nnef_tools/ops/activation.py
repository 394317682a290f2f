"""Activations (section 5.10). All keep the shape of their first input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .broadcast import Array, align, axes_shape, parameter_shape, same_shape
from .definition import op


@op("relu", shape=same_shape)
def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, np.zeros((), x.dtype))


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow: the exponent is never positive."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


@op("sigmoid", shape=same_shape)
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return _sigmoid(x)


@op("softplus", shape=same_shape)
def softplus(x: Array) -> Array:
    """log(e^x + 1), which is max(x, 0) + log(1 + e^-|x|)."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


@op("elu", shape=same_shape)
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """alpha * (e^x - 1) where x < 0, else x."""
    return _elu(x, alpha)


@op("selu", shape=same_shape)
def selu(x: Array, *, alpha: float = 1.67326319, **attribs: float) -> Array:
    """lambda * elu(x, alpha); the attribute `lambda` is a Python keyword."""
    return np.asarray(attribs.get("lambda", 1.05070102) * _elu(x, alpha))


@op("gelu", shape=same_shape)
def gelu(x: Array) -> Array:
    """x * sigmoid(1.702 x), the body that the standard gives.

    Its comment calls x * Phi(x) the exact definition, from which this differs by up to 0.02. What every consumer of
    a model computes when it expands the body is the formula, so that is what we compute; converters that need the
    exact function compose it from our `erf`.
    """
    return np.asarray(x * _sigmoid(1.702 * x))


@op("silu", shape=same_shape)
def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return np.asarray(x * _sigmoid(x))


@op("prelu", shape=parameter_shape)
def prelu(x: Array, alpha: Array) -> Array:
    """alpha * x where x < 0, else x; alpha is broadcast."""
    x, alpha = align(x, alpha)
    return np.where(x < 0, alpha * x, x)


@op("leaky_relu", shape=same_shape)
def leaky_relu(x: Array, *, alpha: float) -> Array:
    """alpha * x where x < 0, else x."""
    return np.where(x < 0, alpha * x, x)


@op("softmax", shape=axes_shape)
def softmax(x: Array, *, axes: Sequence[int] = (1,)) -> Array:
    """e^(x - m) / sum of these over all axes together, m the maximum over the axes."""
    if not x.size:
        return x
    e = np.exp(x - np.max(x, axis=tuple(axes), keepdims=True))
    return np.asarray(e / np.sum(e, axis=tuple(axes), keepdims=True))
