"""Parts of tensors at computed places: read by gather, written by a selection from both tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Operation, Tensor
from ...model.dtypes import MAX_EXACT_INTEGER, is_integer
from ..building.nnef import Builder
from ..building.shapes import reshape, shape, squeeze
from ..maths.generated import grid, positions
from .arithmetic import arithmetic_range
from .slicing import joined, slice_axes

Place = int | Tensor
"""A position along an axis: a number, or a whole scalar (integer or float32) that is computed from inputs."""

_VIEWS = ("reshape", "squeeze", "unsqueeze", "copy")


def items(b: Builder, vector: Tensor) -> list[Place]:
    """The items of a vector (or of a scalar): a number where it is known, else a scalar tensor."""
    known = b.value(vector)
    if known is not None:
        return [int(item) for item in np.ravel(known)]
    op = vector.producer
    count = math.prod(shape(vector))
    if op is not None and op.type == "stack":
        return [place for part in op.inputs for place in items(b, part)]
    if op is not None and op.type == "concat" and len(shape(vector)) == 1:
        return [place for part in op.inputs for place in items(b, part)]
    if op is not None and op.type == "cast" and is_integer(vector.dtype) and count > 1:
        parts = items(b, op.inputs[0])
        return [part if isinstance(part, int) else b.cast(part, vector.dtype) for part in parts]
    if count == 1:
        return [reshape(b, vector, [])]
    flat = reshape(b, vector, [count])
    return [squeeze(b, slice_axes(b, flat, [k], [k + 1], [0], [1]), [0]) for k in range(count)]


def distance(b: Builder, first: Place, last: Place) -> int | None:
    """last - first, if that is the same whatever the inputs are; None if it cannot be told."""
    (one, begin), (two, end) = _origin(b, first), _origin(b, last)
    return end - begin if one == two else None


def range_length(b: Builder, first: Place | None, last: Place | None, step: int, axis: int) -> int:
    """The number of items from first to last, one of which is computed. Unsupported if it depends on the data."""
    count = known_length(b, first, last, step)
    if count is None:
        raise Unsupported(
            f"the shape of the result depends on the data: the length of the range along axis {axis} is not constant"
        )
    return count


def known_length(b: Builder, first: Place | None, last: Place | None, step: int) -> int | None:
    """The number of items from first to last, None if it depends on the data."""
    apart = None if first is None or last is None else distance(b, first, last)
    return None if apart is None or not step else max(-(-apart // step), 0)


def number_range(b: Builder, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """start + k * delta before the limit. Of computed integers, if the number of items is constant."""
    known = [b.value(x) for x in (start, limit, delta)]
    if known[0] is not None and known[1] is not None and known[2] is not None:
        return b.constant(arithmetic_range(known[0], known[1], known[2]))
    if known[2] is None or not is_integer(start.dtype):
        raise Unsupported("the shape of the result depends on the data: start, limit or delta are computed")
    step = int(known[2].reshape(()))
    count = range_length(b, items(b, start)[0], items(b, limit)[0], step, 0)
    return b.add(reshape(b, start, [1]), b.constant(positions(count) * step, start.dtype))


def _origin(b: Builder, place: Place) -> tuple[tuple[Tensor, int] | None, int]:
    """The item of a tensor that a place is computed from, and what is added to it."""
    offset = 0
    source, index = place, 0
    while isinstance(source, Tensor):
        known = b.value(source) if source.volume == 1 else None
        if known is not None:
            source = int(known.reshape(()))
            break
        step = _step(b, source, index)
        if step is None:
            return (source, index), offset
        source, index, added = step
        offset += added
    return None, offset + source


def _step(b: Builder, x: Tensor, index: int) -> tuple[Tensor, int, int] | None:
    """Whose item an item of x is, and what is added to that; None if it is something else."""
    op = x.producer
    if op is None or not op.inputs:
        return None
    source = op.inputs[0]
    if op.type in _VIEWS:
        return source, index, 0
    if op.type == "cast":
        return _cast_step(b, op, source, index)
    if op.type in ("add", "sub"):
        return _sum_step(b, op, index)
    if op.type == "slice" and list(op.attribs["axes"]) == [0] and len(shape(source)) == 1:
        stride = (op.attribs.get("stride") or [1])[0]
        return source, op.attribs["begin"][0] % shape(source)[0] + stride * index, 0
    if op.type in ("split", "unstack") and len(shape(source)) == 1:
        before = list(op.outputs)[: list(op.outputs).index(x)]
        return source, sum(part.volume or 0 for part in before) + index, 0
    return None


def _sum_step(b: Builder, op: Operation, index: int) -> tuple[Tensor, int, int] | None:
    volume = op.output.volume
    left, right = op.inputs
    for source, other in ((left, right), (right, left))[: 2 if op.type == "add" else 1]:
        known = b.value(other)
        if known is None or known.size not in (1, volume) or source.volume not in (1, volume):
            continue
        added = float(np.ravel(known)[index % known.size])
        if added.is_integer():
            return source, index % (source.volume or 1), int(added) if op.type == "add" else -int(added)
    return None


def _cast_step(b: Builder, op: Operation, source: Tensor, index: int) -> tuple[Tensor, int, int] | None:
    """Past a cast between integers, or from integers to scalars and back, with whole numbers added in between."""
    if is_integer(source.dtype):
        return source, index, 0
    if not is_integer(op.output.dtype):
        return None
    inner, place, total = source, index, 0
    while (step := _step(b, inner, place)) is not None:
        inner, place, added = step
        total += added
        if is_integer(inner.dtype):
            return inner, place, total
    return None


def taken(b: Builder, x: Tensor, axis: int, start: Place, count: int, stride: int = 1) -> Tensor:
    """`count` items along an axis from a place on. They must lie within x."""
    if isinstance(start, int):
        last = start + stride * count
        return slice_axes(b, x, [start], [last if last >= 0 else -shape(x)[axis] - 1], [axis], [stride])
    if count == 1:
        index = start if is_integer(start.dtype) else b.cast(start, np.int64)
        return b.gather(x, _as_vector(b, index), axis=axis)
    offsets = b.constant(positions(count, np.float32) * stride)
    return b.gather(x, b.cast(b.add(_number(b, start, shape(x)[axis]), offsets), np.int64), axis=axis)


def between(b: Builder, x: Tensor, axis: int, first: Place, last: Place) -> Tensor:
    """The items from one place to before another along an axis, of any number: they stay, a mask tells which count."""
    if axis in b.masks.of(x):
        raise b.masks.refuse("a slice between computed places takes a part of them")
    extent = shape(x)[axis]
    places = b.constant(positions(extent, np.float32))
    low, high = (_limit(b, from_start(b, place, extent), extent) for place in (first, last))
    mask = b.masks.mask_of(b.and_(b.ge(places, low), b.lt(places, high)), extent)
    return b.masks.mark(b.masks.held(x), {**b.masks.of(x), axis: mask})


def _limit(b: Builder, place: Place, extent: int) -> Tensor | float:
    return float(place) if isinstance(place, int) else _number(b, place, extent)


def _as_vector(b: Builder, scalar: Tensor) -> Tensor:
    """A scalar with the shape [1], which it may have had before."""
    op = scalar.producer
    had = op is not None and op.type in ("reshape", "squeeze") and shape(op.inputs[0]) == [1]
    return op.inputs[0] if op is not None and had else reshape(b, scalar, [1])


def clamped(b: Builder, start: Place, limit: int) -> Place:
    """The nearest place from 0 to the limit."""
    if isinstance(start, int):
        return min(max(start, 0), limit)
    if not limit:
        return 0
    return b.clamp(_number(b, start, limit), 0.0, float(limit))


def from_start(b: Builder, place: Place, extent: int, span: int = 0) -> Place:
    """A place that counts from the end of the axis if it is negative, counted from its start.

    span: how far behind it the end is of the range that it begins. If the place is negative and the end is not, the
    range is another one, often empty; the place stays outside of the axis then, so that runtimes refuse it.
    """
    if isinstance(place, int):
        return place + extent if place < 0 else place
    number = _number(b, place, extent)
    return b.select(b.lt(number, float(-max(span, 0))), b.add(number, float(extent)), number)


def updated(b: Builder, x: Tensor, update: Tensor, starts: Sequence[Place]) -> Tensor:
    """x with the update, a tensor of the same rank, in its place, which is moved inside where it would leave x."""
    own, new = shape(x), shape(update)
    if len(own) != len(new) or len(starts) != len(own) or any(n > m for n, m in zip(new, own, strict=True)):
        raise Unsupported(f"an update of shape {new} at {len(starts)} positions for shape {own}")
    places = [clamped(b, start, n - m) for start, n, m in zip(starts, own, new, strict=True)]
    if sum(isinstance(place, Tensor) for place in places) > 1:
        return _scattered(b, x, update, places)
    return _inserted(b, x, update, places)


def _inserted(b: Builder, x: Tensor, update: Tensor, starts: Sequence[Place]) -> Tensor:
    """x with the update along the first axis that it does not fill."""
    own, new = shape(x), shape(update)
    axis = next((k for k, (n, m) in enumerate(zip(new, own, strict=True)) if n != m), None)
    if axis is None:
        return update
    start, count = starts[axis], new[axis]
    if own[axis + 1 :] != new[axis + 1 :]:
        update = _inserted(b, taken(b, x, axis, start, count), update, [*[0] * (axis + 1), *starts[axis + 1 :]])
    if isinstance(start, Tensor):
        return _selected(b, x, update, axis, start)
    before = slice_axes(b, x, [0], [start], [axis], [1])
    after = slice_axes(b, x, [start + count], [own[axis]], [axis], [1])
    return joined(b, [before, update, after], axis)


def _scattered(b: Builder, x: Tensor, update: Tensor, starts: Sequence[Place]) -> Tensor:
    """x with the update, whose items have places of their own."""
    first = b.stack([b.constant(k, np.float32) if isinstance(k, int) else k for k in starts], axis=0)
    places = np.moveaxis(grid(shape(update)), 0, -1).astype(np.float32)
    indices = b.add(b.constant(places), reshape(b, first, [1] * len(starts) + [len(starts)]))
    return b.scatter_nd(x, b.cast(indices, np.int64), update, reduction="none")


def _selected(b: Builder, x: Tensor, update: Tensor, axis: int, start: Tensor) -> Tensor:
    extent, count = shape(x)[axis], shape(update)[axis]
    number = _number(b, start, extent + count)
    places: np.ndarray[Any, Any] = positions(extent, np.float32)
    if count == 1:
        along = places.reshape([extent if k == axis else 1 for k in range(len(shape(x)))])
        here = b.eq(b.constant(along), reshape(b, number, [1] * along.ndim))
        return b.select(here, update, x)
    offset = b.sub(b.constant(places), number)
    inside = b.and_(b.ge(offset, 0.0), b.lt(offset, float(count)))
    source = b.select(inside, b.add(offset, float(extent)), b.constant(places))
    return b.gather(b.concat([x, update], axis=axis), b.cast(source, np.int64), axis=axis)


def _number(b: Builder, place: Tensor, limit: int) -> Tensor:
    """A place in float32, which holds all positions up to the limit."""
    if limit > MAX_EXACT_INTEGER:
        raise Unsupported(f"{limit} positions are too many to count in float32")
    return b.cast(place, np.float32)
