"""NNEF's broadcasting: shapes are aligned at the left, the shorter one is extended by trailing 1s (section 5.0)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ..errors import ShapeError
from .checks import check, check_axes
from .precision import signed_together

Array = np.ndarray[Any, np.dtype[Any]]


def broadcast_shape(*shapes: Sequence[int]) -> list[int]:
    """The common shape. ShapeError if two extents differ and neither is 1."""
    if shapes and all(not shape or shape == shapes[0] for shape in shapes):
        return list(shapes[0])  # the most frequent case
    result: list[int] = []
    for extents in zip_longest(*shapes, fillvalue=1):
        wide = set(extents)
        wide.discard(1)
        if len(wide) > 1:
            texts = ", ".join(str(list(shape)) for shape in shapes)
            raise ShapeError(
                f"shapes {texts} do not broadcast: dimension {len(result)} has extents {sorted(wide)}",
                hint="shapes are aligned at the left; the shorter one is continued by trailing 1s",
            )
        result.append(wide.pop() if wide else 1)
    return result


def extend_rank(array: Array, rank: int) -> Array:
    """A view with trailing 1s appended up to that rank."""
    return array.reshape(array.shape + (1,) * (rank - array.ndim)) if array.ndim < rank else array


def align(*arrays: Any) -> tuple[Array, ...]:
    """Views of equal rank by trailing 1s, so that numpy broadcasts them as NNEF does; see `signed_together`."""
    items = signed_together([np.asarray(array) for array in arrays])
    rank = max((item.ndim for item in items), default=0)
    return tuple(extend_rank(item, rank) for item in items)


def last_axes(items: Sequence[Any]) -> tuple[Any, ...]:
    """The index that applies an item to each of the last axes."""
    return (..., *items)


def along(axis: int, item: Any) -> tuple[Any, ...]:
    """The index that applies an item to one axis only."""
    return (*(slice(None),) * axis, item)


def same_shape(first: Sequence[int], *_others: Sequence[int], **_attribs: Any) -> list[int]:
    """Shape rule: the result has the shape of the first input."""
    return list(first)


def elementwise_shape(*shapes: Sequence[int], **_attribs: Any) -> list[int]:
    """Shape rule: the inputs are broadcast to the shape of the result."""
    return broadcast_shape(*shapes)


def parameter_shape(first: Sequence[int], *parameters: Sequence[int], **_attribs: Any) -> list[int]:
    """Shape rule: the parameters are broadcast to the first input; they do not enlarge it."""
    for shape in parameters:
        check(
            len(shape) <= len(first) and all(extent in (1, full) for extent, full in zip(shape, first, strict=False)),
            f"a parameter of shape {list(shape)} does not broadcast to the input shape {list(first)}; "
            f"per-channel values have shape [1, C]",
        )
    return list(first)


def axes_shape(first: Sequence[int], *, axes: Sequence[int] = (1,), **_attribs: Any) -> list[int]:
    """Shape rule: the result has the shape of the first input, of which `axes` must be axes."""
    check_axes(axes, len(first))
    return list(first)
