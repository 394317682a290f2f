"""The types of the inputs and results of all kernels: floating-point types and IEEE results.

Kernels see float32 or float64. The type of their floating-point results is that of the inputs: half precision is
computed in float32 and rounded once at the end. Inputs of rank 0 (literals) do not widen the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..model.dtypes import nnef_dtype


def is_floating(dtype: Any) -> bool:
    """Is the numpy scalar class (or dtype) a floating-point one, ml_dtypes included?"""
    return nnef_dtype(dtype) == "scalar"


def is_narrow(dtype: Any) -> bool:
    """Is the floating-point class too narrow to compute in?"""
    return bool(np.dtype(dtype).itemsize < 4)


def common_float(dtypes: Iterable[Any]) -> Any:
    """The floating-point class of results for inputs of these classes; None if none of them is a floating-point one."""
    found = {np.dtype(dtype).type for dtype in dtypes if is_floating(dtype)}
    if len(found) < 2:
        return next(iter(found), None)
    return np.result_type(*(np.float32 if is_narrow(dtype) else dtype for dtype in found)).type


def common_integer(dtypes: Iterable[Any]) -> Any:
    """The class that holds integers of all these classes; int64, with the same bits, for uint64 beside signed ones."""
    found = np.result_type(*dtypes)
    return np.int64 if found.kind == "f" else found.type


def signed_together(arrays: Sequence[Any]) -> Sequence[Any]:
    """The arrays, with uint64 as int64 of the same bits beside signed ones, of which numpy would make float64."""
    kinds = {array.dtype.kind for array in arrays}
    if not kinds.issuperset("iu"):
        return arrays
    return [array.astype(np.int64) if array.dtype == np.uint64 else array for array in arrays]


def ieee(kernel: Callable[..., Any], *, arithmetic: bool) -> Callable[..., Any]:
    """The kernel without numpy's warnings, with floating-point inputs brought to their common class.

    arithmetic: compute half precision in float32, and give results the class of the inputs; otherwise values are only
    moved and keep their class.
    """

    @wraps(kernel)
    def run(*inputs: Any, **attribs: Any) -> Any:
        inputs = _map(np.asarray, inputs)
        arrays = list(_flatten(inputs))
        result_class = common_float(a.dtype for a in arrays if a.ndim > 0) or common_float(a.dtype for a in arrays)
        if result_class is not None:
            compute_class = np.float32 if arithmetic and is_narrow(result_class) else result_class
            inputs = _map(lambda array: _as_class(array, compute_class), inputs)
        with np.errstate(all="ignore"):
            results = _map(np.asarray, kernel(*inputs, **attribs))
            if arithmetic and result_class is not None:
                results = _map(lambda array: _as_class(array, result_class), results)
        return results

    return run


def _as_class(array: Any, dtype: Any) -> Any:
    return array.astype(dtype, copy=False) if is_floating(array.dtype) else array


def _map(function: Callable[[Any], Any], items: Any) -> Any:
    """Applies a function to the arrays in nested tuples and lists."""
    if isinstance(items, (tuple, list)):
        return type(items)(_map(function, item) for item in items)
    return function(items)


def _flatten(items: Any) -> Iterator[Any]:
    for item in items:
        if isinstance(item, (tuple, list)):
            yield from _flatten(item)
        else:
            yield item
