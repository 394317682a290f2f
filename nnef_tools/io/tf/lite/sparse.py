"""Sparse constants as dense ones.

A sparse tensor lists its dimensions in the order of traversal, blocks last. A dense dimension has all positions; of a
compressed one (CSR), segments tell which range of the indices belongs to each position of the dimensions before it.
"""

from __future__ import annotations

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
    positions = np.zeros((1, len(order)), np.int64)  # of the stored items, in the order of traversal
    for level, dim in enumerate(dims):
        positions = _with_dimension(positions, level, dim, values.size)
    if len(positions) != values.size:
        raise FormatError(f"a sparse tensor has {values.size} items for {len(positions)} positions")
    extents = np.ones(rank + len(blocks), np.int64)
    for axis, dim in zip(order[::-1], dims[::-1], strict=True):
        if axis >= rank:
            extents[axis] = dim["dense_size"]
    index = np.zeros((rank, values.size), np.int64)
    for level, axis in enumerate(order):
        if axis < rank:
            block = rank + blocks.index(axis) if axis in blocks else None
            index[axis] += positions[:, level] * (1 if block is None else extents[block])
        else:
            index[blocks[axis - rank]] += positions[:, level]
    if any(np.any((row < 0) | (row >= extent)) for row, extent in zip(index, shape, strict=True)):
        raise FormatError("a sparse tensor has items outside of its shape")
    result: Array = np.zeros(shape, values.dtype)
    result[tuple(index)] = values
    return result


def _with_dimension(positions: Array, level: int, dim: Table, limit: int) -> Array:
    """Each position of the dimensions so far, once for every index of one more dimension. limit: number of items."""
    if dim["format"] == _DENSE:
        counts = np.full(len(positions), dim["dense_size"], np.int64)
        if dim["dense_size"] < 0 or len(positions) * max(dim["dense_size"], 1) > max(limit, 1):
            raise FormatError("a sparse tensor has fewer items than positions")
        indices = np.tile(np.arange(dim["dense_size"], dtype=np.int64), len(positions))
    elif dim["format"] == _CSR:
        segments, indices = (_integers(dim[key]) for key in ("array_segments", "array_indices"))
        counts = np.diff(segments)
        fits = len(segments) == len(positions) + 1 and segments[0] == 0 and np.all(counts >= 0)
        if not fits or segments[-1] != len(indices):
            raise FormatError("the segments of a sparse tensor are damaged")
    else:
        raise FormatError(f"{dim['format']} is no format of a sparse dimension")
    result = np.repeat(positions, counts, axis=0)
    result[:, level] = indices
    return result


def _integers(vector: Table | None) -> Array:
    values = None if vector is None else vector["values"]
    return np.asarray([] if values is None else values, np.int64)
