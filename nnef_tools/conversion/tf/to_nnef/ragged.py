"""Rows of different lengths whose lengths are constant: partitions, and ragged tensors padded to full ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, unsqueeze
from ...compose.slicing import empty_part, expand_to, joined
from ...engine.rules import Array, Ints, to_nnef

Positions = np.ndarray[Any, Any]


@to_nnef("tf", "DynamicPartition")
def dynamic_partition(b: Builder, x: Tensor, partitions: Array, *, num_partitions: int) -> list[Tensor]:
    """DynamicPartition with constant partitions: the rows of each, in order."""
    labels = partitions.reshape(-1)
    if labels.size and not 0 <= labels.min() <= labels.max() < num_partitions:
        raise Unsupported(f"partitions from {labels.min()} to {labels.max()}, of {num_partitions}")
    flat = reshape(b, x, [labels.size, *shape(x)[partitions.ndim :]])
    places = [np.flatnonzero(labels == k) for k in range(num_partitions)]
    return [b.gather(flat, b.constant(found), axis=0) if found.size else empty_part(b, flat, 0) for found in places]


@to_nnef("tf", "RaggedTensorToTensor")
def ragged_to_tensor(
    b: Builder,
    new: Ints,
    values: Tensor,
    default: Tensor,
    *row_partitions: Tensor,
    row_partition_types: Sequence[str],
    num_row_partition_tensors: int = 0,
    Tindex: Any = None,
    Tshape: Any = None,
) -> Tensor:
    """RaggedTensorToTensor with constant partitions: gather, the default standing behind the values.

    new: the shape wanted, where -1 stands for what the values have, as a single -1 does. Longer rows are cut off.
    """
    known = [b.value(t) for t in row_partitions]
    given = [array for array in known if array is not None]
    if len(given) < len(known):
        raise Unsupported("the lengths of rows must be constant, but they are computed from the inputs")
    rows, lengths = _row_lengths(given, list(row_partition_types), shape(values)[0])
    extents = [rows, *(int(level.max(initial=0)) for level in lengths)]
    inner = shape(values)[1:]
    wanted = [-1] * len(extents) if new == [-1] else new[: len(extents)]
    extents = [own if n < 0 else n for own, n in zip(extents, wanted, strict=True)]
    if 0 in extents:
        raise Unsupported(f"the result would be empty (shape {[*extents, *inner]}); NNEF has no empty tensors")
    ask_constant(math.prod(extents))
    places = _padded(lengths, extents, shape(values)[0])
    items = values
    if places.max() == shape(values)[0]:
        items = joined(b, [values, unsqueeze(b, expand_to(b, default, inner), [0])], 0)
    return reshape(b, b.gather(items, b.constant(places.reshape(-1)), axis=0), [*extents, *inner])


def _row_lengths(given: Sequence[Positions], types: list[str], count: int) -> tuple[int, list[Positions]]:
    """The number of rows, and the length of each row of each ragged dimension."""
    rows = 0
    lengths: list[Positions] = []
    for kind, array in zip(types, given, strict=True):
        if kind == "FIRST_DIM_SIZE":
            rows = int(array.reshape(()))
        elif kind == "ROW_SPLITS":
            lengths.append(np.diff(array.astype(np.int64)))
        elif kind == "ROW_LENGTHS":
            lengths.append(array.astype(np.int64))
        elif kind == "VALUE_ROWIDS":
            before = int(lengths[-1].sum()) if lengths else rows
            lengths.append(np.bincount(array.astype(np.int64), minlength=before))
        else:
            raise Unsupported(f"row partition of type '{kind}'")
        if kind != "FIRST_DIM_SIZE" and len(lengths) == 1:
            rows = max(rows, len(lengths[0]))
    expected = [rows, *(int(level.sum()) for level in lengths)]
    found = [*(len(level) for level in lengths), count]
    if not lengths or any(np.any(level < 0) for level in lengths) or expected != found:
        raise Unsupported(f"rows of lengths {[level.tolist() for level in lengths]} for {count} values")
    return rows, lengths


def _padded(lengths: Sequence[Positions], extents: Sequence[int], count: int) -> Positions:
    """The position of the value that stands at each place of the full tensor; `count` where there is none."""
    rows = len(lengths[0])
    places = np.arange(extents[0])
    places[rows:] = -1  # nothing
    for level, extent in zip(lengths, extents[1:], strict=True):
        start = np.concatenate([[0], np.cumsum(level)])
        offset = np.arange(extent)
        row = np.maximum(places, 0)[..., None]
        inside = (places[..., None] >= 0) & (offset < np.append(level, 0)[row])
        places = np.where(inside, start[row] + offset, -1)
    return np.where(places < 0, count, places).astype(np.int64)
