"""Operations that introduce tensors, and the update of variables (section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..budget import ask_rank
from ..errors import ExecutionError, ShapeError
from .broadcast import Array
from .checks import check
from .definition import op

_MAX_BYTES = 2**63 - 1
_ITEM_BYTES = 8  # the widest element type


def declared_shape(*, shape: Sequence[int], **_attribs: Any) -> list[int]:
    """Shape rule: the attribute. Extents must be positive, and an array with that volume addressable."""
    ask_rank(len(shape))
    if min(shape, default=1) <= 0:
        raise ShapeError(f"extents of 'shape' must be positive, got {list(shape)}")
    if math.prod(shape) * _ITEM_BYTES > _MAX_BYTES:
        raise ShapeError(f"'shape' {list(shape)} has more elements than can be addressed")
    return list(shape)


def _constant_shape(*, shape: Sequence[int], value: Sequence[Any], **_attribs: Any) -> list[int]:
    result = declared_shape(shape=shape)
    volume = math.prod(shape)
    check(
        len(value) in (1, volume),
        f"'value' must have 1 item or as many as 'shape' {list(shape)} has elements ({volume}), got {len(value)}",
    )
    return result


def _update_shape(variable: Sequence[int], value: Sequence[int]) -> list[int]:
    check(
        list(variable) == list(value),
        f"'variable' and 'value' must have equal shapes, got {list(variable)} and {list(value)}",
    )
    return list(value)


@op("external", shape=declared_shape)
def external(*, shape: Sequence[int], **_attribs: Any) -> Array:
    """Never computed: the caller of an executor gives the value of a graph input."""
    raise ExecutionError(f"a graph input of shape {list(shape)} was given no value")


@op("variable", shape=declared_shape)
def variable(*, shape: Sequence[int], label: str, **_attribs: Any) -> Array:
    """Never computed: the data of a variable comes from its file."""
    raise ExecutionError(f"variable '{label}' of shape {list(shape)} has no data")


@op("constant", shape=_constant_shape)
def constant(*, shape: Sequence[int], value: Sequence[Any], dtype: Any = np.float32) -> Array:
    """The items of `value` in row-major order; a single item fills the shape (as a read-only view)."""
    try:
        data = np.array(value, dtype)
    except (OverflowError, ValueError, TypeError) as error:
        raise ShapeError(f"items of 'value' do not fit {np.dtype(dtype).name}: {error}") from error
    return np.broadcast_to(data.reshape(()), tuple(shape)) if len(value) == 1 else data.reshape(shape)


@op("update", shape=_update_shape)
def update(variable: Array, value: Array) -> Array:
    """The new value; an executor stores it into the variable after the cycle."""
    return value
