"""Slices, at constant and at computed places."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, squeeze, unsqueeze
from ...compose.axis_maps import take
from ...compose.slicing import slice_axes
from ...compose.windows import Place, clamped, distance, from_start, items, range_length, taken, updated
from ...engine.rules import Ints, to_nnef
from ...maths.generated import filled


@to_nnef("tf", "Slice")
def slice_sizes(b: Builder, x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """Slice -> slice; a size of -1 takes the rest. At a computed begin -> gather, for constant sizes."""
    own, starts, known = shape(x), items(b, begin), b.value(size)
    if known is None:
        raise Unsupported("the shape of the result depends on the data: the size is computed")
    sizes = [int(n) for n in known.reshape(-1)]
    if not len(starts) == len(sizes) == len(own):
        raise Unsupported(f"{len(starts)} begins and {len(sizes)} sizes do not fit rank {len(own)}")
    ends = []
    for axis, (start, n) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(start, int):
            ends.append(own[axis] if n == -1 else start + n)
            continue
        if n == -1:
            raise Unsupported(f"the shape of the result depends on the data: the rest of axis {axis} is taken")
        starts[axis] = start if n < own[axis] else 0  # a whole axis can only begin at 0
        ends.append(n)
    constant = [(0 if isinstance(start, Tensor) else start) for start in starts]
    if any(not 0 <= start <= end <= extent for start, end, extent in zip(constant, ends, own, strict=True)):
        raise Unsupported(f"begin {constant} and size {sizes} leave shape {own}")
    y = slice_axes(b, x, constant, [own[k] if isinstance(s, Tensor) else ends[k] for k, s in enumerate(starts)],
                   range(len(own)), [1] * len(own))  # fmt: skip
    for axis, start in enumerate(starts):
        if isinstance(start, Tensor):
            y = taken(b, y, axis, start, sizes[axis])
    return y


@to_nnef("tf", "XlaDynamicSlice")
def xla_dynamic_slice(b: Builder, x: Tensor, start: Tensor, sizes: Ints) -> Tensor:
    """XlaDynamicSlice -> slice, or gather; a window that would leave the tensor is moved inside."""
    own, starts = shape(x), items(b, start)
    if not len(starts) == len(sizes) == len(own) or any(not 0 <= n <= m for n, m in zip(sizes, own, strict=False)):
        raise Unsupported(f"{len(starts)} starts and sizes {sizes} for shape {own}")
    for axis, (place, n) in enumerate(zip(starts, sizes, strict=True)):
        if n < own[axis]:
            x = taken(b, x, axis, clamped(b, place, own[axis] - n), n)
    return x


@to_nnef("tf", "XlaDynamicUpdateSlice")
def xla_dynamic_update_slice(b: Builder, x: Tensor, update: Tensor, indices: Tensor) -> Tensor:
    """XlaDynamicUpdateSlice: the update in its place, which is moved inside where it would leave the tensor."""
    return updated(b, x, update, items(b, indices))


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
    """StridedSlice -> slice, squeeze, unsqueeze. Computed positions, and ranges of a constant length -> gather."""
    begins, ends, steps = items(b, begin), items(b, end), list(strides)
    if not len(begins) == len(ends) == len(steps):
        raise Unsupported(f"{len(begins)} begins, {len(ends)} ends and strides {strides} differ in length")
    for k, axis in _sliced_axes(len(shape(x)), len(steps), ellipsis_mask, new_axis_mask):
        bit = 1 << k
        first: Place | None = None if begin_mask & bit else begins[k]
        last: Place | None = None if end_mask & bit else ends[k]
        if shrink_axis_mask & bit:
            first, last, steps[k] = begins[k], None, 1
            count, span = 1, 0
        elif isinstance(first, Tensor) or isinstance(last, Tensor):
            count = range_length(b, first, last, steps[k], axis)
            span = 0 if first is None or last is None else distance(b, first, last) or 0
        if isinstance(first, Tensor):
            x = taken(b, x, axis, from_start(b, first, shape(x)[axis], span), count, steps[k])
            begins[k], ends[k], steps[k] = 0, count, 1
    plan = plan_strided_slice(
        shape(x),
        [k if isinstance(k, int) else 0 for k in begins],  # what is computed still is masked
        [k if isinstance(k, int) else 0 for k in ends],
        steps,
        begin_mask=begin_mask,
        end_mask=end_mask,
        ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask,
        shrink_axis_mask=shrink_axis_mask,
    )
    y = slice_axes(b, x, plan.begin, plan.end, plan.axes, plan.stride)
    return unsqueeze(b, squeeze(b, y, plan.dropped), plan.added)


def _sliced_axes(rank: int, count: int, ellipsis_mask: int, new_axis_mask: int) -> Iterator[tuple[int, int]]:
    """The items of a strided slice that take a position or a range, each with its axis."""
    covered = sum(1 for k in range(count) if not (ellipsis_mask | new_axis_mask) >> k & 1)
    axis = 0
    for k in range(count):
        if ellipsis_mask >> k & 1:
            axis += rank - covered
        elif not new_axis_mask >> k & 1 and 0 <= axis < rank:
            yield k, axis
            axis += 1


@to_nnef("tf", "TensorStridedSliceUpdate")
def strided_slice_update(
    b: Builder,
    x: Tensor,
    begin: Ints,
    end: Ints,
    strides: Ints,
    value: Tensor,
    *,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Tensor:
    """TensorStridedSliceUpdate: gathers the items of the value, and a constant mask selects them where the slice is."""
    extents = shape(x)
    plan = plan_strided_slice(
        extents, begin, end, strides, begin_mask=begin_mask, end_mask=end_mask, ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask, shrink_axis_mask=shrink_axis_mask,
    )  # fmt: skip
    region = list(extents)
    places: dict[int, np.ndarray[Any, Any]] = {}
    for axis, first, last, step in zip(plan.axes, plan.begin, plan.end, plan.stride, strict=True):
        chosen = range(*slice(first, last, step).indices(extents[axis]))
        region[axis] = len(chosen)
        places[axis] = filled([extents[axis]], -1, np.int64)
        places[axis][list(chosen)] = np.arange(len(chosen))
    if 0 in region:
        return x
    if math.prod(shape(value)) != math.prod(region):
        raise Unsupported(f"a value of shape {shape(value)} for a slice of shape {region}")
    spread, mask = reshape(b, value, region), np.ones([1] * len(extents), np.bool_)
    for axis, place in places.items():
        if np.all(place == np.arange(len(place))):
            continue
        spread = take(b, spread, axis, np.maximum(place, 0))
        mask = mask & (place >= 0).reshape([-1 if k == axis else 1 for k in range(len(extents))])
    return spread if mask.all() else b.select(b.constant(mask), spread, x)
