"""Toy to NNEF: elementwise operators."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef


@to_nnef("toy", "relu")
def relu(b: Builder, x: Tensor) -> Tensor:
    """relu -> relu."""
    return b.relu(x)


@to_nnef("toy", "sigm")
def sigmoid(b: Builder, x: Tensor) -> Tensor:
    """sigm -> sigmoid."""
    return b.sigmoid(x)


@to_nnef("toy", "mul")
def mul(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """mul -> mul."""
    return b.mul(x, y)
