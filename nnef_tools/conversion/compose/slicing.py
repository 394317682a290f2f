"""Parts of tensors: slices, joins, splits, repeats; and reshapes with an extent to infer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import is_float
from ..building.nnef import Builder
from ..building.shapes import positive, reshape, shape, unsqueeze
from ..maths.generated import positions


def reshape_inferred(b: Builder, x: Tensor, new: Sequence[int]) -> Tensor:
    """x in another shape; one extent may be -1. Unsupported if the volume differs."""
    own, new = shape(x), list(new)
    if new.count(-1) > 1 or any(dim < -1 for dim in new):
        raise Unsupported(f"shape {new} is not valid")
    if -1 in new:
        known = math.prod(dim for dim in new if dim != -1)
        if known == 0 or math.prod(own) % known:
            raise Unsupported(f"cannot reshape {own} to {new}")
        new = [math.prod(own) // known if dim == -1 else dim for dim in new]
    if math.prod(new) != math.prod(own):
        raise Unsupported(f"cannot reshape {own} to {new}")
    if x.data is not None or new == own or new[:1] != own[:1]:
        return reshape(b, x, new)
    return b.reshape(x, shape=[0, *new[1:]])  # copies the extent, so that the model may be run on other batches


def joined(b: Builder, xs: Sequence[Tensor], axis: int) -> Tensor:
    """The tensors one after the other along an axis; empty ones are left out."""
    k = positive(axis, len(shape(xs[0])))
    operands = [x for x in xs if shape(x)[k] != 0] or [xs[0]]
    return operands[0] if len(operands) == 1 else b.concat(operands, axis=k)


def split_sizes(b: Builder, x: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """Parts of these extents along an axis; empty ones are constants."""
    k = positive(axis, len(shape(x)))
    extent = shape(x)[k]
    if sum(sizes) != extent or any(size < 0 for size in sizes):
        raise Unsupported(f"parts {list(sizes)} of axis {k} with extent {extent}")
    filled = [size for size in sizes if size]
    parts = iter([x] if len(filled) == 1 else b.split(x, axis=k, ratios=filled))
    return [next(parts) if size else empty_part(b, x, k) for size in sizes]


def empty_part(b: Builder, x: Tensor, axis: int) -> Tensor:
    """A part of extent 0: a constant without items."""
    return b.constant(np.zeros([0 if k == axis else dim for k, dim in enumerate(shape(x))], x.dtype))


def slice_axes(
    b: Builder, x: Tensor, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> Tensor:
    """Slice with numpy's clamping; axes that are taken whole are left out, begins and ends are in range."""
    extents = shape(x)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Unsupported(f"starts {starts}, ends {ends}, axes {axes} and steps {steps} differ in length")
    taken: dict[str, Any] = {"axes": [], "begin": [], "end": [], "stride": []}
    counts = list(extents)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        k = positive(axis, len(extents))
        if step == 0:
            raise Unsupported("a step of 0")
        first, last, stride = slice(start, end, step).indices(extents[k])
        if (first, last, stride) == (0, extents[k], 1):
            continue
        counts[k] = len(range(first, last, stride))
        taken["axes"].append(k)
        taken["begin"].append(first)
        taken["end"].append(last if last >= 0 else -extents[k] - 1)
        taken["stride"].append(stride)
    if not taken["axes"]:
        return x
    if 0 in counts:
        return b.constant(np.zeros(counts, x.dtype))
    if x.data is not None:
        index = [slice(None)] * len(extents)
        for k, first, last, stride in zip(*taken.values(), strict=True):
            index[k] = slice(first, last if last >= 0 else None, stride)
        return b.constant(np.asarray(x.data)[tuple(index)])
    if all(stride == 1 for stride in taken["stride"]):
        del taken["stride"]
    return b.slice(x, **taken)


def padded(b: Builder, x: Tensor, pairs: Sequence[tuple[int, int]], border: str, value: float | int = 0) -> Tensor:
    """pad, with a value of the type of x; one that the attribute, a scalar, cannot carry is concatenated."""
    if border == "constant" and not _is_carried(value, x.dtype):
        return _surrounded(b, x, pairs, value)
    logical = x.dtype is np.bool_
    result: Tensor = b.pad(
        b.cast(x, np.float32) if logical else x, padding=list(pairs), border=border, value=float(value)
    )
    return b.cast(result, np.bool_) if logical else result


def _is_carried(value: float | int, dtype: Any) -> bool:
    """Is the value finite and exact in the precision in which the attributes of an operation on that type are read?"""
    if not np.isfinite(value):
        return False
    precision = np.float64 if dtype is np.float64 else np.float32
    return is_float(dtype) or int(precision(value)) == value


def _surrounded(b: Builder, x: Tensor, pairs: Sequence[tuple[int, int]], value: float | int) -> Tensor:
    cropped = [(min(before, 0), min(after, 0)) for before, after in pairs]
    if any(pair != (0, 0) for pair in cropped):
        x = b.pad(x, padding=cropped)
    for k, pair in enumerate(pairs):
        sizes = [[*shape(x)[:k], n, *shape(x)[k + 1 :]] for n in pair]
        before, after = (
            [b.constant(np.broadcast_to(np.asarray(value, x.dtype), size))] if size[k] > 0 else [] for size in sizes
        )
        if before or after:
            x = b.concat([*before, x, *after], axis=k)
    return x


def expand_to(b: Builder, x: Tensor, target: Sequence[int]) -> Tensor:
    """x broadcast to a shape that its own fits on the right."""
    if x.data is not None:
        return b.constant(np.broadcast_to(np.asarray(x.data), target), base=x)
    x = unsqueeze(b, x, range(len(target) - len(shape(x))))
    repeats = [n if own == 1 else 1 for own, n in zip(shape(x), target, strict=True)]
    return x if all(r == 1 for r in repeats) else b.tile(x, repeats=repeats)


def reverse_sequence(b: Builder, x: Tensor, lengths: Tensor, *, batch_axis: int = 1, time_axis: int = 0) -> Tensor:
    """ReverseSequence: gather along batch and time as one axis, from position length - 1 - k instead of k."""
    own = shape(x)
    if {batch_axis, time_axis} != {0, 1} or len(own) < 2:
        raise Unsupported(f"batch_axis = {batch_axis} and time_axis = {time_axis} for rank {len(own)}")
    batch, time = own[batch_axis], own[time_axis]
    steps = positions(time, np.float32).reshape([1, time] if batch_axis == 0 else [time, 1])
    items = positions(batch, np.float32).reshape([batch, 1] if batch_axis == 0 else [1, batch])
    counts = reshape(b, b.cast(lengths, np.float32), list(items.shape))
    step = b.constant(steps)
    source = b.select(b.lt(step, counts), b.sub(b.sub(counts, 1.0), step), step)
    if batch_axis == 0:
        flat = b.add(b.constant(items * time), source)
    else:
        flat = b.add(b.mul(source, float(batch)), b.constant(items))
    index = reshape(b, b.cast(flat, np.int64), [batch * time])
    return reshape(b, b.gather(reshape(b, x, [batch * time, *own[2:]]), index, axis=0), own)
