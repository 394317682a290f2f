"""Functions for the rules of all formats: static shapes, axes, reshapes that fold, alignment of operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ..engine.refusal import is_known, unknown_shape
from ..maths.axis_orders import squeeze_shape, unsqueeze_shape
from .nnef import Builder
from .quantized import QuantizedArray, quantized_constant


def shape(x: Tensor) -> list[int]:
    """The static shape of a target tensor; Unsupported if it is not known."""
    extents = x.shape
    if not is_known(extents):
        raise unknown_shape(x)
    return list(extents)


def rank(x: Tensor) -> int:
    """The number of dimensions of a target tensor; Unsupported if it is not known."""
    if x.rank is None:
        raise unknown_shape(x)
    return x.rank


def positive(axis: int, rank: int) -> int:
    """A negative axis counted from the end; Unsupported if it is out of range."""
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} is out of range for rank {rank}")
    return axis + rank if axis < 0 else axis


def all_positive(axes: Sequence[int], rank: int) -> list[int]:
    """Distinct positive axes, sorted."""
    result = sorted(positive(axis, rank) for axis in axes)
    if len(set(result)) != len(result):
        raise Unsupported(f"axes {list(axes)} repeat")
    return result


def _view(b: Builder, x: Tensor, array: np.ndarray[Any, Any]) -> Tensor:
    """A constant with the items of another one in another shape or order; the same tensor if asked again."""
    key = (x, array.shape, array.strides, np.may_share_memory(array, np.asarray(x.data)))
    if key not in b.views:
        b.views[key] = b.constant(array, base=x)
    return b.views[key]


def _quantized_view(b: Builder, x: Tensor, moved: QuantizedArray) -> Tensor:
    key = (x, moved.shape, moved.codes.strides)
    if key not in b.views:
        b.views[key] = quantized_constant(b, moved, base=x)
    return b.views[key]


def reshape(b: Builder, x: Tensor, new: Sequence[int]) -> Tensor:
    """x in another shape; a view for constants, x itself if the shape is the same."""
    if shape(x) == list(new):
        return x
    if isinstance(x.data, QuantizedArray):
        moved = x.data.reshaped(new)
        return b.reshape(x, shape=list(new)) if moved is None else _quantized_view(b, x, moved)
    if x.data is not None:
        return _view(b, x, np.asarray(x.data).reshape(new))
    return b.reshape(x, shape=list(new))


def squeeze(b: Builder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x without the axes (all of extent 1)."""
    if not axes:
        return x
    if isinstance(x.data, QuantizedArray):
        return reshape(b, x, squeeze_shape(shape(x), all_positive(axes, len(shape(x)))))
    if x.data is not None:
        return _view(b, x, np.squeeze(np.asarray(x.data), axis=tuple(axes)))
    return b.squeeze(x, axes=list(axes))


def unsqueeze(b: Builder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with new axes at these positions of the result."""
    if not axes:
        return x
    if isinstance(x.data, QuantizedArray):
        return reshape(b, x, unsqueeze_shape(shape(x), all_positive(axes, len(shape(x)) + len(axes))))
    if x.data is not None:
        return _view(b, x, np.expand_dims(np.asarray(x.data), axis=tuple(axes)))
    return b.unsqueeze(x, axes=list(axes))


def transpose(b: Builder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with permuted axes; a view for constants, x itself for the identity."""
    if list(axes) == list(range(len(axes))):
        return x
    if isinstance(x.data, QuantizedArray):
        return _quantized_view(b, x, x.data.transposed(axes))
    if x.data is not None:
        return _view(b, x, np.asarray(x.data).transpose(axes))
    return b.transpose(x, axes=list(axes))


def right_aligned(b: Builder, x: Tensor, rank: int) -> Tensor:
    """x with leading axes up to the rank, so that NNEF's left-aligned broadcasting does what numpy's does.

    A tensor of rank 0 fits everything already; a constant with one item becomes one, unless it is quantized and has to
    be stored.
    """
    if x.data is not None and x.volume == 1 and rank > 0 and not isinstance(x.data, QuantizedArray):
        return reshape(b, x, [])
    own = len(shape(x))
    return x if own == 0 else unsqueeze(b, x, range(rank - own))


def aligned(b: Builder, *tensors: Tensor) -> list[Tensor]:
    """The operands of an elementwise operator, aligned on the right as numpy does."""
    rank = max(len(shape(x)) for x in tensors)
    result = [right_aligned(b, x, rank) for x in tensors]
    if all(len(shape(x)) < rank for x in result):  # all have a single item: one of them has to keep the rank
        result[0] = reshape(b, tensors[0], [1] * rank)
    return result


def channels(b: Builder, x: Tensor) -> Tensor:
    """`[C]` -> `[1, C]`: parameters per channel."""
    if len(shape(x)) != 1:
        raise Unsupported(f"a parameter per channel must have rank 1, got shape {shape(x)}")
    return unsqueeze(b, x, [0])


def axes_or_all(axes: Sequence[int] | None, rank: int) -> list[int]:
    """The axes, or all if none are given."""
    return all_positive(axes, rank) if axes else list(range(rank))
