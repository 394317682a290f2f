"""Numpy arrays as TensorProto messages: the inverse of `tensors`. Raw data is made one tensor at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...dialects.onnx.types import ELEMENT_TYPES, STRING, find_data_type
from ...errors import FormatError
from ...model.memory import blocks

if TYPE_CHECKING:
    from onnx import TensorProto

Array = npt.NDArray[Any]


def data_type(dtype: Any, what: str = "a tensor") -> int:
    """The TensorProto.DataType of a numpy class or dtype. FormatError if ONNX has none."""
    code = find_data_type(dtype)
    if code is None:
        raise FormatError(f"ONNX has no data type for {getattr(dtype, '__name__', dtype)}", where=what)
    return code


def raw_size(array: Array) -> int:
    """Bytes of the raw data; items of less than 8 bits are packed."""
    return -(-array.size * ELEMENT_TYPES[data_type(array.dtype.type)].bits // 8)


def raw_data(array: Array) -> memoryview:
    """Little-endian bytes of the items; a view of the array where its layout allows."""
    bits = ELEMENT_TYPES[data_type(array.dtype.type)].bits
    flat = np.ascontiguousarray(array).reshape(-1)
    if bits < 8:
        items = flat.view(np.uint8)
        single = np.unpackbits(items[:, np.newaxis], axis=1, count=bits, bitorder="little")
        return np.packbits(single, bitorder="little").data
    if sys.byteorder == "big" or flat.dtype.byteorder == ">":
        flat = flat.byteswap() if flat.dtype.isnative else flat.astype(flat.dtype.newbyteorder("<"))
    return flat.view(np.uint8).data


def raw_parts(array: Array) -> Iterator[memoryview]:
    """The bytes of `raw_data` in parts, so that pages of mapped files need not stay in memory."""
    if raw_size(array) != array.nbytes:  # several items in a byte, perhaps of two parts
        yield raw_data(array)
        return
    for block in blocks(array):
        yield raw_data(block)


def is_text(array: Array) -> bool:
    """Are the items strings? They have no raw form."""
    return data_type(array.dtype.type) == STRING


def tensor_message(name: str, array: Array) -> TensorProto:
    """The message of a tensor with its value."""
    message = tensor_header(name, array)
    if is_text(array):
        items = [item.encode() if isinstance(item, str) else bytes(item) for item in array.reshape(-1).tolist()]
        message.string_data.extend(items)
    else:
        message.raw_data = raw_data(array).tobytes()
    return message


def tensor_header(name: str, array: Array) -> TensorProto:
    """The message of a tensor without its value."""
    from onnx import TensorProto

    return TensorProto(name=name, dims=array.shape, data_type=data_type(array.dtype, f"tensor '{name}'"))
