"""NNEF to Caffe2: elementwise operations that are not the same for every target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import broadcast_shape, known
from ...engine.rules import from_nnef
from ..building import Caffe2Builder


@from_nnef("caffe2", "eq")
def equal(b: Caffe2Builder, x: Tensor, y: Tensor) -> Tensor:
    """eq -> And of GE and LE."""
    return b.equal(x, y)


@from_nnef("caffe2", "ne")
def not_equal(b: Caffe2Builder, x: Tensor, y: Tensor) -> Tensor:
    """ne -> Not of And of GE and LE."""
    return b.counterpart("not", b.equal(x, y), dtype=np.bool_)


@from_nnef("caffe2", "copy")
def copy(b: Caffe2Builder, x: Tensor) -> Tensor:
    """copy -> Copy."""
    return b.identity(x)


@from_nnef("caffe2", "copy_n")
def copy_n(b: Caffe2Builder, x: Tensor, *, times: int) -> list[Tensor]:
    """copy_n -> Copy, several times."""
    return [b.identity(x) for _ in range(times)]


@from_nnef("caffe2", "add_n")
def add_n(b: Caffe2Builder, x: Sequence[Tensor]) -> Tensor:
    """add_n -> Sum; zero for no tensors."""
    if not x:
        return b.scalar(0.0)
    return x[0] if len(x) == 1 else known(b.op("Sum", *x), shape(x[0]))


@from_nnef("caffe2", "min")
def minimum(b: Caffe2Builder, x: Tensor, y: Tensor) -> Tensor:
    """min -> Clip for a number, else Min."""
    limit = b.value(y)
    if limit is not None and limit.size == 1 and limit.ndim <= len(shape(x)) and np.isfinite(limit).all():
        return known(b.op("Clip", x, max=float(limit.item())), shape(x))
    return b.same_shapes("Min", x, y)


@from_nnef("caffe2", "max")
def maximum(b: Caffe2Builder, x: Tensor, y: Tensor) -> Tensor:
    """max -> Clip for a number, else Max."""
    limit = b.value(y)
    if limit is not None and limit.size == 1 and limit.ndim <= len(shape(x)) and np.isfinite(limit).all():
        return known(b.op("Clip", x, min=float(limit.item())), shape(x))
    return b.same_shapes("Max", x, y)


@from_nnef("caffe2", "clamp")
def clamp(b: Caffe2Builder, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """clamp -> Clip for ordered numbers, otherwise Max of Min: the lower limit is applied last."""
    below, above = b.value(low), b.value(high)
    if below is None or above is None or below.size != 1 or above.size != 1 or below.item() > above.item():
        return maximum(b, minimum(b, x, high), low)
    if max(below.ndim, above.ndim) <= len(shape(x)):
        return known(b.op("Clip", x, min=float(below.item()), max=float(above.item())), shape(x))
    return maximum(b, minimum(b, x, high), low)


@from_nnef("caffe2", "pow")
def power(b: Caffe2Builder, x: Tensor, y: Tensor) -> Tensor:
    """pow -> Pow, with a number as argument."""
    exponent = b.value(y)
    if exponent is not None and exponent.size == 1 and exponent.ndim <= len(shape(x)):
        return known(b.op("Pow", x, exponent=float(exponent.item())), shape(x))
    return b.same_shapes("Pow", x, y)


@from_nnef("caffe2", "select")
def select(b: Caffe2Builder, condition: Tensor, true_value: Tensor, false_value: Tensor) -> Tensor:
    """select -> Where."""
    dims = broadcast_shape(condition, true_value, false_value)
    dtype = true_value.dtype
    if dtype is np.bool_:
        yes, no = (b.cast(x, np.int32) for x in (true_value, false_value))
        return b.cast(select(b, condition, yes, no), np.bool_)
    return known(b.same_shapes("Where", condition, true_value, false_value), dims, dtype)
