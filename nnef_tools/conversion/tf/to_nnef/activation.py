"""Activation functions."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.arithmetic import log_softmax, softsign, unary
from ...engine.rules import to_nnef
from ...maths import names
from ..common import SELU

for _row in names.ACTIVATIONS:
    to_nnef("tf", _row.tf)(unary(_row.nnef))


@to_nnef("tf", "Relu6")
def relu6(b: Builder, x: Tensor) -> Tensor:
    """Relu6: clamp between 0 and 6."""
    return b.clamp(x, 0.0, 6.0)


@to_nnef("tf", "LeakyRelu")
def leaky_relu(b: Builder, x: Tensor, *, alpha: float = 0.2) -> Tensor:
    """LeakyRelu -> leaky_relu."""
    return b.leaky_relu(x, alpha=alpha)


@to_nnef("tf", "Elu")
def elu(b: Builder, x: Tensor) -> Tensor:
    """Elu -> elu."""
    return b.elu(x, alpha=1.0)


@to_nnef("tf", "Selu")
def selu(b: Builder, x: Tensor) -> Tensor:
    """Selu -> selu with the constants of its inventors, which are NNEF's defaults up to the accuracy of float32."""
    if x.dtype is np.float64:
        return b.selu(x, **dict(zip(("alpha", "lambda"), SELU, strict=True)))
    return b.selu(x)


to_nnef("tf", "Softsign")(softsign)


def _last_axis(x: Tensor) -> list[int]:
    if not shape(x):
        raise Unsupported("input of rank 0")
    return [len(shape(x)) - 1]


@to_nnef("tf", "Softmax")
def softmax(b: Builder, x: Tensor) -> Tensor:
    """Softmax -> softmax over the last axis."""
    return b.softmax(x, axes=_last_axis(x))


@to_nnef("tf", "LogSoftmax")
def log_softmax_of(b: Builder, x: Tensor) -> Tensor:
    """LogSoftmax over the last axis."""
    return log_softmax(b, x, _last_axis(x))
