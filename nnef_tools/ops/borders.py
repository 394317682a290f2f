"""The border modes of section 5.0, by which a tensor is extended beyond its extents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..budget import ask_items
from ..errors import ShapeError
from .broadcast import Array, last_axes
from .checks import check

CONV_BORDERS = ("constant", "replicate", "reflect", "reflect-even")
POOL_BORDERS = (*CONV_BORDERS, "ignore")
# borders that add nothing to a sum
ZERO_BORDERS = ("constant", "ignore")

Padding = Sequence[tuple[int, int]]

# an axis can be extended by one reflection up to its extent minus this
_REFLECTION = {"reflect": 1, "reflect-even": 0}


def check_overhang(border: str, extents: Sequence[int], padding: Padding) -> None:
    """Raises ShapeError if the padding needs more than one reflection of an axis."""
    if border in _REFLECTION:
        for axis, (extent, pair) in enumerate(zip(extents, padding, strict=True)):
            if max(pair) > extent - _REFLECTION[border]:
                raise ShapeError(
                    f"padding {tuple(pair)} of extent {extent} (dimension {axis} of the padded ones) is too large for "
                    f"border '{border}': at most {extent - _REFLECTION[border]}"
                )


def source_index(index: Array, extent: int, border: str) -> Array:
    """The positions that are read for positions of the extended axis; -1 for none (constant, ignore)."""
    if border == "replicate":
        return np.clip(index, 0, extent - 1)
    if border in _REFLECTION:
        edge = _REFLECTION[border]
        low = np.where(index < 0, edge - 1 - index, index)
        result = np.where(index >= extent, 2 * extent - 1 - edge - index, low)
        check(
            bool(np.all((result >= 0) & (result < extent))),
            f"border '{border}' of extent {extent} would need more than one reflection",
        )
        return result
    return np.where((index < 0) | (index >= extent), -1, index)


def ask_extended(shape: Sequence[int], padding: Padding) -> None:
    """Asks the budget for an array of that shape with its last len(padding) axes extended. LimitError."""
    first = len(shape) - len(padding)
    extents = [n + max(p, 0) + max(q, 0) for n, (p, q) in zip(shape[first:], padding, strict=True)]
    ask_items(math.prod(shape[:first]) * math.prod(extents), "its input with padding")


def extend(array: Array, padding: Padding, border: str, value: float = 0.0) -> Array:
    """The array with its last len(padding) axes extended; negative padding crops. A view if possible.

    value: the items outside for the borders `constant` and `ignore`.
    """
    first = array.ndim - len(padding)
    if all(before <= 0 and after <= 0 for before, after in padding):
        crop = [slice(-p, extent + q) for (p, q), extent in zip(padding, array.shape[first:], strict=True)]
        return np.asarray(array[last_axes(crop)])
    ask_extended(array.shape, padding)
    if border in ZERO_BORDERS:
        return _extend_constant(array, padding, first, value)
    check_overhang(border, array.shape[first:], padding)
    for axis, (before, after) in enumerate(padding, first):
        if before or after:
            extent = array.shape[axis]
            array = array.take(source_index(np.arange(-before, extent + after), extent, border), axis)
    return array


def _extend_constant(array: Array, padding: Padding, first: int, value: float) -> Array:
    shape = list(array.shape)
    source: list[slice] = []
    target: list[slice] = []
    for axis, (before, after) in enumerate(padding, first):
        extent = shape[axis]
        shape[axis] = extent + before + after
        start = min(max(0, -before), extent)
        stop = max(min(extent, extent + after), start)
        source.append(slice(start, stop))
        target.append(slice(start + before, stop + before))
    result = np.full(shape, value, array.dtype)
    result[last_axes(target)] = array[last_axes(source)]
    return result
