"""NNEF to Caffe2: activations."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import Caffe2Builder


@from_nnef("caffe2", idioms.HARD_SIGMOID)
def hard_sigmoid(b: Caffe2Builder, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """A limited sum of a product -> HardSigmoid."""
    return known(b.op("HardSigmoid", x, alpha=float(alpha), beta=float(beta)), shape(x))


@from_nnef("caffe2", "elu")
def elu(b: Caffe2Builder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """elu -> Elu."""
    return known(b.op("Elu", x, alpha=float(alpha)), shape(x))


@from_nnef("caffe2", "selu")
def selu(b: Caffe2Builder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu -> Selu, whose scale is above 1; otherwise a scaled Elu."""
    if lambda_ > 1:
        return known(b.op("Selu", x, alpha=float(alpha), scale=float(lambda_)), shape(x))
    return b.nnef.mul(elu(b, x, alpha=alpha), float(lambda_))


@from_nnef("caffe2", "leaky_relu")
def leaky_relu(b: Caffe2Builder, x: Tensor, *, alpha: float) -> Tensor:
    """leaky_relu -> LeakyRelu."""
    return known(b.op("LeakyRelu", x, alpha=float(alpha)), shape(x))


@from_nnef("caffe2", "prelu")
def prelu(b: Caffe2Builder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu -> PRelu for a slope per channel; others where x is negative."""
    own = shape(x)
    slope = b.per_channel(alpha, own[1]) if len(own) >= 2 else None
    if slope is not None:
        return known(b.op("PRelu", x, slope, order="NCHW"), own)
    return b.nnef.select(b.nnef.lt(x, 0.0), b.nnef.mul(x, alpha), x)


@from_nnef("caffe2", "softmax")
def softmax(b: Caffe2Builder, x: Tensor, *, axes: list[int]) -> Tensor:
    """softmax -> Softmax, over all dimensions from one on, to which the axes are brought."""
    rank = len(shape(x))
    order = [*(k for k in range(rank) if k not in axes), *sorted(axes)]
    moved = b.transpose(x, order)
    y = known(b.op("Softmax", moved, axis=rank - len(axes)), shape(moved))
    return b.transpose(y, np.argsort(order).tolist())
