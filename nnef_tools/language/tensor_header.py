"""The header of a tensor data file (`.dat`): layout, item types, and the forms that older writers left behind.

Little-endian, 128 bytes: magic `4E EF`, version 1.0, u32 length of the data, u32 rank, 8 u32 extents, u32 bits per
item, u16 item type, u16 vendor, 32 bytes of (deprecated) item type parameters, 44 reserved bytes (section 3 of the
digest of the standard).
"""

from __future__ import annotations

import math
import struct
from enum import IntEnum
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..errors import FormatError
from .bit_items import container, packed_size

HEADER_SIZE = 128
MAX_RANK = 8
MAGIC = b"\x4e\xef"

_LAYOUT = struct.Struct("<2sBBII8IIHH32s44x")

_TRACT_VENDOR = 0x5452
_TRACT_TYPES = {
    0x1000: "strings",
    0x0000: "complex floats",
    0x0004: "complex integers",
    0x2040: "Q4_0 blocks (tract's nibble order)",
    0x3040: "Q4_0 blocks",
    0x3080: "Q8_1 blocks",
    0x3081: "Q8_1 blocks",
}


class ItemType(IntEnum):
    """Khronos item types; the last two are of 1.0 to 1.0.2 only, with the range in the item type parameters."""

    FLOAT = 0
    UNSIGNED = 1
    QUANTIZED_UNSIGNED = 2
    QUANTIZED_SIGNED = 3
    SIGNED = 4
    BOOL = 5
    LEGACY_LINEAR = 0x10
    LEGACY_LOGARITHMIC = 0x11


_LEGACY = (ItemType.LEGACY_LINEAR, ItemType.LEGACY_LOGARITHMIC)
_MISPRINTED = {0x100: ItemType.SIGNED, 0x101: ItemType.BOOL}  # 1.0.3 printed binary numbers like hex ones
_FLOATS: dict[int, np.dtype[Any]] = {bits: np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)}
_WIDTHS = {ItemType.FLOAT: tuple(_FLOATS), ItemType.BOOL: (1, 8)}
_ANY_WIDTH = range(1, 65)
SIGNED_TYPES = (ItemType.SIGNED, ItemType.QUANTIZED_SIGNED)


