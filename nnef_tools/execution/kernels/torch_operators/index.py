"""Operators that gather and scatter by index tensors (section 5.8, and custom ones)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ....errors import ShapeError
from .common import Operator, Tensor

_REDUCTIONS = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}


def gather(input: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Elements at the indices along an axis, which the shape of the indices replaces."""
    flat = indices.reshape(-1).long()
    if flat.numel() and int(flat.min()) < 0:
        raise ShapeError("'indices' must not be negative")
    found = input.index_select(axis, flat)
    return found.reshape([*input.shape[:axis], *indices.shape, *input.shape[axis + 1 :]])


def _normal_index(indices: Tensor, extent: int) -> Tensor:
    """Positions in [-extent, extent) as positions in [0, extent). ShapeError for others."""
    indices = indices.long()
    if indices.numel() and not (int(indices.min()) >= -extent and int(indices.max()) < extent):
        raise ShapeError(f"'indices' must lie in [{-extent}, {extent})")
    return torch.where(indices < 0, indices + extent, indices)


def gather_elements(input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """The elements at the positions given by the indices along the axis."""
    return torch.gather(input, axis, _normal_index(indices, input.shape[axis]))


def scatter_elements(input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str = "none") -> Tensor:
    """The input with updates at the positions that `gather_elements` would read."""
    return _scatter(input, axis, _normal_index(indices, input.shape[axis]), updates, reduction)


def _scatter(input: Tensor, axis: int, index: Tensor, updates: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return input.scatter(axis, index, updates.to(input.dtype))
    if reduction not in _REDUCTIONS:
        raise ShapeError(f"unknown 'reduction' '{reduction}'")
    return input.scatter_reduce(axis, index, updates.to(input.dtype), _REDUCTIONS[reduction], include_self=True)


def _flat_positions(indices: Tensor, extents: Sequence[int]) -> Tensor:
    """A vector of row-major positions in these extents, from index tuples in the last dimension."""
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=indices.device)
    for k, extent in enumerate(extents):
        flat = flat * extent + _normal_index(indices[..., k], extent)
    return flat.reshape(-1)


def gather_nd(input: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """The parts of the input that index tuples address, after the common leading dimensions."""
    depth = indices.shape[-1]
    addressed = input.shape[batch_dims : batch_dims + depth]
    rest = input.shape[batch_dims + depth :]
    batch = math.prod(input.shape[:batch_dims])
    flat = _flat_positions(indices, addressed).reshape(batch, -1)
    offset = torch.arange(batch, device=input.device)[:, None] * math.prod(addressed)
    rows = input.reshape(batch * math.prod(addressed), *rest)
    return rows[(flat + offset).reshape(-1)].reshape([*indices.shape[:-1], *rest])


def scatter_nd(input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """The input with updates at the parts that index tuples address."""
    depth = indices.shape[-1]
    rows = math.prod(input.shape[:depth])
    width = math.prod(input.shape[depth:])
    index = _flat_positions(indices, input.shape[:depth])[:, None].expand(-1, width)
    result = _scatter(input.reshape(rows, width), 0, index, updates.reshape(-1, width), reduction)
    return result.reshape(input.shape)


OPERATORS: dict[str, Operator] = {
    "gather": gather,
    "gather_elements": gather_elements,
    "gather_nd": gather_nd,
    "scatter_elements": scatter_elements,
    "scatter_nd": scatter_nd,
}
