"""NNEF to ONNX: activations."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape
from . import substitutes


@from_nnef("onnx", idioms.HARD_SIGMOID)
def hard_sigmoid(b: OnnxBuilder, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """A limited sum of a product -> HardSigmoid."""
    return known(b.HardSigmoid(x, alpha=alpha, beta=beta), shape(x))


@from_nnef("onnx", "softplus")
def softplus(b: OnnxBuilder, x: Tensor) -> Tensor:
    """softplus -> Softplus."""
    return substitutes.softplus(b, x) if b.real is np.float64 else b.counterpart("softplus", x)


@from_nnef("onnx", "elu")
def elu(b: OnnxBuilder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """elu -> Elu."""
    if b.real is np.float64:
        return substitutes.elu(b, x, alpha)
    return known(b.Elu(x, alpha=alpha), shape(x))


@from_nnef("onnx", "selu")
def selu(b: OnnxBuilder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu -> Selu."""
    if b.real is np.float64:
        return b.elementwise(b.Mul, substitutes.elu(b, x, alpha), b.scalar(lambda_))
    return known(b.Selu(x, alpha=alpha, gamma=lambda_), shape(x))


@from_nnef("onnx", "leaky_relu")
def leaky_relu(b: OnnxBuilder, x: Tensor, *, alpha: float) -> Tensor:
    """leaky_relu -> LeakyRelu."""
    if b.real is np.float64:
        return substitutes.prelu(b, x, b.scalar(alpha))
    return known(b.LeakyRelu(x, alpha=alpha), shape(x))


@from_nnef("onnx", "prelu")
def prelu(b: OnnxBuilder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu -> PRelu."""
    if b.real is np.float64:
        return substitutes.prelu(b, x, alpha)
    slope = b.lean(b.right_extended(alpha, len(shape(x))))
    return known(b.PRelu(x, slope), shape(x))


@from_nnef("onnx", "softmax")
def softmax(b: OnnxBuilder, x: Tensor, *, axes: list[int]) -> Tensor:
    """softmax -> Softmax over one axis; over several the exponentials, divided by their sum."""
    if len(axes) == 1:
        return known(b.Softmax(x, axis=axes[0]), shape(x))
    e = b.elementwise(b.Exp, b.elementwise(b.Sub, x, b.reduce("max", x, axes)))
    return b.elementwise(b.Div, e, b.reduce("sum", e, axes))