class TensorHeader(NamedTuple):
    """What the header says, in the terms of NNEF 1.0.5 (older forms are translated).

    code: an ItemType. vendor: 0 (others are refused). parameters: the 32 deprecated bytes. data_offset: where the
    items start in the file. quantization: the quantization text that the provisional format kept in the header.
    """

    shape: tuple[int, ...]
    bits: int
    code: ItemType
    vendor: int = 0
    parameters: bytes = bytes(32)
    data_offset: int = HEADER_SIZE
    quantization: str = ""

    @property
    def quantized(self) -> bool:
        """Are the items quantization codes? (Legacy quantized files are turned into real values on reading.)"""
        return self.code in (ItemType.QUANTIZED_UNSIGNED, ItemType.QUANTIZED_SIGNED)

    @property
    def volume(self) -> int:
        """Number of items."""
        return math.prod(self.shape)

    @property
    def data_length(self) -> int:
        """Bytes of the items."""
        return packed_size(self.volume, self.bits)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the array that is read."""
        if self.code == ItemType.FLOAT:
            return _FLOATS[self.bits]
        if self.code == ItemType.BOOL:
            return np.dtype(np.bool_)
        if self.code in _LEGACY:
            return np.dtype(np.float32)
        return container(self.bits, self.code in SIGNED_TYPES)


def format_header(header: TensorHeader) -> bytes:
    """The 128 bytes of a header."""
    extents = header.shape + (0,) * (MAX_RANK - len(header.shape))
    return _LAYOUT.pack(
        MAGIC, 1, 0, header.data_length, len(header.shape), *extents, header.bits, header.code, header.vendor,
        header.parameters,
    )  # fmt: skip


def parse_header(raw: bytes, where: str | None = None) -> TensorHeader:
    """Reads a header of 128 bytes.

    FormatError if it is none, contradicts itself, or describes items that are not of NNEF itself.
    """
    if len(raw) < HEADER_SIZE:
        _fail(f"the header is cut off after {len(raw)} of {HEADER_SIZE} bytes", where)
    magic, major, minor, length, rank, *rest = _LAYOUT.unpack_from(raw)
    extents, bits, code, vendor, parameters = tuple(rest[:MAX_RANK]), *rest[MAX_RANK:]
    if magic != MAGIC:
        _fail(f"not a tensor file: it starts with {magic.hex(' ')} instead of 4e ef", where)
    if (major, minor) != (1, 0):
        _fail(f"tensor file version {major}.{minor} is not supported, only 1.0 is", where)
    if rank > MAX_RANK:
        _fail(f"rank {rank} is larger than {MAX_RANK}", where)
    if vendor:
        _fail(f"items of {_vendor_type(vendor, code)} are not part of NNEF and cannot be read", where)
    item_type = _item_type(code, bits, parameters, where)
    header = TensorHeader(extents[:rank], bits, item_type, parameters=parameters)
    check_shape(header.shape, where)
    if length != header.data_length:
        _fail(
            f"the header says {length} bytes of data, but shape {list(header.shape)} of {bits}-bit items takes "
            f"{header.data_length}",
            where,
        )
    return header


def parse_provisional_header(raw: bytes, where: str | None = None) -> TensorHeader:
    """Reads a header in the layout of the provisional standard of 2017.

    After the magic and version: u32 length of the header, u32 rank, the extents, u8 type (0 float, 1 quantized,
    2 signed, 3 unsigned), u8 bits, u16 n, n bytes of quantization text. FormatError if that does not fit.
    """
    try:
        magic, offset, rank = struct.unpack_from("<2s2xII", raw)
        if magic != MAGIC or rank > MAX_RANK:
            _fail("not a provisional header", where)
        shape = struct.unpack_from(f"<{rank}I", raw, 12)
        code, bits, count = struct.unpack_from("<BBH", raw, 12 + 4 * rank)
    except struct.error:
        _fail("not a provisional header", where)
    start = 16 + 4 * rank
    types = (ItemType.FLOAT, ItemType.QUANTIZED_UNSIGNED, ItemType.SIGNED, ItemType.UNSIGNED)
    if offset != start + count or offset > len(raw) or code >= len(types):
        _fail("not a provisional header", where)
    text = raw[start:offset].split(b"\0")[0].decode("latin-1")
    item_type = _item_type(types[code], bits, bytes(32), where)
    header = TensorHeader(shape, bits, item_type, data_offset=offset, quantization=text)
    check_shape(header.shape, where)
    return header


def check_shape(shape: tuple[int, ...], where: str | None = None) -> None:
    """FormatError if numpy could not address such an array (an extent of 0 does not hide huge other ones)."""
    if math.prod(filter(None, shape)) > 2**56:
        _fail(f"shape {list(shape)} is too large", where)


def _item_type(code: int, bits: int, parameters: bytes, where: str | None) -> ItemType:
    """Translates the codes of all editions, and checks that the width fits."""
    code = _MISPRINTED.get(code, code)
    if code in _LEGACY and not any(parameters):
        code = ItemType.QUANTIZED_UNSIGNED if code == ItemType.LEGACY_LINEAR else ItemType.QUANTIZED_SIGNED
    if code == ItemType.UNSIGNED and bits == 1:
        code = ItemType.BOOL  # 1.0 to 1.0.2 had no code for bool
    elif code == ItemType.UNSIGNED and any(parameters[:4]):
        code = ItemType.SIGNED  # nor one for signed integers: the first parameter said so
    try:
        item_type = ItemType(code)
    except ValueError:
        _fail(f"unknown item type {code:#x}", where)
    if bits not in _WIDTHS.get(item_type, _ANY_WIDTH):
        _fail(f"items of type {item_type.name.lower()} cannot have {bits} bits", where)
    return item_type


def _vendor_type(vendor: int, code: int) -> str:
    if vendor == _TRACT_VENDOR:
        return f"tract's type {_TRACT_TYPES.get(code, 'unknown')} ({code:#06x})"
    return f"type {code:#06x} of vendor {vendor:#06x}"


def _fail(message: str, where: str | None) -> NoReturn:
    raise FormatError(message, where=where)
