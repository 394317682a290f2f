"""Values that users give to inputs, in the form that a model wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..budget import ask_constant
from ..errors import UsageError, shape_text
from ..model.dtypes import dtype_name

Array = np.ndarray[Any, np.dtype[Any]]
Values = Mapping[str, Any]
"""Input name -> number, logical value, nested list of those, or array."""


def check_names(given: Iterable[str], inputs: Sequence[str]) -> None:
    """UsageError for a name that is not that of an input."""
    for name in given:
        if name not in inputs:
            known = ", ".join(f"'{item}'" for item in inputs) or "none"
            raise UsageError(f"the model has no input '{name}' that could be set", hint=f"its inputs are {known}")


def input_value(name: str, given: Any, dtype: Any, shape: Sequence[int | None] | None) -> Array:
    """The value of an input as an array of its item type and shape; a single number fills the shape.

    dtype: None if it is not known. shape: None, or with None for extents that are not known. UsageError if the value
    does not fit; real numbers are rounded to the type of the input, others must be items of it.
    """
    try:
        array = np.asarray(given)
    except ValueError:  # numpy's, for lists of different lengths
        raise UsageError(f"the value of input '{name}' is not an array: its lists differ in length") from None
    items = _as_items(name, array, array.dtype.type if dtype is None else dtype)
    if shape is None:
        return items
    if items.ndim == 0 and len(shape):
        extents = [extent for extent in shape if extent is not None]
        if len(extents) != len(shape):
            raise UsageError(
                f"input '{name}' has shape {shape_text(shape)}, which one number cannot fill",
                hint=f"give numbers for the open extents: --shape {name}:{','.join(_extents(shape))}",
            )
        ask_constant(int(np.prod(extents, dtype=object)), f"the value of input '{name}'")
        return np.full(extents, items)
    if len(shape) != items.ndim or any(a not in (None, b) for a, b in zip(shape, items.shape, strict=True)):
        raise UsageError(f"input '{name}' has shape {shape_text(shape)}, its value {shape_text(items.shape)}")
    return items


def _extents(shape: Sequence[int | None]) -> list[str]:
    return ["?" if extent is None else str(extent) for extent in shape]


def _as_items(name: str, array: Array, dtype: Any) -> Array:
    """The array with items of another type. UsageError if it has none for one of them."""
    wanted = dtype_name(dtype)
    if (array.dtype.kind in "OSU") != (dtype in (np.str_, np.bytes_, np.object_)):
        raise UsageError(
            f"input '{name}' has items of type {wanted}, {_shown(array)} is no value for it",
            hint="give a number, true or false, a list such as [1,2], or a .npy file",
        )
    if array.dtype.kind in "OSU":
        return array.astype(np.object_)
    with np.errstate(all="ignore"):
        items = array.astype(dtype)
        back = items.astype(array.dtype) if array.dtype.kind == "f" else items.astype(np.float64).astype(object)
    if array.dtype.kind == "f" and items.dtype.kind not in "biu" and _is_floating(items):
        wrong = np.isfinite(array) & ~np.isfinite(items.astype(np.float64))
    else:
        original = array if array.dtype.kind == "f" else array.astype(object)
        exact = items.astype(object) if items.dtype.kind in "biu" else back
        wrong = np.asarray(original != exact)
    if wrong.any():
        raise UsageError(f"input '{name}' has items of type {wanted}, which has no {_shown(array[wrong])}")
    return items


def _is_floating(items: Array) -> bool:
    return items.dtype.kind == "f" or "float" in items.dtype.name


def _shown(array: Array) -> str:
    """The first item, for messages."""
    return repr(array.ravel()[:1].tolist()[0])[:60] if array.size else "[]"
