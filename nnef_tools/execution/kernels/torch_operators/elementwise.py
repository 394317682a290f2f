"""Element-wise operators and activations (sections 5.2, 5.3 and 5.10, and custom ones)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from .common import Operator, Tensor, align


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda x: function(x)


def _broadcast(function: Callable[..., Tensor]) -> Operator:
    return lambda *tensors: function(*align(*tensors))


def round_half_up(x: Tensor) -> Tensor:
    """floor(x + 0.5), without the rounding error of that sum."""
    below = torch.floor(x)
    return torch.where(x - below >= 0.5, below + 1, below)


def _rsqr(x: Tensor) -> Tensor:
    return torch.reciprocal(torch.square(x))


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


def _clamp(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(x, b), a)


def _softmax(x: Tensor, *, axes: list[int] | tuple[int, ...] = (1,)) -> Tensor:
    if len(axes) == 1:
        return torch.softmax(x, axes[0])
    if not axes:  # each element is a set of its own
        return torch.ones_like(x)
    e = torch.exp(x - x.amax(tuple(axes), keepdim=True))
    return e / e.sum(tuple(axes), keepdim=True)


OPERATORS: dict[str, Operator] = {
    "copy": lambda x: x,
    "not": _unary(torch.logical_not),
    "neg": _unary(torch.neg),
    "rcp": _unary(torch.reciprocal),
    "exp": _unary(torch.exp),
    "log": _unary(torch.log),
    "abs": _unary(torch.abs),
    "sign": _unary(torch.sign),
    "floor": _unary(torch.floor),
    "ceil": _unary(torch.ceil),
    "round": round_half_up,
    "sin": _unary(torch.sin),
    "cos": _unary(torch.cos),
    "tan": _unary(torch.tan),
    "asin": _unary(torch.asin),
    "acos": _unary(torch.acos),
    "atan": _unary(torch.atan),
    "sinh": _unary(torch.sinh),
    "cosh": _unary(torch.cosh),
    "tanh": _unary(torch.tanh),
    "asinh": _unary(torch.asinh),
    "acosh": _unary(torch.acosh),
    "atanh": _unary(torch.atanh),
    "sqr": _unary(torch.square),
    "sqrt": _unary(torch.sqrt),
    "rsqr": _rsqr,
    "rsqrt": _unary(torch.rsqrt),
    "log2": _unary(torch.log2),
    "relu": _unary(torch.relu),
    "sigmoid": _unary(torch.sigmoid),
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": _unary(F.silu),
    "elu": _elu,
    "selu": _selu,
    "prelu": _prelu,
    "leaky_relu": _leaky_relu,
    "softmax": _softmax,
    "add": _broadcast(torch.add),
    "sub": _broadcast(torch.sub),
    "mul": _broadcast(torch.mul),
    "div": _broadcast(torch.div),
    "pow": _broadcast(torch.pow),
    "lt": _broadcast(torch.lt),
    "gt": _broadcast(torch.gt),
    "le": _broadcast(torch.le),
    "ge": _broadcast(torch.ge),
    "eq": _broadcast(torch.eq),
    "ne": _broadcast(torch.ne),
    "and": _broadcast(torch.logical_and),
    "or": _broadcast(torch.logical_or),
    "min": _broadcast(torch.minimum),
    "max": _broadcast(torch.maximum),
    "select": _broadcast(torch.where),
    "clamp": _broadcast(_clamp),
    "erf": _unary(torch.erf),
    "fmod": _broadcast(torch.fmod),
    "bitwise_and": _broadcast(torch.bitwise_and),
    "bitwise_or": _broadcast(torch.bitwise_or),
    "bitwise_xor": _broadcast(torch.bitwise_xor),
    "bitwise_not": _unary(torch.bitwise_not),
    "shift_left": _broadcast(torch.bitwise_left_shift),
    "shift_right": _broadcast(torch.bitwise_right_shift),
}
