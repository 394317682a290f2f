"""NNEF to TensorFlow: activations."""

from __future__ import annotations

import math

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...engine.rules import from_nnef
from ..building import TfBuilder
from ..common import SELU
from .reduce import axes_last


def _elu(b: TfBuilder, x: Tensor, alpha: float) -> Tensor:
    y = b.elementwise(b.Elu, x)
    if alpha == 1.0:
        return y
    negative = b.elementwise(b.Less, x, b.scalar(0.0), dtype=np.bool_)
    return b.nnef.select(negative, b.elementwise(b.Mul, y, b.scalar(alpha)), x)


@from_nnef("tf", "elu")
def elu(b: TfBuilder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """elu -> Elu, whose alpha is 1; otherwise what is negative is scaled."""
    return _elu(b, x, alpha)


@from_nnef("tf", "selu")
def selu(b: TfBuilder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu -> Selu for the constants that it has, up to the accuracy of float32; otherwise a scaled elu."""
    if np.allclose([alpha, lambda_], SELU, rtol=1e-6 if b.real is np.float32 else 0, atol=0):
        return b.elementwise(b.Selu, x)
    return b.elementwise(b.Mul, _elu(b, x, alpha), b.scalar(lambda_))


@from_nnef("tf", "leaky_relu")
def leaky_relu(b: TfBuilder, x: Tensor, *, alpha: float) -> Tensor:
    """leaky_relu -> LeakyRelu."""
    return b.elementwise(b.LeakyRelu, x, alpha=float(alpha))


@from_nnef("tf", "prelu")
def prelu(b: TfBuilder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu: alpha * x where x is negative."""
    negative = b.elementwise(b.Less, x, b.scalar(0.0), dtype=np.bool_)
    return b.nnef.select(negative, b.elementwise(b.Mul, x, alpha), x)


@from_nnef("tf", "softmax")
def softmax(b: TfBuilder, x: Tensor, *, axes: list[int]) -> Tensor:
    """softmax -> Softmax of the last dimension, which the axes are brought to."""
    own = shape(x)
    order, back = axes_last(axes, len(own))
    moved = b.transpose(x, order)
    count = len(own) - len(axes)
    flat = b.reshape(moved, [*shape(moved)[:count], math.prod(shape(moved)[count:])])
    return b.transpose(b.reshape(b.elementwise(b.Softmax, flat), shape(moved)), back)
