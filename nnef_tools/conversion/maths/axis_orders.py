"""Axis orders as pure functions over shapes and permutations.

N is the batch, C the channels, X the spatial axes: NCX is NNEF's and ONNX's order, NXC TensorFlow's; XCN and CXN occur
for filters (`HWIO` is XCN: spatial, input channels, output channels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

T = TypeVar("T")


def nxc_to_ncx_perm(rank: int) -> list[int]:
    """Permutation that makes NCX from NXC: `[0, 3, 1, 2]` for rank 4."""
    return [0, rank - 1, *range(1, rank - 1)] if rank > 1 else list(range(rank))


def ncx_to_nxc_perm(rank: int) -> list[int]:
    """`[0, 2, 3, 1]` for rank 4."""
    return [0, *range(2, rank), 1] if rank > 1 else list(range(rank))


def xcn_to_ncx_perm(rank: int) -> list[int]:
    """`[3, 2, 0, 1]` for rank 4."""
    return [rank - 1, rank - 2, *range(rank - 2)] if rank > 1 else list(range(rank))


def ncx_to_xcn_perm(rank: int) -> list[int]:
    """`[2, 3, 1, 0]` for rank 4."""
    return [*range(2, rank), 1, 0] if rank > 1 else list(range(rank))


def cxn_to_ncx_perm(rank: int) -> list[int]:
    """`[3, 0, 1, 2]` for rank 4."""
    return [rank - 1, *range(rank - 1)] if rank > 1 else list(range(rank))


def ncx_to_cxn_perm(rank: int) -> list[int]:
    """`[1, 2, 3, 0]` for rank 4."""
    return [*range(1, rank), 0] if rank > 1 else list(range(rank))


def permute(items: Sequence[T], perm: Sequence[int]) -> Sequence[T]:
    """The items in the order of the permutation; a tuple stays a tuple, anything else becomes a list."""
    moved = [items[k] for k in perm]
    return tuple(moved) if isinstance(items, tuple) else moved


@overload
def ensure_positive(axis: int, rank: int) -> int: ...
@overload
def ensure_positive(axis: Sequence[int], rank: int) -> Sequence[int]: ...
def ensure_positive(axis: int | Sequence[int], rank: int) -> int | Sequence[int]:
    """Counts negative axes from the end: `(-1, 4)` -> 3; lists and tuples item by item."""
    if isinstance(axis, tuple):
        return tuple(ensure_positive(item, rank) for item in axis)
    if isinstance(axis, Sequence):
        return [ensure_positive(item, rank) for item in axis]
    return axis + rank if axis < 0 else axis


def move_axis(axis: int | Sequence[int], perm: Sequence[int]) -> int | Sequence[int]:
    """The position of an axis after a transpose by `perm`; lists and tuples item by item."""
    axis = ensure_positive(axis, len(perm))
    if isinstance(axis, tuple):
        return tuple(perm.index(item) for item in axis)
    if isinstance(axis, Sequence):
        return [perm.index(item) for item in axis]
    return list(perm).index(axis)


def squeeze_shape(shape: Sequence[int], axes: Sequence[int]) -> Sequence[int]:
    """`((1, 3, 1, 4), [0, 2])` -> `(3, 4)`."""
    kept = [dim for k, dim in enumerate(shape) if k not in axes]
    return tuple(kept) if isinstance(shape, tuple) else kept


def unsqueeze_shape(shape: Sequence[int], axes: Sequence[int]) -> Sequence[int]:
    """`((3, 4), [0, 2])` -> `(1, 3, 1, 4)`; axes are positions in the result."""
    result = list(shape)
    for axis in sorted(axes):
        result.insert(axis, 1)
    return tuple(result) if isinstance(shape, tuple) else result
