"""Common parts of the rules for TensorFlow Lite: fused activations, and options that do not change values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import is_integer
from ..building.nnef import Builder

FUSING = frozenset(
    ("ADD", "SUB", "MUL", "DIV", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "CONV_3D_TRANSPOSE", "TRANSPOSE_CONV",
     "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "CONCATENATION", "L2_NORMALIZATION")
)  # fmt: skip
"""The operators whose option `fused_activation_function` is applied to their result."""


def _limited(b: Builder, x: Tensor, low: int, high: int) -> Tensor:
    """x between two numbers; integers stay integers."""
    if is_integer(x.dtype):
        return b.min(b.max(x, b.constant(low, x.dtype)), b.constant(high, x.dtype))
    return b.clamp(x, float(low), float(high))


_ACTIVATIONS: Mapping[str, Callable[[Builder, Tensor], Tensor]] = {
    "NONE": lambda b, x: x,
    "RELU": lambda b, x: b.relu(x),
    "RELU_N1_TO_1": lambda b, x: _limited(b, x, -1, 1),
    "RELU6": lambda b, x: _limited(b, x, 0, 6),
    "TANH": lambda b, x: b.tanh(x),
    "SIGN_BIT": lambda b, x: b.cast(b.lt(x, 0.0), x.dtype),
}


def activated(b: Builder, x: Tensor, function: str) -> Tensor:
    """The result of a fused activation function. Unsupported if it is not known."""
    if function not in _ACTIVATIONS:
        raise Unsupported(f"fused_activation_function = {function!r}")
    return _ACTIVATIONS[function](b, x)
