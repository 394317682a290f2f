"""Large arrays, often views of mapped files: taken in parts, and reordered, without much memory beside them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 1 << 20  # bytes


def blocks(array: Array, size: int = BLOCK) -> Iterator[Array]:
    """The items in row-major order, as contiguous arrays of one dimension and at most `size` bytes.

    Pages of a mapped file under a block do not stay in memory when the next one is taken.
    """
    if array.flags.c_contiguous:
        flat, count = array.reshape(-1), max(1, size // max(1, array.itemsize))
        for start in range(0, flat.size, count):
            part = flat[start : start + count]
            yield part
            _release(part)
    elif array[0].nbytes > size:
        for item in array:
            yield from blocks(item, size)
    else:
        count = size // array[0].nbytes
        for start in range(0, len(array), count):
            yield np.ascontiguousarray(array[start : start + count]).reshape(-1)


def reordered(array: Array, perm: Sequence[int]) -> Array:
    """A contiguous copy with axes permuted. Pages of a mapped file under the array do not stay in memory."""
    if array.ndim == 0 or not array.size:
        return np.array(array.transpose(perm))
    result: Array = np.empty([array.shape[axis] for axis in perm], array.dtype)
    in_memory = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    source, target = array.transpose(in_memory), result.transpose(np.argsort(perm)).transpose(in_memory)
    count = max(1, BLOCK // source[0].nbytes)
    for start in range(0, len(source), count):
        part = source[start : start + count]
        target[start : start + count] = part
        _release(part)
    return result


def _release(array: Array) -> None:
    """Releases the memory pages of the mapped file that an array is a view of; they are read again when needed."""
    mapped = _map_of(array)
    if mapped is None or not array.flags.c_contiguous or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = array.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    first, end = -(-start // mmap.PAGESIZE), (start + array.nbytes) // mmap.PAGESIZE
    if first < end:
        mapped.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (end - first) * mmap.PAGESIZE)


def _map_of(array: Array) -> mmap.mmap | None:
    """The map of a file that cannot be written through, if the array is a view of one."""
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) and memoryview(base).readonly else None
