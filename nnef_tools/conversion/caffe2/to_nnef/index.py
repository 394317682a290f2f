"""Operators with computed positions."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import positive, shape
from ...engine.rules import to_nnef
from ...onnx.to_nnef.index import non_negative


@to_nnef("caffe2", "Gather")
def gather(
    b: Builder, x: Tensor, indices: Tensor, *, axis: int = 0, wrap_indices: int = 0, match_outer: int = 0
) -> Tensor:
    """Gather -> gather."""
    if match_outer:
        raise Unsupported("match_outer = 1")
    k = positive(axis, len(shape(x)))
    known = indices.data is not None or wrap_indices
    return b.gather(x, non_negative(b, indices, shape(x)[k]) if known else indices, axis=k)


@to_nnef("caffe2", "BatchGather")
def batch_gather(b: Builder, x: Tensor, indices: Tensor) -> Tensor:
    """BatchGather: the same positions of axis 1 for each item of a batch."""
    return gather(b, x, indices, axis=1)
