"""Shape and data movement (section 5.8)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ....errors import ShapeError
from .common import Ints, Operator, Pairs, Tensor, pad_border


def reshape(input: Tensor, *, shape: Ints, axis_start: int = 0, axis_count: int = -1) -> Tensor:
    """Replaces dimensions [axis_start, axis_start + axis_count) by shape; 0 keeps an extent, -1 takes the rest."""
    extents = list(input.shape)
    stop = len(extents) if axis_count == -1 else axis_start + axis_count
    inner = [extents[axis_start + k] if item == 0 else item for k, item in enumerate(shape)]
    if -1 in inner:  # torch cannot infer it if there are no elements
        known = math.prod(item for item in inner if item != -1)
        volume = math.prod(extents[axis_start:stop])
        inner[inner.index(-1)] = volume // known if known else 0
    return input.reshape(extents[:axis_start] + inner + extents[stop:])


def squeeze(input: Tensor, *, axes: Ints) -> Tensor:
    """Removes dimensions of extent 1."""
    wide = [axis for axis in axes if input.shape[axis] != 1]
    if wide:
        raise ShapeError(f"cannot squeeze dimensions {wide} of shape {list(input.shape)}")
    return input.reshape([extent for dim, extent in enumerate(input.shape) if dim not in axes])


def unsqueeze(input: Tensor, *, axes: Ints) -> Tensor:
    """Inserts dimensions of extent 1 at these positions of the result."""
    extents = iter(input.shape)
    rank = input.dim() + len(axes)
    return input.reshape([1 if dim in axes else next(extents) for dim in range(rank)])


def transpose(input: Tensor, *, axes: Ints) -> Tensor:
    """Permutes the leading dimensions; those beyond the length of axes stay."""
    return input.permute([*axes, *range(len(axes), input.dim())])


def split(value: Tensor, *, axis: int, ratios: Ints) -> list[Tensor]:
    """Parts along an axis, in proportion to the ratios."""
    unit, rest = divmod(value.shape[axis], sum(ratios))
    if rest:
        raise ShapeError(f"extent {value.shape[axis]} cannot be split by 'ratios' {list(ratios)}")
    return list(torch.split(value, [unit * ratio for ratio in ratios], axis))


def concat(values: Sequence[Tensor], *, axis: int) -> Tensor:
    """Joins along an axis. ShapeError unless all other extents are equal (torch would skip empty vectors)."""
    if len({value.dim() for value in values}) > 1:
        raise ShapeError(f"ranks must be equal, got shapes {[list(value.shape) for value in values]}")
    return torch.cat(list(values), axis)


def stack(values: Sequence[Tensor], *, axis: int) -> Tensor:
    """Joins along a new axis."""
    return torch.stack(list(values), axis)


def unstack(value: Tensor, *, axis: int) -> list[Tensor]:
    """Slices along an axis, which is removed."""
    return list(torch.unbind(value, axis))


def slice_(input: Tensor, *, axes: Ints, begin: Ints, end: Ints, stride: Ints = ()) -> Tensor:
    """Elements begin, begin + stride, .. before end, along each of the axes.

    Negative begin and end count from the end of the extent. If all strides are 1, an end of 0 means the whole extent.
    """
    strides = list(stride) or [1] * len(axes)
    legacy = all(step == 1 for step in strides)
    for axis, first, last, step in zip(axes, begin, end, strides, strict=True):
        extent = input.shape[axis]
        start = _clamped(first, extent)
        stop = extent if legacy and last == 0 else _clamped(last, extent)
        if step == 0 or (step > 0 and not 0 <= start <= stop) or (step < 0 and not stop <= start < extent):
            raise ShapeError(f"slice {first}:{last}:{step} is not valid for an extent of {extent}")
        if step > 0:
            part = [slice(None)] * axis + [slice(start, stop, step)]
            input = input[tuple(part)]
        else:
            input = input.index_select(axis, torch.arange(start, stop, step, device=input.device))
    return input


def _clamped(place: int, extent: int) -> int:
    return min(max(place + extent if place < 0 else place, -1), extent)


def pad(input: Tensor, *, padding: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
    """Continues (or crops, for negative numbers) each dimension."""
    return pad_border(input, padding, border, value)


def tile(input: Tensor, *, repeats: Ints) -> Tensor:
    """Repeats the whole tensor along each dimension."""
    return input.repeat(*repeats) if repeats else input


OPERATORS: dict[str, Operator] = {
    "reshape": reshape,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "transpose": transpose,
    "split": split,
    "concat": concat,
    "stack": stack,
    "unstack": unstack,
    "slice": slice_,
    "pad": pad,
    "tile": tile,
}
