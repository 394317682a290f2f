"""Slice and StridedSlice."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape, squeeze, unsqueeze
from ...compose.slicing import slice_axes
from ...engine.rules import Ints, to_nnef


@to_nnef("tf", "Slice")
def slice_sizes(b: Builder, x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """Slice -> slice; a size of -1 takes the rest."""
    own = shape(x)
    if not len(begin) == len(size) == len(own):
        raise Unsupported(f"begin {begin} and size {size} do not fit rank {len(own)}")
    ends = [extent if n == -1 else start + n for extent, start, n in zip(own, begin, size, strict=True)]
    if any(not 0 <= start <= end <= extent for start, end, extent in zip(begin, ends, own, strict=True)):
        raise Unsupported(f"begin {begin} and size {size} leave shape {own}")
    return slice_axes(b, x, begin, ends, range(len(own)), [1] * len(own))


@dataclass
class Plan:
    """What a strided slice does, an entry per sliced axis; then axes that are dropped, then axes that are added.

    dropped: positions in the input. added: positions in the result.
    """

    begin: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    stride: list[int] = field(default_factory=list)
    axes: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    added: list[int] = field(default_factory=list)


def plan_strided_slice(
    extents: list[int],
    begin: list[int],
    end: list[int],
    strides: list[int],
    *,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Plan:
    """Resolves the masks of a strided slice, as numpy does with `x[1:, ..., None, 2]`. Unsupported if it is malformed.

    Each item of begin, end and strides is, by the bits of the masks at its position: an ellipsis, a new axis, a single
    position (which drops the axis), or a range whose begin or end may be open.
    """
    if not len(begin) == len(end) == len(strides):
        raise Unsupported(f"begin {begin}, end {end} and strides {strides} differ in length")
    if ellipsis_mask & (ellipsis_mask - 1):
        raise Unsupported("more than one ellipsis")
    plan = Plan()
    covered = sum(1 for k in range(len(begin)) if not (ellipsis_mask | new_axis_mask) >> k & 1)
    if covered > len(extents):
        raise Unsupported(f"{covered} ranges for {len(extents)} axes")
    axis = position = 0
    for k, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << k
        if ellipsis_mask & bit:
            skipped = len(extents) - covered
            axis += skipped
            position += skipped
        elif new_axis_mask & bit:
            plan.added.append(position)
            position += 1
        elif shrink_axis_mask & bit:
            at = first + extents[axis] if first < 0 else first
            if not 0 <= at < extents[axis]:
                raise Unsupported(f"position {first} of axis {axis} with extent {extents[axis]}")
            _append(plan, axis, at, at + 1, 1)
            plan.dropped.append(axis)
            axis += 1
        else:
            if step == 0:
                raise Unsupported("a stride of 0")
            open_range = slice(None if begin_mask & bit else first, None if end_mask & bit else last, step)
            _append(plan, axis, *_bounds(open_range, extents[axis]))
            axis += 1
            position += 1
    return plan


def _bounds(range_: slice, extent: int) -> tuple[int, int, int]:
    """Begin, end and stride that mean the same when negative ones count from the end."""
    first, last, step = range_.indices(extent)
    return first, last if last >= 0 else -extent - 1, step


def _append(plan: Plan, axis: int, begin: int, end: int, stride: int) -> None:
    plan.axes.append(axis)
    plan.begin.append(begin)
    plan.end.append(end)
    plan.stride.append(stride)


@to_nnef("tf", "StridedSlice")
def strided_slice(
    b: Builder,
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    strides: Ints,
    *,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Tensor:
    """StridedSlice -> slice, squeeze, unsqueeze; one position that is computed -> gather."""
    known = b.value(begin), b.value(end)
    if known[0] is None and shrink_axis_mask == 1 and len(strides) == 1 and not (ellipsis_mask | new_axis_mask):
        return squeeze(b, b.gather(x, begin, axis=0), [0])
    if known[0] is None or known[1] is None:
        raise Unsupported("begin and end must be constant, but they are computed from the inputs")
    plan = plan_strided_slice(
        shape(x),
        [int(k) for k in np.ravel(known[0])],
        [int(k) for k in np.ravel(known[1])],
        strides,
        begin_mask=begin_mask,
        end_mask=end_mask,
        ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask,
        shrink_axis_mask=shrink_axis_mask,
    )
    y = slice_axes(b, x, plan.begin, plan.end, plan.axes, plan.stride)
    return unsqueeze(b, squeeze(b, y, plan.dropped), plan.added)
