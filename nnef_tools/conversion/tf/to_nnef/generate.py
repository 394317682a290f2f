"""Operators that give constants: shapes, ranges, fills."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...compose.slicing import expand_to
from ...compose.windows import number_range
from ...engine.rules import Array, Int, Ints, to_nnef


@to_nnef("tf", "Const")
def constant(b: Builder, *, value: Any, dtype: Any = None) -> Tensor:
    """Const."""
    return b.constant(value, dtype)


@to_nnef("tf", "Shape")
def shape_of(b: Builder, x: Tensor, *, out_type: Any = np.int32) -> Tensor:
    """Shape: known when the model is converted."""
    return b.constant(shape(x), out_type)


@to_nnef("tf", "ShapeN")
def shapes_of(b: Builder, *xs: Tensor, out_type: Any = np.int32) -> list[Tensor]:
    """ShapeN: known when the model is converted."""
    return [b.constant(shape(x), out_type) for x in xs]


@to_nnef("tf", "Size")
def size_of(b: Builder, x: Tensor, *, out_type: Any = np.int32) -> Tensor:
    """Size: known when the model is converted."""
    return b.constant(math.prod(shape(x)), out_type)


@to_nnef("tf", "Rank")
def rank_of(b: Builder, x: Tensor) -> Tensor:
    """Rank: known when the model is converted."""
    return b.constant(len(shape(x)), np.int32)


@to_nnef("tf", "BroadcastArgs")
def broadcast_shapes(b: Builder, x: Array, y: Array) -> Tensor:
    """BroadcastArgs: the shape that two shapes broadcast to."""
    return b.constant(np.broadcast_shapes(tuple(x.tolist()), tuple(y.tolist())), x.dtype.type)


@to_nnef("tf", "Fill")
def fill(b: Builder, dims: Ints, value: Tensor) -> Tensor:
    """Fill: a constant without copies, or tile of a computed value."""
    if value.data is not None:
        return b.constant(np.broadcast_to(np.asarray(value.data), dims))
    return expand_to(b, reshape(b, value, [1] * len(dims)), dims) if dims else value


@to_nnef("tf", "ZerosLike")
def zeros_like(b: Builder, x: Tensor) -> Tensor:
    """ZerosLike."""
    return b.constant(np.broadcast_to(np.zeros((), x.dtype), shape(x)))


@to_nnef("tf", "OnesLike")
def ones_like(b: Builder, x: Tensor) -> Tensor:
    """OnesLike."""
    return b.constant(np.broadcast_to(np.ones((), x.dtype), shape(x)))


@to_nnef("tf", "Empty")
def empty(b: Builder, dims: Ints, *, dtype: Any, init: bool = False) -> Tensor:
    """Empty: zeros, whether or not they are asked for."""
    return b.constant(np.broadcast_to(np.zeros((), dtype), dims))


@to_nnef("tf", "Range")
def range_of(b: Builder, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Range: start + k * delta before the limit; the number of items must be known."""
    return number_range(b, start, limit, delta)


@to_nnef("tf", "LinSpace")
def linear_space(b: Builder, start: Array, stop: Array, count: Int) -> Tensor:
    """LinSpace: evenly spaced numbers, both ends included."""
    ask_constant(count)
    return b.constant(np.linspace(start.reshape(()), stop.reshape(()), count).astype(start.dtype))


@to_nnef("tf", "InvertPermutation")
def invert_permutation(b: Builder, x: Array) -> Tensor:
    """InvertPermutation of a constant."""
    return b.constant(np.argsort(x).astype(x.dtype))
