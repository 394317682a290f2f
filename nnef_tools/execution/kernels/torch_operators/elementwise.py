"""Element-wise operators (sections 5.2 and 5.3, casts, sums and copies of whole tensors, and custom ones)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch

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


def _clamp(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(x, b), a)


def cast(input: Tensor, *, dtype: Any) -> Tensor:
    """Converts the items; dtype is a numpy class. scalar to integer truncates, anything but 0 is true."""
    target = np.dtype(dtype)
    return input.to(torch.float64 if target == np.float64 else TORCH_DTYPES[target.kind])


TORCH_DTYPES = {"f": torch.float32, "V": torch.float32, "i": torch.int64, "u": torch.int64, "b": torch.bool}
"""The item types that tensors have here, by the kind of the numpy type ('V': bfloat16 and other narrow floats)."""


def copy_n(x: Tensor, *, times: int) -> list[Tensor]:
    """The same tensor `times` times."""
    return [x] * times


def add_n(x: Sequence[Tensor]) -> Tensor:
    """The sum of all; 0 if there are none."""
    return reduce(torch.add, align(*x)) if len(x) else torch.zeros(())


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
    "cast": cast,
    "copy_n": copy_n,
    "add_n": add_n,
    "erf": _unary(torch.erf),
    "fmod": _broadcast(torch.fmod),
    "bitwise_and": _broadcast(torch.bitwise_and),
    "bitwise_or": _broadcast(torch.bitwise_or),
    "bitwise_xor": _broadcast(torch.bitwise_xor),
    "bitwise_not": _unary(torch.bitwise_not),
    "shift_left": _broadcast(torch.bitwise_left_shift),
    "shift_right": _broadcast(torch.bitwise_right_shift),
}
