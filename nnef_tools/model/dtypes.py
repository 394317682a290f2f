"""Item types: numpy scalar classes (also those of ml_dtypes) and the type names of NNEF."""

from __future__ import annotations

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import UsageError

_BY_KIND = {"f": "scalar", "i": "integer", "u": "integer", "b": "logical", "U": "string", "S": "string"}
_CLASSES: dict[str, type] = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_, "string": np.str_}
ITEM_CLASSES: dict[str, type] = {
    dtype.__name__: dtype
    for dtype in (
        *(np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64),
        *(np.uint8, np.uint16, np.uint32, np.uint64, np.bool_, np.str_, np.bytes_),
        *(ml_dtypes.bfloat16, ml_dtypes.int2, ml_dtypes.int4, ml_dtypes.uint2, ml_dtypes.uint4),
        *(ml_dtypes.float8_e3m4, ml_dtypes.float8_e4m3, ml_dtypes.float8_e4m3b11fnuz, ml_dtypes.float8_e4m3fn),
        *(ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz, ml_dtypes.float8_e8m0fnu),
        *(ml_dtypes.float4_e2m1fn, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn),
    )
} | {"bool": np.bool_, "bool_": np.bool_, "str_": np.str_, "bytes_": np.bytes_}  # the names of numpy 1 and 2
"""Name -> class, of the item types that NNEF tensors can have. Names in files are looked up here, in no module."""
MAX_EXACT_INTEGER = 2**24
"""Float32, in which NNEF's scalars are computed, has all integers up to this."""

_names: dict[type, str] = {}  # what was asked for already


def nnef_dtype(dtype: Any) -> str:
    """'scalar', 'integer', 'logical' or 'string' for a numpy scalar class, `np.dtype`, Python class or ml_dtypes class.

    These names stand for themselves. UsageError for others, such as complex numbers.
    """
    if isinstance(dtype, type):
        name = _names.get(dtype)
        if name is None:
            name = _names[dtype] = _find_name(dtype)
        return name
    return _find_name(dtype)


def _find_name(dtype: Any) -> str:
    if isinstance(dtype, str) and dtype in _CLASSES:
        return dtype
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise UsageError(f"{dtype_name(dtype)} is not a data type") from None
    if kind.kind in _BY_KIND:
        return _BY_KIND[kind.kind]
    # The kinds of ml_dtypes' types are not telling ('V' for most), their names are.
    name = kind.type.__name__
    if name.startswith(("float", "bfloat")):
        return "scalar"
    if name.startswith(("int", "uint")):
        return "integer"
    raise UsageError(f"data type '{name}' has no equivalent in NNEF")


def dtype_name(dtype: Any) -> str:
    """The name of an item type in messages: 'float32', 'bool', 'bfloat16', 'string'; `?` if it is not known."""
    if dtype is None:
        return "?"
    if dtype is np.str_:
        return "string"
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(getattr(dtype, "__name__", dtype))


def numpy_dtype(nnef_type: str) -> type:
    """The class that stands for an NNEF type in attributes: float32, int64, bool_ or str_."""
    if nnef_type not in _CLASSES:
        raise UsageError(f"'{nnef_type}' is not an NNEF data type")
    return _CLASSES[nnef_type]


def as_class(dtype: Any) -> Any:
    """A data type as its class: that of an NNEF name such as 'scalar' is as for `numpy_dtype`."""
    return _CLASSES.get(dtype, dtype) if isinstance(dtype, str) else dtype


def canonical_dtype(dtype: Any) -> type:
    """The class that stands for the NNEF type of a class: float16 -> float32, int8 -> int64."""
    return _CLASSES[nnef_dtype(dtype)]


def is_integer(dtype: Any) -> bool:
    """Is the class an integer type of any width? Booleans are not, nor types that NNEF lacks."""
    return _has_name(dtype, "integer")


def is_float(dtype: Any) -> bool:
    """Is the class a real floating point type of any width?"""
    return _has_name(dtype, "scalar")


def _has_name(dtype: Any, name: str) -> bool:
    try:
        return nnef_dtype(dtype) == name
    except UsageError:
        return False


@cache
def is_carried(dtype: Any) -> bool:
    """Can NNEF tensors that are computed have the type?"""
    try:
        return nnef_dtype(dtype) != "string"
    except UsageError:
        return False


def integer_range(dtype: Any) -> tuple[int, int]:
    """The smallest and the largest value of an integer type."""
    info: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return int(info.min), int(info.max)


def integer_of(bits: int, *, signed: bool) -> type:
    """The narrowest class of integers with at least so many bits (up to 64); those of 2 and 4 bits are ml_dtypes'."""
    width = next(width for width in (2, 4, 8, 16, 32, 64) if width >= bits)
    name = f"{'' if signed else 'u'}int{width}"
    found: type = getattr(ml_dtypes if width < 8 else np, name)
    return found


def integer_bits(dtype: Any) -> int:
    """The width of an integer type; `int4` has 4 bits, though it is stored in a byte."""
    return int(ml_dtypes.iinfo(dtype).bits)  # type: ignore[no-untyped-call]
