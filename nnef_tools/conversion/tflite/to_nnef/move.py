"""Shape and data movement, where the operator or its options differ from TensorFlow's."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building import shapes
from ...building.nnef import Builder
from ...building.shapes import shape, unsqueeze
from ...compose.slicing import joined, padded, reshape_inferred, slice_axes
from ...engine.rules import Array, Ints, Number, to_nnef
from ...tf.to_nnef import move

_MIRROR_MODES = ("REFLECT", "SYMMETRIC")


@to_nnef("tflite", "RESHAPE")
def reshape(b: Builder, x: Tensor, new: Ints | None = None, *, new_shape: list[int] | None = None) -> Tensor:
    """RESHAPE -> reshape, to the shape of the second input or, without one, of the option."""
    wanted = new if new is not None else new_shape
    if wanted is None:
        raise Unsupported("the new shape is missing")
    return reshape_inferred(b, x, wanted)


@to_nnef("tflite", "CONCATENATION")
def concatenation(b: Builder, *xs: Tensor, axis: int) -> Tensor:
    """CONCATENATION -> concat."""
    return joined(b, xs, axis)


@to_nnef("tflite", "PACK")
def pack(b: Builder, *xs: Tensor, values_count: int, axis: int = 0) -> Tensor:
    """PACK -> stack."""
    return move.pack(b, *xs, axis=axis)


@to_nnef("tflite", "MIRROR_PAD")
def mirror_pad(b: Builder, x: Tensor, paddings: Array, *, mode: int = 0) -> Tensor:
    """MIRROR_PAD -> pad with reflected items."""
    if mode not in range(len(_MIRROR_MODES)):
        raise Unsupported(f"mode = {mode}")
    return move.mirror_pad(b, x, paddings, mode=_MIRROR_MODES[mode])


@to_nnef("tflite", "STRIDED_SLICE")
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
    offset: bool = False,
) -> Tensor:
    """STRIDED_SLICE -> slice, squeeze, unsqueeze. offset: is `end` counted from `begin`?"""
    if offset:
        first, length = b.value(begin), b.value(end)
        if first is None or length is None:
            raise Unsupported("begin and end must be constant, but they are computed from the inputs")
        end = b.constant(np.asarray(first) + np.asarray(length))
    return move.strided_slice(
        b,
        x,
        begin,
        end,
        strides,
        begin_mask=begin_mask,
        end_mask=end_mask,
        ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask,
        shrink_axis_mask=shrink_axis_mask,
    )


@to_nnef("tflite", "DILATE")
def dilate(b: Builder, x: Tensor, dilations: Ints, filling: Number) -> Tensor:
    """DILATE: items at a distance along each axis, the filling between them."""
    for k, step in enumerate(dilations):
        extent = shape(x)[k]
        if step < 1:
            raise Unsupported(f"dilations {dilations}")
        if step > 1 and extent > 1:
            rank = len(shape(x))
            pairs = [(0, step - 1 if axis == k + 1 else 0) for axis in range(rank + 1)]
            spread = padded(b, unsqueeze(b, x, [k + 1]), pairs, "constant", filling)
            joint = shapes.reshape(b, spread, [*shape(x)[:k], extent * step, *shape(x)[k + 1 :]])
            x = slice_axes(b, joint, [0], [(extent - 1) * step + 1], [k], [1])
    return x


@to_nnef("tflite", "DYNAMIC_UPDATE_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(b: Builder, x: Tensor, update: Tensor, *start: Tensor) -> Tensor:
    """DYNAMIC_UPDATE_SLICE: the update in its place, which is moved inside where it would leave the tensor.

    The start is one tensor, or a scalar for each axis. A constant one -> slices and concat, others -> scatter_nd.
    """
    own, new = shape(x), shape(update)
    limits = [n - m for n, m in zip(own, new, strict=True)]
    known = [b.value(part) for part in start]
    if all(part is not None for part in known):
        first = np.concatenate([np.ravel(np.asarray(part)) for part in known])
        return _updated(b, x, update, [int(k) for k in np.clip(first, 0, limits)])
    parts = [shapes.reshape(b, part, [-1 if shape(part) else 1]) for part in start]
    place = b.cast(parts[0] if len(parts) == 1 else b.concat(parts, axis=0), np.float32)
    place = b.min(b.max(place, 0.0), b.constant(np.asarray(limits, np.float32)))
    grid = np.moveaxis(np.indices(new), 0, -1).astype(np.float32)
    place = shapes.reshape(b, place, [*[1] * len(new), len(own)])
    indices = b.cast(b.add(b.constant(grid), place), np.int64)
    return b.scatter_nd(x, indices, update, reduction="none")


def _updated(b: Builder, x: Tensor, update: Tensor, start: list[int]) -> Tensor:
    """x with the update at a known place: what is before and after it along the first axis that it does not fill."""
    own, new = shape(x), shape(update)
    k = next((k for k in range(len(own)) if own[k] != new[k]), None)
    if k is None:
        return update
    end = start[k] + new[k]
    inner = _updated(b, slice_axes(b, x, [start[k]], [end], [k], [1]), update, [*start[:k], 0, *start[k + 1 :]])
    parts = [
        slice_axes(b, x, [0], [start[k]], [k], [1]),
        inner,
        slice_axes(b, x, [end], [own[k]], [k], [1]),
    ]
    return joined(b, parts, k)
