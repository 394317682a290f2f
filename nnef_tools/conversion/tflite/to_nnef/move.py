"""Shape and data movement, where the operator or its options differ from TensorFlow's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.number_types import convert_dtype
from ...compose.slicing import joined, reshape_inferred
from ...engine.rules import Array, Ints, to_nnef
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


@to_nnef("tflite", "CAST")
def cast(b: Builder, x: Tensor, *, in_data_type: Any = None, out_data_type: Any = None) -> Tensor:
    """CAST -> cast, to the type of the result."""
    return convert_dtype(b, x, out_data_type, saturate=False)
