"""NNEF to TensorFlow Lite: operations that scatter by index tensors."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ...tf.from_nnef.index import element_tuples, nonnegative
from ..building import TfliteBuilder


def _scatter(b: TfliteBuilder, x: Tensor, tuples: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """Adds the sums that SCATTER_ND makes, or puts updates where it counts some."""
    own = shape(x)
    dims = b.vector(own)
    moved = known(b.ScatterNd(tuples, b.cast(updates, x.dtype), dims), own, x.dtype)
    if reduction == "add":
        return b.elementwise(b.AddV2, x, moved)
    if reduction != "none":
        raise Unsupported(f"TensorFlow Lite has no scatter with reduction '{reduction}'")
    count = known(b.ScatterNd(tuples, b.constant(np.ones(shape(updates), np.float32)), dims), own, np.float32)
    hit = b.elementwise(b.Greater, count, b.constant(0, np.float32), dtype=np.bool_)
    return b.nnef.select(hit, moved, x)


@from_nnef("tflite", "scatter_elements")
def scatter_elements(
    b: TfliteBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str = "none"
) -> Tensor:
    """scatter_elements -> SCATTER_ND with tuples of the own position, but for the axis."""
    return _scatter(b, input, element_tuples(b, input, indices, axis), updates, reduction)


@from_nnef("tflite", "scatter_nd")
def scatter_nd(b: TfliteBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """scatter_nd -> SCATTER_ND."""
    return _scatter(b, input, nonnegative(b, indices, shape(input)[: shape(indices)[-1]]), updates, reduction)
