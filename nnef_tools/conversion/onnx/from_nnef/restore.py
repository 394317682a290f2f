"""Finds in the ONNX graph under construction what NNEF wrote out because it has no such operation.

A rule asks here before it makes an operator of operands that are results of other operators. What is not needed any
more after that is removed with everything else that no output depends on. Only forms that compute the same are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....model import Tensor
from ..common import shape

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


def layer_normalization(y: Tensor, scale: Tensor) -> tuple[Tensor, int, float] | None:
    """x, n, epsilon if `y * scale` is LayerNormalization of x over its last n axes without a bias; else None.

    In the form that our rule for LayerNormalization writes, and for float32, in which it computes.
    """
    for centred, inverse in _either_order(_operands(y, "Mul")):
        x, mean = _pair(_operands(centred, "Sub"))
        variance, epsilon = _with_number(_operands(_single(_single(inverse, "Reciprocal"), "Sqrt"), "Add"))
        if x is None or mean is None or variance is None or epsilon is None or x.dtype is not np.float32:
            continue
        axes = moments_axes(x, mean, variance)
        rank = len(shape(x))
        if axes and axes == list(range(rank - len(axes), rank)) and is_of_last(scale, x, len(axes)):
            return x, len(axes), epsilon
    return None


def without_bias(y: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, dict[str, Any]] | None:
    """x, the scale and the attributes if y is a LayerNormalization that can take the bias too; else None."""
    x, scale = _pair(_operands(y, "LayerNormalization"))
    if x is None or scale is None or y.producer is None or not is_of_last(bias, x, len(shape(scale))):
        return None
    return x, scale, y.producer.attribs


def is_of_last(parameter: Tensor, x: Tensor, count: int) -> bool:
    """Is it a constant with an item for each position in the last axes of x, of that number?"""
    own, rank = shape(x), len(shape(x))
    return parameter.data is not None and shape(parameter) == [1] * (rank - count) + own[rank - count :]


def moments_axes(x: Tensor, mean: Tensor, variance: Tensor) -> list[int] | None:
    """The axes over which these are the mean and the variance of x, as `moments` is written; else None."""
    axes = _mean_axes(mean, x)
    squares = _single(variance, "ReduceMean")
    difference, two = _pair(_operands(squares, "Pow"))
    if axes is None or squares is None or difference is None or two is None or _number(two) != 2.0:
        return None
    same = _pair(_operands(difference, "Sub")) == (x, mean)
    return axes if same and _mean_axes(variance, squares) == axes else None


def _mean_axes(y: Tensor, x: Tensor) -> list[int] | None:
    """The axes of a ReduceMean of x with the result y, which are an attribute up to version 17."""
    inputs = _operands(y, "ReduceMean")
    if y.producer is None or not inputs or inputs[0] is not x:
        return None
    if len(inputs) == 1:
        return list(y.producer.attribs["axes"])
    return None if inputs[1].data is None else [int(axis) for axis in np.asarray(inputs[1].data)]


_BLOCKS = {
    (0, 1, 4, 2, 5, 3): ("DepthToSpace", "ncbbhw", {"mode": "CRD"}),
    (0, 3, 4, 1, 5, 2): ("DepthToSpace", "nbbchw", {"mode": "DCR"}),
    (0, 3, 5, 1, 2, 4): ("SpaceToDepth", "nchbwb", {}),
}
"""Order of axes -> the operator that it is between two reshapes, the axes it is of (b: of a block), and attributes."""


def moved_blocks(x: Tensor, dims: Sequence[int]) -> tuple[str, Tensor, dict[str, Any]] | None:
    """The operator, its operand and attributes if x in another shape is DepthToSpace or SpaceToDepth; else None.

    Runtimes take several times as long for a Transpose of six axes. For float32, which all of them have it for.
    """
    grid = _single(x, "Transpose")
    origin = _single(grid, "Reshape")
    if grid is None or origin is None or x.producer is None or x.dtype is not np.float32:
        return None
    type, axes, attribs = _BLOCKS.get(tuple(x.producer.attribs["perm"]), ("", "", {}))
    if not type or len(shape(origin)) != 4 or len(dims) != 4:
        return None
    deep, wide = (shape(origin), list(dims)) if type == "DepthToSpace" else (list(dims), shape(origin))
    n, _, h, w = deep
    c, size = wide[1], shape(grid)[axes.index("b")]
    extents = {"n": n, "c": c, "h": h, "w": w, "b": size}
    fits = deep[1] == c * size**2 and wide == [n, c, h * size, w * size]
    if not fits or shape(grid) != [extents[axis] for axis in axes]:
        return None
    return type, origin, {"blocksize": size, **attribs}


def column_bias(x: Tensor, y: Tensor) -> bool:
    """Is x a product of matrices with a single column, and y a number to add to it?

    Runtimes make Gemm of that if the number is a vector of one item, as it was before NNEF's form lost the rank.
    """
    return bool(_operands(x, "MatMul")) and len(shape(x)) == 2 and shape(x)[1] == 1 and _number(y) is not None


def _operands(x: Tensor | None, type: str) -> tuple[Tensor, ...]:
    """The operands of the operator of that type that x is the result of; none if it is not."""
    producer = None if x is None else x.producer
    return tuple(producer.inputs) if producer is not None and (producer.type, producer.domain) == (type, "") else ()


def _single(x: Tensor | None, type: str) -> Tensor | None:
    return next(iter(_operands(x, type)), None)


def _pair(operands: tuple[Tensor, ...]) -> tuple[Tensor | None, Tensor | None]:
    """The operands if they are two."""
    return (operands[0], operands[1]) if len(operands) == 2 else (None, None)


def _either_order(operands: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], ...]:
    return (operands, operands[::-1]) if len(operands) == 2 else ()


def _number(x: Tensor) -> float | None:
    """The value of a real constant of rank 0."""
    return float(np.asarray(x.data)) if x.data is not None and not shape(x) else None


def _is_with(x: Tensor, type: str, operand: Tensor, number: float) -> bool:
    """Is x an operator of the operand and the number, in that order?"""
    parts = _operands(x, type)
    return len(parts) == 2 and parts[0] is operand and _number(parts[1]) == number


def _with_number(operands: tuple[Tensor, ...]) -> tuple[Tensor | None, float | None]:
    """The computed one of two operands and the value of the other one, in either order."""
    for x, y in _either_order(operands):
        if x.data is None and _number(y) is not None:
            return x, _number(y)
    return None, None
