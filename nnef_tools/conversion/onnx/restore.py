"""Finds in the ONNX graph under construction what NNEF wrote out because it has no such operation.

A rule asks here before it makes an operator of operands that are results of other operators. What is not needed any
more after that is removed with everything else that no output depends on. Only forms that compute the same are found.
"""

from __future__ import annotations

import numpy as np

from ...model import Tensor
from .common import shape

# Whole numbers up to that size are exact in float32, in which NNEF computes.
_EXACT = 1 << 24


def indices(x: Tensor, extent: int) -> Tensor:
    """Indices of an axis without `i < 0 ? i + extent : i`, since ONNX counts negative ones from the end itself.

    NNEF computes that on the indices cast to real numbers. Other indices are returned as they are.
    """
    parts = _operands(_single(x, "Cast"), "Where")
    if len(parts) != 3 or extent > _EXACT:
        return x
    negative, wrapped, plain = parts
    origin = _single(plain, "Cast")
    if origin is None or origin.dtype is not np.int64:
        return x
    same = _is_with(negative, "Less", plain, 0.0) and _is_with(wrapped, "Add", plain, extent)
    return origin if same else x


def hard_sigmoid(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, float, float] | None:
    """z, alpha, beta if limiting x to low and high is HardSigmoid: `clamp(alpha * z + beta, 0, 1)`; else None.

    For float32, the only type that onnxruntime has it for.
    """
    if x.dtype is not np.float32 or _number(low) != 0.0 or _number(high) != 1.0:
        return None
    product, beta = _with_number(_operands(x, "Add"))
    z, alpha = _with_number(_operands(product, "Mul"))
    return None if z is None or alpha is None or beta is None else (z, alpha, beta)


def column_bias(x: Tensor, y: Tensor) -> bool:
    """Is x a product of matrices with a single column, and y a number to add to it?

    Runtimes make Gemm of that if the number is a vector of one item, as it was before NNEF's form lost the rank.
    """
    return bool(_operands(x, "MatMul")) and len(shape(x)) == 2 and shape(x)[1] == 1 and _number(y) is not None


def _operands(x: Tensor | None, type: str) -> tuple[Tensor, ...]:
    """The operands of the operator of that type that x is the result of; none if it is not."""
    producer = None if x is None else x.producer
    return tuple(producer.inputs) if producer is not None and (producer.type, producer.domain) == (type, "") else ()


def _single(x: Tensor, type: str) -> Tensor | None:
    return next(iter(_operands(x, type)), None)


def _number(x: Tensor) -> float | None:
    """The value of a real constant of rank 0."""
    return float(np.asarray(x.data)) if x.data is not None and not shape(x) else None


def _is_with(x: Tensor, type: str, operand: Tensor, number: float) -> bool:
    """Is x an operator of the operand and the number, in that order?"""
    parts = _operands(x, type)
    return len(parts) == 2 and parts[0] is operand and _number(parts[1]) == number


def _with_number(operands: tuple[Tensor, ...]) -> tuple[Tensor | None, float | None]:
    """The computed one of two operands and the value of the other one, in either order."""
    for x, y in (operands, operands[::-1]) if len(operands) == 2 else ():
        if x.data is None and _number(y) is not None:
            return x, _number(y)
    return None, None
