"""Tensor data files (`.dat`): reading and writing all item types and widths.

Reading costs little until the items are used: whole-byte items of a larger file are a read-only view of the mapped
file. Sizes are checked against the real file before memory is taken. Writing streams, without a copy of the array.

| numpy type | item type | read back as |
| --- | --- | --- |
| float16, float32, float64 | float | the same |
| bfloat16, float8 and other ml_dtypes floats | float, 32 bits (exact) | float32 |
| int8 ... int64, uint8 ... uint64 | signed, unsigned | the same |
| int2, int4, uint4 ... of ml_dtypes | signed, unsigned of that width | int8, uint8 |
| bool | bool, 1 bit | bool |
"""

from __future__ import annotations

import io
import mmap
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Union
from weakref import WeakSet

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, FormatError, UsageError
from ..model.memory import blocks
from .bit_items import CHUNK, container, pack, unpack
from .tensor_header import (
    HEADER_SIZE,
    MAX_RANK,
    SIGNED_TYPES,
    ItemType,
    TensorHeader,
    format_header,
    parse_header,
    parse_provisional_header,
)

__all__ = [
    "ItemType",
    "TensorHeader",
    "describe_tensor",
    "parse_tensor",
    "read_tensor",
    "write_tensor",
]

Array = NDArray[Any]
PathLike = Union[str, "os.PathLike[str]"]

_NARROW_INTEGERS = {np.dtype(getattr(ml_dtypes, name)): name for name in ("int2", "int4", "uint2", "uint4")}
_MAP_FROM = 1 << 16  # smaller files are read, which is faster
_MAX_MAPS = 512  # a map keeps a file descriptor before Python 3.13, and a process may have 1024
_BLOCK = 1 << 24  # bytes moved at a time
_maps: WeakSet[mmap.mmap] = WeakSet()


# --- reading


def read_tensor(file: PathLike | BinaryIO) -> tuple[Array, TensorHeader]:
    """Reads a tensor from a path, or the next one from a binary stream.

    A file has to hold exactly one tensor; of a stream, exactly the bytes of one are taken, so tensors that follow each
    other on a pipe can be read one by one. The array is read-only, and a view of the mapped file if that is a larger
    one. Quantized items come as integer codes with `header.quantized`; those of NNEF 1.0 to 1.0.2 (item types 16, 17)
    as the real values, float32. FormatError for a malformed, FileError for an unreadable file.
    """
    if not isinstance(file, (str, os.PathLike)):
        return _read_stream(file)
    where = os.fspath(file)
    try:
        with io.FileIO(where) as stream:
            info = os.fstat(stream.fileno())
            if not stat.S_ISREG(info.st_mode):
                return _read_stream(stream)
            return parse_tensor(_map_or_read(stream, 0, info.st_size), where)
    except OSError as error:
        raise FileError(f"cannot read tensor file: {error.strerror or error}", where=where) from error


def parse_tensor(data: bytes | memoryview | mmap.mmap, where: str | None = None) -> tuple[Array, TensorHeader]:
    """Reads the tensor that a whole file, given as a buffer, consists of. Older layouts are recognized by the size.

    The array is a read-only view of the buffer if the items are whole bytes. FormatError if the file is malformed.
    """
    view = memoryview(data).toreadonly()
    try:
        header = parse_header(bytes(view[:HEADER_SIZE]), where)
        items = _items_of(header, view, where)
    except FormatError as error:
        try:
            header = parse_provisional_header(bytes(view[: 1 << 17]), where)
        except FormatError:
            raise error from None
        items = view[header.data_offset :]
        if len(items) != header.data_length:
            raise error from None
    return _decode(header, items, where), header


def _items_of(header: TensorHeader, view: memoryview, where: str | None) -> memoryview:
    surplus = len(view) - HEADER_SIZE - header.data_length
    if surplus not in (0, 4):  # some old writers left 4 bytes between header and items
        what = f"{surplus} bytes too many" if surplus > 0 else f"{-surplus} bytes missing"
        raise FormatError(
            f"shape {list(header.shape)} of {header.bits}-bit items takes {header.data_length} bytes of data, "
            f"but the file has {what}",
            where=where,
        )
    return view[HEADER_SIZE + surplus :]


def _decode(header: TensorHeader, items: memoryview, where: str | None) -> Array:
    try:
        array = _decode_items(header, items, where).reshape(header.shape)
    except MemoryError:
        raise FileError(f"not enough memory for {header.volume} items", where=where) from None
    array.flags.writeable = False
    return array


def _decode_items(header: TensorHeader, items: memoryview, where: str | None) -> Array:
    if header.code == ItemType.FLOAT:
        return np.frombuffer(items, header.dtype)
    if header.code == ItemType.BOOL:
        return _decode_bool(header, items)
    if header.code in (ItemType.LEGACY_LINEAR, ItemType.LEGACY_LOGARITHMIC):
        return _decode_legacy(header, items, where)
    return _decode_integer(header, items)


