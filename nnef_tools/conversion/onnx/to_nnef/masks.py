"""Operators whose extents depend on a count: what NonZero and NonMaxSuppression select, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.counts import (
    at_most,
    brought_to,
    counted_range,
    counts_of,
    first_rows,
    gathered,
    known_extents,
    reshaped_to,
    volume_of,
)
from ...compose.slicing import slice_axes
from ...engine.rules import counting
from ..common import positive, shape
from . import generate, index, move

COMBINING = frozenset(
    (
        *("ArgMax", "ArgMin", "CumSum", "Einsum", "Gather", "GatherElements", "GatherND", "Gemm", "LogSoftmax"),
        *("MatMul", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Scatter", "ScatterElements", "ScatterND", "Shape", "Size"),
        *("Softmax", "TensorScatter"),
    )
)
"""Operators that may combine rows of which only some count: their rules use no extent as a number."""


@counting("onnx", "Shape")
def shape_of(b: Builder, x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor | None:
    """Shape of rows that are counted."""
    if x not in b.masks:
        return None
    chosen = list(range(len(shape(x))))[start:end]
    extents = counts_of(b, x, np.int64)
    if chosen == list(range(len(shape(x)))):
        return extents
    return b.slice(extents, axes=[0], begin=[chosen[0]], end=[chosen[-1] + 1])


@counting("onnx", "Size")
def size_of(b: Builder, x: Tensor) -> Tensor | None:
    """Size of rows that are counted."""
    return volume_of(b, x, np.int64) if x in b.masks else None


@counting("onnx", "Expand")
def expand(b: Builder, x: Tensor, new: Tensor) -> Tensor:
    """Expand to a count."""
    known, counted = known_extents(b, new)
    if counted is not None:
        own = [1] * (len(known) - len(shape(x))) + shape(x)
        for k in np.flatnonzero(counted.varies.reshape(-1)) + len(own) - len(known):
            if own[k] != 1 and k - len(own) + len(shape(x)) not in b.masks.of(x):
                raise b.masks.refuse(f"it is that of an axis of extent {own[k]}")
    return brought_to(b, new, lambda extents: move.expand(b, x, extents))


@counting("onnx", "ConstantOfShape")
def constant_of_shape(b: Builder, new: Tensor, *, value: Any = None) -> Tensor:
    """ConstantOfShape with a count."""
    return brought_to(b, new, lambda extents: generate.constant_of_shape(b, extents, value=value))


@counting("onnx", "Reshape")
def reshape_to(b: Builder, x: Tensor, new: Tensor, *, allowzero: int = 0) -> Tensor:
    """Reshape of rows that are counted."""
    return reshaped_to(b, new, x, lambda extents: move.reshape_input(b, x, extents, allowzero=allowzero))


@counting("onnx", "Range")
def number_range(b: Builder, start: Tensor, limit: Tensor, delta: Tensor, *, stash_type: int = 1) -> Tensor:
    """Range up to a count."""
    return counted_range(b, start, limit, delta)


@counting("onnx", "Slice")
def slice_to(
    b: Builder,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
    **attribs: Any,
) -> Tensor | None:
    """Slice of what is counted, or to a count."""
    if starts is None or ends is None:
        return None
    chosen = list(range(starts.volume or 0)) if axes is None else _numbers(b, axes)
    chosen = [positive(k, len(shape(x))) for k in chosen]
    first = _numbers(b, starts)
    last, counted = known_extents(b, ends)
    stride = [1] * len(chosen) if steps is None else _numbers(b, steps)
    varies: Sequence[int] = [] if counted is None else list(np.flatnonzero(counted.varies.reshape(-1)))
    kept = []
    for k, axis in enumerate(chosen):
        if k in varies:
            if first[k] != 0 or stride[k] != 1:
                raise b.masks.refuse("a slice has them at its end and does not begin at 0 or takes steps")
            flat = b.reshape(ends, shape=[len(chosen)])
            x = first_rows(b, x, axis, b.slice(flat, axes=[0], begin=[k], end=[k + 1]))
        elif axis not in b.masks.of(x):
            kept.append(k)
        elif first[k] != 0 or stride[k] != 1 or last[k] < 1:
            raise b.masks.refuse("a slice leaves out the first or the last of them")
        elif last[k] < shape(x)[axis]:
            x = at_most(b, x, axis, last[k])
    parts = ([values[k] for k in kept] for values in (first, last, chosen, stride))
    return slice_axes(b, x, *parts)


def _numbers(b: Builder, x: Tensor) -> Sequence[int]:
    value = b.value(x)
    if value is None:
        raise Unsupported("its begins, axes and steps must be constants")
    return [int(n) for n in value.reshape(-1)]


@counting("onnx", "Gather")
def gather(b: Builder, x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Gather of rows that are counted: negative positions count from the last one."""
    k = positive(axis, len(shape(x)))
    return gathered(b, x, indices, k, lambda found: index.gather(b, x, found, axis=k))
