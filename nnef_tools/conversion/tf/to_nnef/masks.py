"""Operators whose extents depend on a count: what Where and NonMaxSuppression select, and what follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.counts import (
    at_most,
    brought_to,
    counted_range,
    counts_of,
    first_rows,
    known_extents,
    reshaped_to,
    volume_of,
)
from ...engine.rules import counting
from . import generate, move, slices

COMBINING = frozenset(
    (
        *("All", "Any", "ArgMax", "ArgMin", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Cumsum", "Einsum"),
        *("Gather", "GatherNd", "GatherV2", "LogSoftmax", "MatMul", "Max", "Mean", "Min", "Prod", "ScatterNd", "Shape"),
        *("ShapeN", "Size", "Softmax", "Sum", "TensorScatterAdd", "TensorScatterMax", "TensorScatterMin"),
        *("TensorScatterSub", "TensorScatterUpdate", "UnsortedSegmentMax", "UnsortedSegmentMin"),
        *("UnsortedSegmentProd", "UnsortedSegmentSum"),
    )
)
"""Operators that may combine rows of which only some count: their rules use no extent as a number."""


@counting("tf", "Shape")
def shape_of(b: Builder, x: Tensor, *, out_type: Any = np.int32) -> Tensor | None:
    """Shape of rows that are counted."""
    return counts_of(b, x, out_type) if x in b.masks else None


@counting("tf", "Size")
def size_of(b: Builder, x: Tensor, *, out_type: Any = np.int32) -> Tensor | None:
    """Size of rows that are counted."""
    return volume_of(b, x, out_type) if x in b.masks else None


@counting("tf", "Fill")
def fill(b: Builder, new: Tensor, value: Tensor) -> Tensor:
    """Fill of a counted shape."""
    return brought_to(b, new, lambda extents: generate.fill(b, extents, value))


@counting("tf", "BroadcastTo")
def broadcast_to(b: Builder, x: Tensor, new: Tensor) -> Tensor:
    """BroadcastTo a counted shape."""
    return brought_to(b, new, lambda extents: move.broadcast_to(b, x, extents))


@counting("tf", "Reshape")
def reshape_to(b: Builder, x: Tensor, new: Tensor) -> Tensor:
    """Reshape of rows that are counted."""
    return reshaped_to(b, new, x, lambda extents: move.reshape_to(b, x, extents))


@counting("tf", "Range")
def number_range(b: Builder, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Range up to a count."""
    return counted_range(b, start, limit, delta)


@counting("tf", "Slice")
def slice_to(b: Builder, x: Tensor, begin: Tensor, size: Tensor) -> Tensor | None:
    """Slice to a count, or of what is counted."""
    first = b.value(begin)
    if first is None:
        raise Unsupported("a slice whose begin depends on the data")
    sizes, counted = known_extents(b, size)
    varies: list[int] = [] if counted is None else [int(k) for k in np.flatnonzero(counted.varies)]
    for axis in range(len(sizes)):
        if axis in varies:
            if first[axis] != 0:
                raise b.masks.refuse("a slice that has them does not begin at 0")
            x = first_rows(b, x, axis, b.slice(size, axes=[0], begin=[axis], end=[axis + 1]))
        elif axis in b.masks.of(x) and (first[axis] != 0 or sizes[axis] not in (-1, shape(x)[axis])):
            raise b.masks.refuse("a slice takes a part of them")
    kept = [-1 if axis in b.masks.of(x) else n for axis, n in enumerate(sizes)]
    return slices.slice_sizes(b, x, begin, b.constant(np.asarray(kept, np.int64)))


@counting("tf", "StridedSlice")
def strided_slice(b: Builder, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor, **attribs: Any) -> Tensor | None:
    """StridedSlice of rows that are counted: all of them, or the first ones up to a limit."""
    bounds = [b.value(t) for t in (begin, end, strides)]
    if any(value is None for value in bounds):
        raise Unsupported("a slice whose begin or end depends on the data")
    if x not in b.masks:
        return None
    first, last, step = (np.asarray(value).reshape(-1) for value in bounds)
    masks = {
        name: int(attribs.get(f"{name}_mask") or 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    own, entries, axis = len(shape(x)), len(first), 0
    for k in range(entries):
        on = {name: mask >> k & 1 for name, mask in masks.items()}
        if on["ellipsis"]:
            later = sum(not masks["new_axis"] >> j & 1 for j in range(k + 1, entries))
            axis = own - later
        elif not on["new_axis"]:
            if axis in b.masks.of(x):
                if not (on["begin"] or first[k] == 0) or step[k] != 1 or on["shrink_axis"]:
                    raise b.masks.refuse("a slice takes a part of them that does not begin at 0, or single ones")
                if not on["end"] and not last[k] > 0:
                    raise b.masks.refuse("a slice leaves out the last of them")
                if not on["end"] and last[k] < shape(x)[axis]:
                    x = at_most(b, x, axis, int(last[k]))
            axis += 1
    return slices.strided_slice(b, x, begin, end, [int(n) for n in step], **attribs)