def _decode_integer(header: TensorHeader, items: memoryview) -> Array:
    signed = header.code in SIGNED_TYPES
    dtype = container(header.bits, signed)
    if header.bits == 8 * dtype.itemsize:
        return np.frombuffer(items, dtype.newbyteorder("<"))
    return unpack(items, header.volume, header.bits, signed)


def _decode_bool(header: TensorHeader, items: memoryview) -> Array:
    raw = np.frombuffer(items, np.uint8)
    if header.bits == 1:
        return np.unpackbits(raw, count=header.volume).view(np.bool_)
    # any non-zero byte is true, but numpy's own bools have to be 0 or 1
    return raw.view(np.bool_) if raw.max(initial=0) <= 1 else raw != 0


def _decode_legacy(header: TensorHeader, items: memoryview, where: str | None) -> Array:
    """The real values of the quantized items of NNEF 1.0 to 1.0.2; float32.

    Linear: q / (2^bits - 1) * (max - min) + min. Logarithmic: 2^(q + m - r) with m = ceil(log2 max), r = 2^bits - 1;
    if min is not 0, the highest bit is the sign.
    """
    low, high = (float(value) for value in np.frombuffer(header.parameters, "<f4", 2))
    linear = header.code == ItemType.LEGACY_LINEAR
    if not (np.isfinite(low) and np.isfinite(high) and low <= high and (linear or high > 0)):
        raise FormatError(f"quantized items have the impossible range {low} to {high}", where=where)
    codes = unpack(items, header.volume, header.bits, signed=False)
    bits = header.bits if linear or low == 0 else header.bits - 1
    values = np.empty(codes.shape, np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, len(codes), CHUNK):
            q = codes[start : start + CHUNK]
            top = 2.0**bits - 1
            if linear:
                part = q.astype(np.float64) / top * (high - low) + low
            else:
                magnitude = q & q.dtype.type((1 << bits) - 1)
                sign = 1.0 - 2.0 * (magnitude != q)
                part = sign * np.exp2(magnitude.astype(np.float64) + np.ceil(np.log2(high)) - top)
            values[start : start + CHUNK] = part
    return values


def _read_stream(stream: BinaryIO) -> tuple[Array, TensorHeader]:
    name = getattr(stream, "name", None)
    where = name if isinstance(name, str) else None
    try:
        header = parse_header(bytes(_take(stream, HEADER_SIZE, where)), where)
        items = _map_next(stream, header.data_length)
        if items is None:
            items = memoryview(_take(stream, header.data_length, where))
    except OSError as error:
        raise FileError(f"cannot read tensor: {error.strerror or error}", where=where) from error
    return _decode(header, items, where), header


def _take(stream: BinaryIO, count: int, where: str | None) -> bytes | bytearray:
    """Exactly `count` bytes; memory grows with what really comes, not with what a header claims."""
    data = bytearray()
    while len(data) < count:
        block = stream.read(min(count - len(data), _BLOCK))
        if isinstance(block, str):
            raise UsageError("a tensor needs a binary stream, not a text stream", where=where)
        if not block:
            raise FormatError(f"the tensor is cut off: {count - len(data)} of {count} bytes are missing", where=where)
        if len(block) == count:
            return block
        data += block
    return data


def _map_next(stream: BinaryIO, count: int) -> memoryview | None:
    """The next bytes of a stream as a view of a mapped file, if it is a plain file that has so many bytes left."""
    raw = stream.raw if isinstance(stream, io.BufferedReader) else stream
    if count < _MAP_FROM or not isinstance(raw, io.FileIO):
        return None  # other classes may have a file descriptor too, but of a file with other contents (gzip)
    info = os.fstat(raw.fileno())
    if not stat.S_ISREG(info.st_mode) or info.st_size - stream.tell() < count:
        return None
    return _map_or_read(stream, stream.tell(), count)


def _map_or_read(stream: BinaryIO, start: int, count: int) -> memoryview:
    """Bytes of a plain file, which is left positioned behind them."""
    if count >= _MAP_FROM and (sys.version_info >= (3, 13) or len(_maps) < _MAX_MAPS):
        with suppress(OSError, ValueError):  # some file systems cannot map
            view = memoryview(_map(stream))[start : start + count]
            stream.seek(start + count)
            return view
    return memoryview(_take(stream, count, None)) if count else memoryview(b"")


def _map(stream: BinaryIO) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ, trackfd=False)
    mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    _maps.add(mapped)
    return mapped


# --- writing


def write_tensor(
    file: PathLike | BinaryIO,
    array: Array,
    *,
    quantized: bool = False,
    signed: bool | None = None,
    bits: int | None = None,
) -> TensorHeader:
    """Writes an array to a path (not atomically) or to a binary stream; the same array gives the same bytes.

    quantized: the integers are quantization codes. signed, bits: item type and width; default is that of the array.
    UsageError if the array has no place in such a file, FileError if it cannot be written.
    """
    array = np.asarray(array)
    header = describe_tensor(array, quantized=quantized, signed=signed, bits=bits)
    where = os.fspath(file) if isinstance(file, (str, os.PathLike)) else None
    try:
        if isinstance(file, (str, os.PathLike)):
            with Path(file).open("wb") as stream:
                _write(stream, array, header)
        else:
            _write(file, array, header)
    except OSError as error:
        raise FileError(f"cannot write tensor: {error.strerror or error}", where=where) from error
    return header


