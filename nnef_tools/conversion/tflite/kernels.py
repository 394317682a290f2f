"""What TensorFlow Lite's kernels accept, as far as NNEF's types and ranks reach beyond it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..building.shapes import shape

_NOT_FOR = {
    np.int64: frozenset(
        ("ABS", "ARG_MAX", "ARG_MIN", "ADD_N", "BITWISE_XOR", "DIV", "FLOOR_DIV", "MEAN", "POW", "RIGHT_SHIFT", "SIGN",
         "SQUARE", "BATCH_MATMUL", "FULLY_CONNECTED", "SPLIT")
    ),
    np.bool_: frozenset(("PAD", "PADV2", "MIRROR_PAD", "SPLIT", "SUM", "MUL", "ADD")),
}  # fmt: skip
"""Type of the first input -> operators without a kernel for it."""

_RANKS = {"STRIDED_SLICE": 5, "PAD": 5, "PADV2": 5, "TRANSPOSE": 6, "TILE": 8, "BROADCAST_TO": 8}
"""The highest rank of operators that have a limit."""


def check_kernel(type: str, inputs: Sequence[Tensor | None]) -> None:
    """Raises Unsupported if TensorFlow Lite has no kernel of an operator for the type or rank of its first input."""
    x = inputs[0] if inputs else None
    if x is None:
        return
    if type in _NOT_FOR.get(x.dtype, ()):
        raise Unsupported(f"TensorFlow Lite's {type} has no kernel for {x.dtype.__name__}")
    if type in _RANKS and x.shape is not None and len(shape(x)) > _RANKS[type]:
        raise Unsupported(f"TensorFlow Lite's {type} supports ranks up to {_RANKS[type]}, not {len(shape(x))}")
