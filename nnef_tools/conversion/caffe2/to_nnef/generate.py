"""Operators that make values: fillers with an input, shapes, ranges, and codes of classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....dialects.caffe2.types import DATA_TYPES
from ....errors import Unsupported
from ....model import Tensor
from ...building import shapes
from ...building.nnef import Builder
from ...building.shapes import positive, unsqueeze
from ...compose.arithmetic import arithmetic_range
from ...engine.rules import Array, Int, Ints, to_nnef
from ...maths.generated import positions


@to_nnef("caffe2", "ConstantFill")
def constant_fill(
    b: Builder,
    x: Tensor,
    *,
    value: Any = 0.0,
    dtype: int | None = None,
    shape: list[int] | None = None,
    extra_shape: list[int] | None = None,
    input_as_shape: int = 0,
) -> Tensor:
    """ConstantFill in the shape of a tensor, or in that which a constant names."""
    if shape:
        raise Unsupported("a shape beside an input")
    if isinstance(value, (str, bytes)):
        raise Unsupported("a string")
    kind = DATA_TYPES.get(dtype) if dtype is not None else np.int64 if isinstance(value, int) else np.float32
    if kind is None or kind is np.str_:
        raise Unsupported(f"dtype = {dtype}")
    dims = shapes.shape(x)
    if input_as_shape:
        known = b.value(x)
        if known is None:
            raise Unsupported("the shape must be constant, but it is computed from the inputs")
        dims = [int(n) for n in known.reshape(-1)]
    dims += extra_shape or []
    ask_constant(math.prod(dims))
    return b.constant(np.full(dims, value, kind))


@to_nnef("caffe2", "Shape")
def shape_of(b: Builder, x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    """Shape: the extents, of some axes or all."""
    own = shapes.shape(x)
    chosen = [positive(k, len(own)) for k in axes] if axes else range(len(own))
    return b.constant([own[k] for k in chosen], np.int64)


@to_nnef("caffe2", "Size")
def size(b: Builder, x: Tensor) -> Tensor:
    """Size: the number of items."""
    return b.constant(math.prod(shapes.shape(x)), np.int64)


@to_nnef("caffe2", "Range")
def range_of(b: Builder, first: Array, last: Array | None = None, step: Array | None = None) -> Tensor:
    """Range of constants: with one of them, from 0 to it."""
    start, stop = (np.zeros_like(first), first) if last is None else (first, last)
    delta = np.ones_like(start) if step is None else step
    items = [item.reshape(()).item() for item in (start, stop, delta)]
    if items[2]:
        ask_constant(max(math.ceil((items[1] - items[0]) / items[2]), 0))
    return b.constant(arithmetic_range(start, stop, delta))


@to_nnef("caffe2", "OneHot")
def one_hot(b: Builder, indices: Tensor, count: Int) -> Tensor:
    """OneHot: 1 at the index of each item, else 0."""
    ask_constant(count)
    place = positions(count, np.float32).reshape(1, count)
    return b.select(b.eq(unsqueeze(b, b.cast(indices, np.float32), [1]), b.constant(place)), 1.0, 0.0)


@to_nnef("caffe2", "GivenTensorFill", "GivenTensorDoubleFill", "GivenTensorIntFill", "GivenTensorInt64Fill")
def given_fill(
    b: Builder,
    new: Ints,
    *,
    values: Any,
    input_as_shape: int = 0,
    extra_shape: list[int] | None = None,
    dtype: int | None = None,
) -> Tensor:
    """A filler whose shape is a constant."""
    kind = DATA_TYPES.get(1 if dtype is None else dtype)
    if not input_as_shape or kind is None or kind is np.str_:
        raise Unsupported("a filler with an input that is not a shape")
    return b.constant(np.asarray(values).reshape([*new, *(extra_shape or [])]))