def describe_tensor(
    array: Array, *, quantized: bool = False, signed: bool | None = None, bits: int | None = None
) -> TensorHeader:
    """The header that `write_tensor` writes for the array; UsageError if there is none."""
    code, width = _item_type(array.dtype)
    if code in (ItemType.SIGNED, ItemType.UNSIGNED):
        is_signed = code == ItemType.SIGNED if signed is None else signed
        width = width if bits is None else bits
        _check_range(array, width, is_signed)
        if quantized:
            code = ItemType.QUANTIZED_SIGNED if is_signed else ItemType.QUANTIZED_UNSIGNED
        else:
            code = ItemType.SIGNED if is_signed else ItemType.UNSIGNED
        if (code, width) == (ItemType.UNSIGNED, 1):
            raise UsageError("1-bit unsigned items read as bool; write bool, or 2 bits")
    elif quantized:
        raise UsageError(f"quantization codes have to be integers, not {array.dtype.name}")
    elif bits is not None and bits != width:
        if code != ItemType.BOOL or bits != 8:
            raise UsageError(f"items of type {array.dtype.name} cannot be written with {bits} bits")
        width = bits
    if array.ndim > MAX_RANK:
        raise UsageError(f"a tensor of rank {array.ndim} cannot be written, the highest rank is {MAX_RANK}")
    header = TensorHeader(array.shape, width, code)
    if header.data_length >= 2**32 or any(extent >= 2**32 for extent in array.shape):
        raise UsageError(f"a tensor of {header.data_length} bytes cannot be written, the format ends at 4 GiB")
    return header


def _item_type(dtype: np.dtype[Any]) -> tuple[ItemType, int]:
    if dtype in _NARROW_INTEGERS:
        name = _NARROW_INTEGERS[dtype]
        return (ItemType.UNSIGNED if name.startswith("u") else ItemType.SIGNED), int(name.lstrip("uint"))
    if dtype.kind == "b":
        return ItemType.BOOL, 1
    if dtype.kind in "iu":
        return (ItemType.SIGNED if dtype.kind == "i" else ItemType.UNSIGNED), 8 * dtype.itemsize
    if dtype.kind == "f" and dtype.itemsize in (2, 4, 8):
        return ItemType.FLOAT, 8 * dtype.itemsize
    if dtype.itemsize <= 2 and dtype.name.startswith(("float", "bfloat")):  # of ml_dtypes
        return ItemType.FLOAT, 32
    raise UsageError(f"items of type {dtype.name} cannot be written to a tensor file")


def _check_range(array: Array, bits: int, signed: bool) -> None:
    if not 1 <= bits <= 64:
        raise UsageError(f"items cannot have {bits} bits, only 1 to 64")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    own_code, own_bits = _item_type(array.dtype)
    own_signed = own_code == ItemType.SIGNED
    if array.size == 0 or (own_bits <= bits and own_signed == signed) or (own_bits < bits and signed):
        return
    wide = _plain(array)
    if int(wide.min()) < low or int(wide.max()) > high:
        raise UsageError(
            f"values from {wide.min()} to {wide.max()} do not fit {bits}-bit {'signed' if signed else 'unsigned'} items"
        )


def _write(stream: BinaryIO, array: Array, header: TensorHeader) -> None:
    _put(stream, memoryview(format_header(header)))
    stored = _stored_type(header)
    if stored is not None:
        for part in blocks(array):
            with np.errstate(invalid="ignore"):  # signaling NaNs of bfloat16
                part = _plain(part).astype(stored, copy=False)
            _put(stream, part.view(np.uint8).data)
        return
    for part in _parts(array):
        if header.code == ItemType.BOOL:
            _put(stream, memoryview(np.packbits(part).tobytes()))
        else:
            _put(stream, memoryview(pack(part, header.bits)))


def _stored_type(header: TensorHeader) -> np.dtype[Any] | None:
    """The numpy type whose memory is the packed form of the items, if there is one."""
    if header.bits not in (8, 16, 32, 64):
        return None
    stored: np.dtype[Any] = header.dtype.newbyteorder("<")
    return stored


def _parts(array: Array) -> Iterator[Array]:
    """The items in row-major order, as 1-D arrays of CHUNK items (the last one may be shorter)."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for start in range(0, array.size, CHUNK):
            yield _plain(flat[start : start + CHUNK])
    else:
        for start in range(0, array.size, CHUNK):
            yield _plain(array.flat[start : start + CHUNK])


def _plain(part: Array) -> Array:
    return part.astype(np.int8) if part.dtype in _NARROW_INTEGERS else part


def _put(stream: BinaryIO, data: memoryview) -> None:
    while len(data):
        written = stream.write(data[:_BLOCK])
        data = data[written if isinstance(written, int) else _BLOCK :]
