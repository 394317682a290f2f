"""Sparse constants as dense ones.

A sparse tensor lists its dimensions in the order of traversal, blocks last. A dense dimension has all positions; of a
compressed one (CSR), segments tell which range of the indices belongs to each position of the dimensions before it.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError
from .flatbuffer import Table

Array = NDArray[Any]

_DENSE, _CSR = 0, 1


def densified(values: Array, shape: tuple[int, ...], sparsity: Table) -> Array:
    """The dense array. values: the stored items, of rank 1. FormatError if the description does not fit."""
    order, blocks = sparsity["traversal_order"] or [], sparsity["block_map"] or []
    dims = sparsity["dim_metadata"] or []
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocks))) or len(dims) != len(order):
        raise FormatError("the description of a sparse tensor is damaged")
    if any(k not in range(rank) for k in blocks) or len(set(blocks)) != len(blocks):
        raise FormatError("the blocks of a sparse tensor are damaged")
    sizes = {blocks[axis - rank]: dim["dense_size"] for axis, dim in zip(order, dims, strict=True) if axis >= rank}
    if any(size < 1 or shape[axis] % size for axis, size in sizes.items()):
        raise FormatError("the blocks of a sparse tensor do not fit its shape")
    offsets = np.zeros(1, np.int64)  # of the stored items in the dense array
    limit = max([1, values.size, *(_integers(dim["array_segments"]).size for dim in dims)])
    for axis, dim in zip(order, dims, strict=True):
        if axis < rank:
            size = sizes.get(axis, 1)
            extent, stride = shape[axis] // size, prod(shape[axis + 1 :]) * size
        else:
            extent, stride = sizes[blocks[axis - rank]], prod(shape[blocks[axis - rank] + 1 :])
        counts, indices = _indices(dim, len(offsets), limit)
        if np.any((indices < 0) | (indices >= extent)):
            raise FormatError("a sparse tensor has items outside of its shape")
        offsets = np.repeat(offsets, counts) + indices * stride
    if len(offsets) != values.size:
        raise FormatError(f"a sparse tensor has {values.size} items for {len(offsets)} positions")
    result: Array = np.zeros(prod(shape), values.dtype)
    result[offsets] = values
    return result.reshape(shape)


def _indices(dim: Table, positions: int, limit: int) -> tuple[Array, Array]:
    """The number of indices at each position of the dimensions before one, and the indices, one after the other.

    limit: number of positions that the file has something for.
    """
    if dim["format"] == _DENSE:
        size = dim["dense_size"]
        if size < 0 or positions * size > limit:
            raise FormatError("a sparse tensor has fewer items than positions")
        return np.full(positions, size, np.int64), np.tile(np.arange(size, dtype=np.int64), positions)
    if dim["format"] != _CSR:
        raise FormatError(f"{dim['format']} is no format of a sparse dimension")
    segments, indices = (_integers(dim[key]) for key in ("array_segments", "array_indices"))
    counts = np.diff(segments)
    fits = len(segments) == positions + 1 and segments[0] == 0 and np.all(counts >= 0)
    if not fits or segments[-1] != len(indices):
        raise FormatError("the segments of a sparse tensor are damaged")
    return counts, indices


def _integers(vector: Table | None) -> Array:
    values = None if vector is None else vector["values"]
    return np.asarray([] if values is None else values, np.int64)
