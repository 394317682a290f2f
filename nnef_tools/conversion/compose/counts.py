"""Operators whose extents depend on a count, in terms that several dialects share; see `building/masked.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..building.masked import Counted
from ..building.nnef import Builder
from ..building.shapes import positive, reshape, shape
from ..maths.generated import filled, grid, positions

Extents = list[int]


def non_zero_positions(b: Builder, x: Tensor) -> Tensor:
    """`[rank, most]`: where x is not zero, a column for each item of x, with a mask.

    The positions are those of all items, so that gathering by them moves nothing.
    """
    own = shape(x)
    if not own:
        raise Unsupported("the positions in a number without axes")
    most = math.prod(own)
    condition = x if x.dtype is np.bool_ else b.ne(x, b.constant(np.zeros((), x.dtype)))
    flat = b.reshape(condition, shape=[most])
    mask, outer = flat, b.masks.of(flat).get(0)
    if outer is not None:
        mask = b.plain("and", outer, flat)
    if len(own) == 1:
        relative = b.masks.of(x).get(0)
        return b.masks.held_constant(positions(most).reshape(1, most), {1: b.masks.mask_of(mask, most)}, relative)
    places = grid(own).reshape(len(own), most)
    if outer is None:
        return b.masks.held_constant(places, {1: b.masks.mask_of(mask, most)})
    rows = []
    for axis, row in enumerate(places):
        own_mask = b.masks.of(x).get(axis)
        constant = b.constant(row)
        rows.append(constant if own_mask is None else b.plain("gather", b.masks.rank(own_mask), constant, axis=0))
    result = b.plain("stack", rows, axis=0)
    return b.masks.mark(b.masks.declare_sound(result), {1: b.masks.mask_of(mask, most)})


def known_extents(b: Builder, extents: Tensor) -> tuple[Extents, Counted | None]:
    """Extents with room for the most rows there can be, and what they are counted from. Unsupported if not known."""
    value = b.value(extents)
    if value is not None:
        return [int(n) for n in value.reshape(-1)], None
    counted = b.masks.counted(extents)
    if counted is None:
        raise Unsupported("an extent is computed from the inputs")
    return [int(n) for n in counted.most.reshape(-1)], counted


def brought_to(b: Builder, extents: Tensor, make: Callable[[Extents], Tensor]) -> Tensor:
    """A tensor of computed extents, which are aligned on the right. make: the tensor, from known extents."""
    known, counted = known_extents(b, extents)
    result = make(known)
    return result if counted is None else b.masks.with_extents(result, extents, counted)


def reshaped_to(b: Builder, extents: Tensor, x: Tensor, make: Callable[[Extents], Tensor]) -> Tensor:
    """A reshape to computed extents. Unsupported if they depend on a count that is not one of x."""
    known, counted = known_extents(b, extents)
    result = make(known)
    if counted is not None:
        own = shape(result)
        flat = counted.varies.reshape(-1)
        if len(own) != len(flat) or any(k not in b.masks.of(result) for k in np.flatnonzero(flat)):
            raise b.masks.refuse("a reshape to that number of another tensor")
    if -1 in known:
        _check_rest(b, x, result, known, counted)
    return result


def _check_rest(b: Builder, x: Tensor, result: Tensor, known: Extents, counted: Counted | None) -> None:
    """Sees that an extent that is inferred from the others is the one that is left for each count."""
    for axis in b.masks.of(result):
        if known[axis] == -1 or (known[axis] == 0 and axis in b.masks.of(x)):
            continue
        values = np.zeros(1) if counted is None else counted.values.reshape(len(counted.values), -1)[:, axis]
        if counted is None or np.any(values * counted.counts[-1] != values[-1] * counted.counts):
            raise b.masks.refuse("a reshape to fixed extents takes it apart")


def counted_range(b: Builder, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """0, 1, .. before a count."""
    first, step, counted = b.value(start), b.value(delta), b.masks.counted(limit)
    if first is None or step is None or counted is None or first.item() != 0 or step.item() != 1:
        raise Unsupported("a range whose length depends on the data in another way than to count from 0")
    most = int(counted.most.reshape(()))
    if counted.is_count.all():
        rank = b.cast(b.masks.held(b.masks.rank(counted.mask)), limit.dtype)
        return b.masks.mark(b.masks.declare_sound(rank), {0: counted.mask})
    value = positions(max(most, 0), limit.dtype)
    return b.masks.held_constant(value, {0: b.masks.leading(_within(b, limit, counted, most), most)})


def first_rows(b: Builder, x: Tensor, axis: int, end: Tensor) -> Tensor:
    """A slice of the first rows of a tensor, to a computed end, which counts from the last one if it is negative."""
    counted = b.masks.counted(end)
    k = positive(axis, len(shape(x)))
    if counted is None:
        raise Unsupported("the end of a slice is computed from the inputs")
    most, extent = int(counted.most.reshape(())), shape(x)[k]
    own = b.masks.of(x).get(k)
    if own is not None:
        return _first_counted(b, x, k, end, counted)
    if counted.is_count.all() and most <= extent:
        mask = counted.mask
        index = b.masks.limited(b.masks.rank(mask), extent)
        return b.masks.mark(b.plain("gather", x, index, axis=k), {**b.masks.of(x), k: mask})
    if counted.least.reshape(()) < 0:
        end = from_end(b, end, b.constant(extent, np.float32))
    mask = b.masks.leading(_within(b, end, counted, extent), extent)
    return b.masks.mark(b.masks.held(x), {**b.masks.of(x), k: mask})


def at_most(b: Builder, x: Tensor, axis: int, limit: int) -> Tensor:
    """The first rows of those that count, up to a limit below the room for them."""
    mask = b.masks.of(x)[axis]
    others = {k: other for k, other in b.masks.of(x).items() if k != axis}
    rows = b.masks.absolute(x)
    if not b.masks.is_leading(mask):
        rows = b.plain("gather", rows, b.masks.order(mask), axis=axis)
    rows = b.plain("slice", rows, axes=[axis], begin=[0], end=[limit])
    count = b.cast(b.min(b.cast(b.masks.count(mask), np.float32), float(limit)), np.int64)
    return b.masks.mark(rows, {**others, axis: b.masks.leading(count, limit)})


def _first_counted(b: Builder, x: Tensor, axis: int, end: Tensor, counted: Counted) -> Tensor:
    """The first ones of rows that are counted themselves."""
    own = b.masks.of(x)[axis]
    if b.masks.same(own, counted.mask) and (counted.beyond >= 0).all():
        return x
    mine = b.masks.counted(b.masks.count(own))
    if mine is not None and b.masks.same(mine.mask, counted.mask):
        values = counted.values.reshape(-1)
        if (values >= mine.values.reshape(-1)).all():
            return x
    last = from_end(b, end, b.cast(b.masks.count(own), np.float32))
    before = b.lt(b.cast(b.masks.rank(own), np.float32), last)
    mask = b.masks.mask_of(b.plain("and", own, before), shape(x)[axis])
    return b.masks.mark(b.masks.held(x), {**b.masks.of(x), axis: mask}, like=x)


def from_end(b: Builder, place: Tensor, count: Tensor) -> Tensor:
    """A place in float32 that counts from the end of rows if it is negative."""
    place = b.cast(reshape(b, place, []), np.float32)
    return b.select(b.lt(place, 0.0), b.add(place, count), place)


def _within(b: Builder, place: Tensor, counted: Counted, extent: int) -> Tensor:
    """A computed number of rows, at least none and at most as many as there are."""
    place = reshape(b, place, [])
    if counted.least.reshape(()) >= 0 and counted.most.reshape(()) <= extent:
        return place
    return b.cast(b.clamp(b.cast(place, np.float32), 0.0, float(max(extent, 0))), np.int64)


def gathered(b: Builder, x: Tensor, indices: Tensor, axis: int, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Rows at constant positions of an axis with a mask: negative ones count from the last row."""
    value = b.value(indices)
    mask = b.masks.of(x).get(axis)
    if mask is None or value is None or not np.any(value < 0):
        return make(indices)
    count = b.cast(b.masks.count(mask), np.float32)
    places = b.select(b.constant(value < 0), b.add(b.constant(value, np.float32), count), b.constant(value, np.float32))
    return make(b.cast(b.max(places, 0.0), np.int64))


