"""Items of any width as bytes: the packing of `.dat` files for widths that numpy has no type for.

Widths that are whole bytes are little-endian, as 8, 16, 32 and 64 bits are. All others form one continuous stream of
bits, most significant bit first, padded with zeros to a whole byte (that is how both known implementations write
1-bit items; the standard is silent about the other widths).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CHUNK = 1 << 16
"""Items handled at a time: a multiple of 8, so every chunk but the last is a whole number of bytes."""


def container(bits: int, signed: bool) -> np.dtype[Any]:
    """The smallest numpy integer type that holds items of 1 to 64 bits."""
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    return np.dtype(f"{'i' if signed else 'u'}{size}")


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` items take."""
    return (count * bits + 7) // 8


def pack(items: Array, bits: int) -> bytes:
    """The low `bits` bits of each integer of a 1-D array, packed."""
    size = container(bits, signed=False).itemsize
    if bits % 8 == 0:
        raw = items.astype(f"<u{size}").view(np.uint8).reshape(-1, size)
        return raw[:, : bits // 8].tobytes()
    raw = items.astype(f">u{size}").view(np.uint8).reshape(-1, size)
    return np.packbits(np.unpackbits(raw, axis=1)[:, 8 * size - bits :]).tobytes()


def unpack(data: memoryview, count: int, bits: int, signed: bool) -> Array:
    """`count` integers of `bits` bits as a 1-D array of `container(bits, signed)`; data holds exactly these."""
    result = np.empty(count, container(bits, signed))
    for start, stop in _chunks(count):
        part = data[start * bits // 8 : packed_size(stop, bits)]
        result[start:stop] = _unpack_chunk(np.frombuffer(part, np.uint8), stop - start, bits, signed)
    return result


def _unpack_chunk(raw: Array, count: int, bits: int, signed: bool) -> Array:
    size = container(bits, signed).itemsize
    if bits % 8 == 0:
        wide: Array = np.zeros((count, size), np.uint8)
        wide[:, : bits // 8] = raw.reshape(count, bits // 8)
        items: Array = wide.view(f"<u{size}")
    else:
        stream = np.zeros((count, 8 * size), np.uint8)
        stream[:, 8 * size - bits :] = np.unpackbits(raw, count=count * bits).reshape(count, bits)
        items = np.packbits(stream, axis=1).view(f">u{size}")
    items = items.reshape(-1).astype(f"u{size}")
    if not signed:
        return items
    shift = 8 * size - bits  # moves the sign bit to the top and back, which copies it into the bits above
    return (items << shift).view(f"i{size}") >> shift


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))
