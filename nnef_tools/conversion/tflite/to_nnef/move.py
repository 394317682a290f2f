"""Shape and data movement, where the operator or its options differ from TensorFlow's."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building import shapes
from ...building.nnef import Builder
from ...building.shapes import shape, unsqueeze
from ...compose.slicing import joined, padded, reshape_inferred, slice_axes
from ...compose.windows import items, updated
from ...engine.rules import Array, Ints, Number, to_nnef
from ...tf.to_nnef import move, slices

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
        known = first is not None and length is not None
        end = b.constant(np.asarray(first) + np.asarray(length)) if known else b.add(begin, end)
    return slices.strided_slice(
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

    The start is one tensor, or a scalar for each axis. A constant one -> slices and concat, else select or gather.
    """
    return updated(b, x, update, [place for part in start for place in items(b, part)])
