"""Activations (section 5.10)."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from .common import Operator, Tensor, align


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
}
