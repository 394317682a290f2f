"""Activations."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, positive, shape
from ...engine.rules import to_nnef


@to_nnef("caffe", "TanH")
def tanh(b: Builder, x: Tensor) -> Tensor:
    """TanH -> tanh."""
    return b.tanh(x)


@to_nnef("caffe", "Sigmoid")
def sigmoid(b: Builder, x: Tensor) -> Tensor:
    """Sigmoid -> sigmoid."""
    return b.sigmoid(x)


@to_nnef("caffe", "BNLL")
def bnll(b: Builder, x: Tensor) -> Tensor:
    """BNLL -> softplus."""
    return b.softplus(x)


@to_nnef("caffe", "ReLU")
def relu(b: Builder, x: Tensor, *, negative_slope: float = 0.0) -> Tensor:
    """ReLU -> relu or leaky_relu."""
    return b.leaky_relu(x, alpha=negative_slope) if negative_slope else b.relu(x)


@to_nnef("caffe", "ReLU6")
def relu6(b: Builder, x: Tensor, *, negative_slope: float = 0.0) -> Tensor:
    """ReLU6: relu of at most 6."""
    return b.min(relu(b, x, negative_slope=negative_slope), 6.0) if negative_slope else b.clamp(x, 0.0, 6.0)


@to_nnef("caffe", "HardSwish")
def hard_swish(b: Builder, x: Tensor) -> Tensor:
    """HardSwish: x min(max(x + 3, 0), 6) / 6."""
    return b.div(b.mul(x, b.clamp(b.add(x, 3.0), 0.0, 6.0)), 6.0)


@to_nnef("caffe", "PReLU")
def prelu(b: Builder, x: Tensor, slope: Tensor, *, channel_shared: bool = False) -> Tensor:
    """PReLU -> prelu, with a slope for each channel or one for all."""
    return b.prelu(x, slope if not shape(slope) else channels(b, slope))


@to_nnef("caffe", "ELU")
def elu(b: Builder, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """ELU -> elu."""
    return b.elu(x, alpha=alpha) if alpha != 1 else b.elu(x)


@to_nnef("caffe", "Swish")
def swish(b: Builder, x: Tensor, *, beta: float = 1.0) -> Tensor:
    """Swish: x sigmoid(beta x)."""
    return b.silu(x) if beta == 1 else b.mul(x, b.sigmoid(b.mul(x, beta)))


@to_nnef("caffe", "Softmax")
def softmax(b: Builder, x: Tensor, *, axis: int = 1) -> Tensor:
    """Softmax over one axis, which is not flattened."""
    return b.softmax(x, axes=[positive(axis, len(shape(x)))])


@to_nnef("caffe", "Dropout")
def dropout(b: Builder, x: Tensor) -> Tensor:
    """Dropout: nothing happens when a net is deployed."""
    return x
