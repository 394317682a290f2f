"""The item types of tensors, and the values of constants as arrays on the memory of the file."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError

Array = NDArray[Any]

ITEM_TYPES: Mapping[str, type] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT32": np.int32,
    "UINT8": np.uint8,
    "INT64": np.int64,
    "STRING": np.str_,
    "BOOL": np.bool_,
    "INT16": np.int16,
    "COMPLEX64": np.complex64,
    "INT8": np.int8,
    "FLOAT64": np.float64,
    "COMPLEX128": np.complex128,
    "UINT64": np.uint64,
    "RESOURCE": np.void,
    "VARIANT": np.object_,
    "UINT32": np.uint32,
    "UINT16": np.uint16,
    "INT4": ml_dtypes.int4,
    "BFLOAT16": ml_dtypes.bfloat16,
    "INT2": ml_dtypes.int2,
    "UINT4": ml_dtypes.uint4,
    "FLOAT8_E4M3FN": ml_dtypes.float8_e4m3fn,
    "FLOAT8_E5M2": ml_dtypes.float8_e5m2,
}
"""The types in the order of their numbers, with the class of their items; resources are np.void."""

TYPE_NAMES: Mapping[type, str] = {item: name for name, item in ITEM_TYPES.items()}

PACKED = {"INT4": 4, "UINT4": 4, "INT2": 2}
"""Types of which several items share a byte, the first in the lowest bits: number of bits."""

_MAX_RANK = 32


def item_type(number: int) -> tuple[str, type]:
    """Name and class of a type by its number. FormatError if there is none."""
    if not 0 <= number < len(ITEM_TYPES):
        raise FormatError(f"{number} is no type of tensors", hint="the file may be of a later version, or damaged")
    return list(ITEM_TYPES.items())[number]


def storage_size(type: str, count: int) -> int:
    """Number of bytes of that many items; not for strings."""
    if type in PACKED:
        return -(-count * PACKED[type] // 8)
    return count * np.dtype(ITEM_TYPES[type]).itemsize


def to_array(type: str, shape: tuple[int, ...], raw: NDArray[np.uint8]) -> Array:
    """The items in the bytes of a buffer: a view of them, where no bits must be unpacked.

    FormatError if the size does not fit the shape, or the type cannot have values.
    """
    count = volume(shape)
    if type == "STRING":
        return _strings(raw, count).reshape(shape)
    if type in ("RESOURCE", "VARIANT"):
        raise FormatError(f"a constant cannot be of type {type}")
    if storage_size(type, count) != raw.size:
        raise FormatError(f"{raw.size} bytes are no {type} of shape {list(shape)}")
    if type in PACKED:
        return _unpacked(raw, PACKED[type], count).view(ITEM_TYPES[type]).reshape(shape)
    dtype = np.dtype(ITEM_TYPES[type])
    if dtype == np.bool_ and raw.size and raw.max() > 1:
        raise FormatError("a BOOL tensor has bytes other than 0 and 1")
    if raw.__array_interface__["data"][0] % dtype.alignment:
        raw = raw.copy()  # kernels of numpy expect aligned items
    result: Array = raw.view(dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
    return result


def volume(shape: tuple[int, ...]) -> int:
    """Number of items of a constant. FormatError if it cannot have such a shape."""
    if len(shape) > _MAX_RANK:
        raise FormatError(f"rank {len(shape)} is above {_MAX_RANK}")
    if any(extent < 0 for extent in shape):
        raise FormatError(f"a constant of shape {list(shape)}")
    count = 1
    for extent in shape:
        count *= extent
    return count


def _unpacked(raw: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int8]:
    """A byte for each item, with the sign of signed types left to the view."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    items = (raw[:, None] >> shifts & ((1 << bits) - 1)).reshape(-1)[:count]
    return np.ascontiguousarray(items).view(np.int8)


def packed(array: Array, bits: int) -> NDArray[np.uint8]:
    """The inverse: items of few bits in as few bytes as possible."""
    flat = np.ascontiguousarray(array).reshape(-1).astype(np.int8).view(np.uint8) & ((1 << bits) - 1)
    per_byte = 8 // bits
    flat = np.concatenate([flat, np.zeros(-flat.size % per_byte, np.uint8)]).reshape(-1, per_byte)
    result: NDArray[np.uint8] = np.bitwise_or.reduce(flat << np.arange(0, 8, bits, dtype=np.uint8), axis=1)
    return result


def _strings(raw: NDArray[np.uint8], count: int) -> Array:
    """Strings are stored as their number, the offset of each and of the end, and their bytes."""
    if not raw.size and not count:
        return np.zeros(0, np.object_)
    head = 4 * (count + 2)
    if raw.size < head:
        raise FormatError("a tensor of strings is cut off")
    number, *offsets = (int(item) for item in raw[:head].copy().view("<i4"))
    if number != count or offsets != sorted(offsets) or offsets[0] < head or offsets[-1] > raw.size:
        raise FormatError("a tensor of strings is damaged")
    texts = [raw[a:b].tobytes() for a, b in pairwise(offsets)]
    result = np.empty(count, np.object_)
    result[:] = texts
    return result
