"""Operators that make tensors: constants, shapes, ranges, fills."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.windows import number_range
from ...engine.rules import Ints, to_nnef
from ...maths.generated import eye
from ..common import dtype_of, shape


@to_nnef("onnx", "Constant")
def constant(
    b: Builder,
    *,
    value: Any = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
) -> Tensor:
    """Constant in each of its numeric forms."""
    if value is not None:
        return b.constant(value)
    if value_float is not None or value_floats is not None:
        return b.constant(value_floats if value_float is None else value_float, np.float32)
    if value_int is not None or value_ints is not None:
        return b.constant(value_ints if value_int is None else value_int, np.int64)
    raise Unsupported("a constant without value")


@to_nnef("onnx", "Shape")
def shape_of(b: Builder, x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    """Shape: known when the model is converted."""
    return b.constant(np.asarray(shape(x)[start:end], np.int64))


@to_nnef("onnx", "Size")
def size_of(b: Builder, x: Tensor) -> Tensor:
    """Size: known when the model is converted."""
    return b.constant(np.asarray(math.prod(shape(x)), np.int64))


@to_nnef("onnx", "ConstantOfShape", since=9)
def constant_of_shape(b: Builder, dims: Ints, *, value: Any = None) -> Tensor:
    """ConstantOfShape: one value, broadcast without copies."""
    item = np.zeros(1, np.float32) if value is None else np.asarray(value)
    if any(n < 0 for n in dims):
        raise InvalidOperator(f"shape {list(dims)} has a negative extent")
    return b.constant(np.broadcast_to(item.reshape(()), dims))


@to_nnef("onnx", "Range", since=11)
def range_of(b: Builder, start: Tensor, limit: Tensor, delta: Tensor, *, stash_type: int = 1) -> Tensor:
    """Range: start + k * delta below limit, the number of items must be known. stash_type: 64 bits here."""
    return number_range(b, start, limit, delta)


@to_nnef("onnx", "EyeLike", since=9)
def eye_like(b: Builder, x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    """EyeLike: ones on a diagonal."""
    rows, columns = shape(x)
    return b.constant(eye(rows, columns, k, x.dtype if dtype is None else dtype_of(dtype)))


@to_nnef("onnx", "ImageDecoder", since=20)
def image_decoder(b: Builder, data: Tensor, *, pixel_format: str = "RGB") -> Tensor:
    """ImageDecoder is refused."""
    raise Unsupported("NNEF has no compressed images, and the extents of the result depend on the data")