def counts_of(b: Builder, x: Tensor, dtype: Any) -> Tensor:
    """The shape of a tensor as the source has it."""
    return b.cast(b.masks.extents(x), dtype)


def volume_of(b: Builder, x: Tensor, dtype: Any) -> Tensor:
    """The number of items of a tensor as the source has it."""
    product = b.constant(math.prod(n for k, n in enumerate(shape(x)) if k not in b.masks.of(x)), np.int64)
    for mask in b.masks.of(x).values():
        product = b.mul(product, b.masks.count(mask))
    return b.cast(product, dtype)


def either(b: Builder, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The result of one of two branches, whose rows may differ in number."""
    x, y = b.masks.absolute(x), b.masks.absolute(y)
    rank = len(shape(x))
    axes = sorted({*b.masks.of(x), *b.masks.of(y)})
    if len(shape(y)) != rank:
        raise Unsupported(f"the shape of the result depends on the condition: {shape(x)} or {shape(y)}")
    masks = {}
    parts = [x, y]
    for axis in axes:
        most = max(shape(x)[axis], shape(y)[axis])
        own = [_lengthened(b, _mask_or_all(b, part, axis), 0, most) for part in (x, y)]
        parts = [_lengthened(b, part, axis, most) for part in parts]
        masks[axis] = b.plain("select", reshape(b, condition, [1]), *own)
    if shape(parts[0]) != shape(parts[1]):
        raise Unsupported(f"the shape of the result depends on the condition: {shape(x)} or {shape(y)}")
    return b.masks.mark(b.plain("select", reshape(b, condition, [1] * rank), *parts), masks)


def _mask_or_all(b: Builder, x: Tensor, axis: int) -> Tensor:
    mask = b.masks.of(x).get(axis)
    return b.constant(filled([shape(x)[axis]], True, np.bool_)) if mask is None else mask


def _lengthened(b: Builder, x: Tensor, axis: int, extent: int) -> Tensor:
    """A tensor with zeros behind its rows up to an extent. The result has no masks."""
    own = shape(x)[axis]
    more = b.constant(np.broadcast_to(np.zeros((), x.dtype), [extent - own if k == axis else n
                                                              for k, n in enumerate(shape(x))]))  # fmt: skip
    if own == extent:
        return x
    longer: Tensor = b.plain("concat", [x, more], axis=axis) if own else more
    return longer
