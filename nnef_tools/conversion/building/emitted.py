"""What rules from NNEF to any format share: tensors whose shape and item type are set, and constants.

In the emit modules of the formats stands what has the same meaning everywhere, but other operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...model import Tensor
from ...ops import broadcast as ops_broadcast
from ...ops.window import divisors
from .shapes import shape
from .target import PlainBuilder

SELU = (1.6732632423543772, 1.0507009873554805)
"""alpha and lambda of the inventors of selu, as TensorFlow has them."""


def known(x: Tensor, shape: Sequence[int | None] | None, dtype: Any = None) -> Tensor:
    """x with its shape set, and its item type if it is not a real one."""
    x.shape = shape
    if dtype is not None:
        x.dtype = dtype
    return x


def scalar(b: PlainBuilder, value: float) -> Tensor:
    """A real number of rank 0."""
    return b.constant(value, b.real)


def is_number(x: Tensor, value: float) -> bool:
    """Is x a constant of rank 0 with that value?"""
    return x.data is not None and not shape(x) and float(np.asarray(x.data)) == value


def broadcast_shape(*tensors: Tensor) -> list[int]:
    """The shape of an elementwise result."""
    return ops_broadcast.broadcast_shape(*map(shape, tensors))


def divisor(b: PlainBuilder, counts: Sequence[np.ndarray[Any, Any]]) -> Tensor:
    """The outer product of counts for each dimension, to divide sums by."""
    total = divisors(counts)
    return b.constant(total if total.size > 1 else total.item(), b.real)
