"""NNEF to TensorFlow Lite: activations."""

from __future__ import annotations

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfliteBuilder
from .elementwise import log1p


@from_nnef("tflite", "selu")
def selu(b: TfliteBuilder, x: Tensor, *, alpha: float = 1.67326319, lambda_: float = 1.05070102) -> Tensor:
    """selu: a scaled elu."""
    return b.nnef.mul(b.nnef.elu(x, alpha=alpha), lambda_)


@from_nnef("tflite", "softplus")
def softplus(b: TfliteBuilder, x: Tensor) -> Tensor:
    """softplus: max(x, 0) + log(1 + exp(-|x|))."""
    return b.nnef.add(b.nnef.relu(x), log1p(b, b.nnef.exp(b.nnef.neg(b.nnef.abs(x)))))


@from_nnef("tflite", "prelu")
def prelu(b: TfliteBuilder, x: Tensor, alpha: Tensor) -> Tensor:
    """prelu -> PRELU, whose slopes have no batch, around the transposes that bring channels to the end."""
    own = shape(x)
    slopes = b.per_channel(alpha, own[1]) if len(own) > 1 else None
    if slopes is None or len(own) not in (2, 3, 4):
        negative = b.nnef.lt(x, 0.0)
        return b.nnef.select(negative, b.nnef.mul(x, alpha), x)
    y = b.to_format(x)
    slopes = b.reshape(slopes, [*[1] * (len(own) - 2), own[1]])
    return b.from_format(known(b.builtin("PRELU", y, slopes), shape(y)))


@from_nnef("tflite", idioms.GELU)
def gelu(b: TfliteBuilder, x: Tensor, *, approximate: bool) -> Tensor:
    """GELU, exact with erf or the tanh form."""
    return known(b.builtin("GELU", x, approximate=approximate), shape(x))


@from_nnef("tflite", idioms.HARD_SIGMOID)
def hard_sigmoid(b: TfliteBuilder, x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """alpha * x + beta, clamped to [0, 1]."""
    line = x if alpha == 1.0 else b.nnef.mul(x, alpha)
    return b.nnef.clamp(line if beta == 0.0 else b.nnef.add(line, beta), 0.0, 1.0)
