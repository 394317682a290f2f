"""Our custom operations (`ops/extensions.nnef` says what they mean), where torch has what they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from ....ops import registry
from .common import Ints, Operator, Tensor, align, numpy_operator

_REDUCTIONS = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}


def product_reduce(input: Tensor, *, axes: Ints) -> Tensor:
    """Product over the axes."""
    for axis in axes:
        input = input.prod(axis, keepdim=True)
    return input


def _running(x: Tensor, accumulate: Operator, start: int, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    x = x.flip(axis) if reverse else x
    total: Tensor = accumulate(x, axis).to(x.dtype)
    if exclusive and total.shape[axis]:
        first = torch.full_like(total.narrow(axis, 0, 1), start)
        total = torch.cat([first, total.narrow(axis, 0, total.shape[axis] - 1)], axis)
    return total.flip(axis) if reverse else total


def cum_sum(x: Tensor, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running sum along an axis."""
    return _running(x, torch.cumsum, 0, axis, exclusive, reverse)


def cum_prod(x: Tensor, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running product along an axis."""
    return _running(x, torch.cumprod, 1, axis, exclusive, reverse)


def top_k(x: Tensor, *, k: int, axis: int, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k best elements, best first, and their positions; a stable sort, as `torch.topk` mixes equal elements."""
    values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), indices.narrow(axis, 0, k)


def _bitwise(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda x, y: function(*align(x, y))


def _normal_index(indices: Tensor, extent: int) -> Tensor:
    """Positions from [-extent, extent) as positions from [0, extent). ShapeError for others."""
    indices = indices.long()
    if indices.numel() and not (int(indices.min()) >= -extent and int(indices.max()) < extent):
        raise ShapeError(f"'indices' must lie in [{-extent}, {extent})")
    return torch.where(indices < 0, indices + extent, indices)


def gather_elements(input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """Elements at the positions that the indices name along the axis."""
    return torch.gather(input, axis, _normal_index(indices, input.shape[axis]))


def scatter_elements(input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str = "none") -> Tensor:
    """The input with updates at the positions that `gather_elements` reads."""
    return _scatter(input, axis, _normal_index(indices, input.shape[axis]), updates, reduction)


def _scatter(input: Tensor, axis: int, index: Tensor, updates: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return input.scatter(axis, index, updates.to(input.dtype))
    if reduction not in _REDUCTIONS:
        raise ShapeError(f"unknown 'reduction' '{reduction}'")
    return input.scatter_reduce(axis, index, updates.to(input.dtype), _REDUCTIONS[reduction], include_self=True)


def _flat_positions(indices: Tensor, extents: Sequence[int]) -> Tensor:
    """Index tuples in the last dimension as row-major positions in these extents: a vector."""
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=indices.device)
    for k, extent in enumerate(extents):
        flat = flat * extent + _normal_index(indices[..., k], extent)
    return flat.reshape(-1)


def gather_nd(input: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """The parts of the input that index tuples address, after the leading dimensions that both share."""
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


def grid_sample(
    input: Tensor,
    grid: Tensor,
    *,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """Interpolates the input at the positions of the grid."""
    modes = {4: {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}}
    modes[5] = {"linear": "bilinear", "nearest": "nearest"}
    known = modes.get(input.dim(), {}).get(mode)
    # torch rounds places after it has reflected them, ONNX before
    if known is None or (mode == "nearest" and padding_mode == "reflection"):
        result: Tensor = numpy_operator("grid_sample")(
            input, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners
        )
        return result
    return F.grid_sample(input, grid, known, padding_mode, align_corners)


def resize(
    input: Tensor,
    *,
    output_size: Ints,
    scales: Sequence[float] = (),
    extrapolation_value: float = 0.0,
    roi: Sequence[float] = (),
    coordinate_mode: str = "half_pixel",
    **attribs: object,
) -> Tensor:
    """Resizing is linear and separable: a matrix for each dimension, which the numpy kernel gives for unit vectors."""
    count = len(output_size)
    first = input.dim() - count
    if coordinate_mode == "tf_crop_and_resize":  # not linear: it can put a constant outside
        result: Tensor = numpy_operator("resize")(
            input,
            output_size=output_size,
            scales=scales,
            extrapolation_value=extrapolation_value,
            roi=roi,
            coordinate_mode=coordinate_mode,
            **attribs,
        )
        return result
    factors = dict(zip(range(input.dim() - len(scales), input.dim()), scales, strict=True))
    for dim, size in enumerate(output_size, first):
        extent = input.shape[dim]
        scale = factors.get(dim)
        real = np.float64 if input.dtype == torch.float64 else np.float32
        weights = _resize_matrix(extent, size, scale, coordinate_mode, real, tuple(sorted(attribs.items())))
        if size == extent and np.array_equal(weights, np.eye(extent)):
            continue
        if attribs.get("mode", "nearest") == "nearest":
            index = torch.from_numpy(np.argmax(weights, axis=1)).to(input.device)
            input = input.index_select(dim, index)
        else:
            matrix = torch.from_numpy(weights).to(input)
            input = torch.matmul(input.movedim(dim, -1), matrix.T).movedim(-1, dim)
    return input


@lru_cache(maxsize=64)
def _resize_matrix(
    extent: int,
    size: int,
    scale: float | None,
    coordinate_mode: str,
    real: type,
    attribs: tuple[tuple[str, object], ...],
) -> np.ndarray[Any, Any]:
    """[size, extent]: what each result takes of each element."""
    definition = registry.find("resize")
    assert definition is not None
    units: np.ndarray[Any, Any] = np.eye(extent, dtype=real)
    columns = definition.run(
        units,
        output_size=[size],
        scales=[] if scale is None else [scale],
        coordinate_mode=coordinate_mode,
        **dict(attribs),
    )
    return np.ascontiguousarray(columns.T, real)


OPERATORS: dict[str, Operator] = {
    "erf": lambda x: torch.erf(x),
    "product_reduce": product_reduce,
    "cum_sum": cum_sum,
    "cum_prod": cum_prod,
    "fmod": lambda x, y: torch.fmod(*align(x, y)),
    "top_k": top_k,
    "inverse": numpy_operator("inverse"),
    "det": lambda x: torch.linalg.det(x),
    "bitwise_and": _bitwise(torch.bitwise_and),
    "bitwise_or": _bitwise(torch.bitwise_or),
    "bitwise_xor": _bitwise(torch.bitwise_xor),
    "bitwise_not": lambda x: torch.bitwise_not(x),
    "shift_left": _bitwise(torch.bitwise_left_shift),
    "shift_right": _bitwise(torch.bitwise_right_shift),
    "gather_elements": gather_elements,
    "gather_nd": gather_nd,
    "scatter_elements": scatter_elements,
    "scatter_nd": scatter_nd,
    "grid_sample": grid_sample,
    "resize": resize,
}
