"""Operations that gather and scatter by index tensors: `gather` (section 5.8), and custom ones of `extensions.nnef`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .axes import check_axis, check_indices, normal_axis
from .broadcast import Array
from .checks import check, check_choice
from .definition import op
from .precision import ieee

Shape = Sequence[int]

_COMBINE: dict[str, Any] = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
REDUCTIONS = ("none", *_COMBINE)


def _gather_shape(input: Shape, indices: Shape, *, axis: int = 0) -> list[int]:
    check_axis(axis, len(input))
    return [*input[:axis], *indices, *input[axis + 1 :]]


@op("gather", shape=_gather_shape)
def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Takes the given positions along an axis, which is replaced by the dimensions of `indices`."""
    index = np.asarray(indices)
    check_axis(axis, x.ndim)
    check_indices(index, 0, x.shape[axis], f"axis {axis} of shape {list(x.shape)}")
    return np.take(x, index, axis)


# custom ones


def _check_elements(input: Shape, indices: Shape, axis: int) -> int:
    axis = normal_axis(axis, len(input))
    check(
        len(indices) == len(input) and all(i == axis or indices[i] <= input[i] for i in range(len(input))),
        f"'indices' must have the rank of the input, and no larger extents except along axis {axis}; "
        f"got shapes {list(indices)} and {list(input)}",
    )
    return axis


def _element_index(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """The numpy index of the elements: the indices along the axis, and their own positions elsewhere."""
    axis = normal_axis(axis, x.ndim)
    extent = x.shape[axis]
    check_indices(indices, -extent, extent, f"axis {axis} of shape {list(x.shape)}")
    index = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    index[axis] = indices
    return tuple(index)


def _gather_elements_shape(input: Shape, indices: Shape, *, axis: int) -> list[int]:
    _check_elements(input, indices, axis)
    return list(indices)


@op("gather_elements", shape=_gather_elements_shape)
def gather_elements(x: Array, indices: Array, *, axis: int) -> Array:
    """One element of the input for each index along the axis."""
    return np.asarray(x[_element_index(x, indices, axis)])


def _check_tuples(input: Shape, indices: Shape, batch_dims: int) -> None:
    most = min(len(input), len(indices) - 1)
    check(len(indices) > 0, "'indices' must have rank 1 at least")
    check(
        0 <= batch_dims <= most and list(input[:batch_dims]) == list(indices[:batch_dims]),
        f"'batch_dims' {batch_dims} must lie in [0, {most}] and these extents must be equal; "
        f"got shapes {list(input)} and {list(indices)}",
    )
    check(
        1 <= indices[-1] <= len(input) - batch_dims,
        f"index tuples (last dimension of 'indices', shape {list(indices)}) must have 1 to {len(input) - batch_dims} "
        f"items for input shape {list(input)} and batch_dims = {batch_dims}",
    )


def _tuple_index(x: Array, indices: Array, batch_dims: int) -> tuple[Array, ...]:
    """The numpy index that reads the parts of the input that the tuples address."""
    parts = np.moveaxis(indices, -1, 0)
    for axis, part in enumerate(parts, batch_dims):
        check_indices(part, -x.shape[axis], x.shape[axis], f"axis {axis} of shape {list(x.shape)}")
    batch = np.ogrid[tuple(slice(n) for n in parts.shape[1:])][:batch_dims]
    return (*batch, *parts)


def _gather_nd_shape(input: Shape, indices: Shape, *, batch_dims: int = 0) -> list[int]:
    _check_tuples(input, indices, batch_dims)
    return [*indices[:-1], *input[batch_dims + indices[-1] :]]


@op("gather_nd", shape=_gather_nd_shape)
def gather_nd(x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """The parts of the input that index tuples address."""
    return np.asarray(x[_tuple_index(x, indices, batch_dims)])


def _scatter(x: Array, index: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    result: Array = x.copy()
    if reduction == "none":
        result[index] = updates
    else:
        _COMBINE[reduction].at(result, index, updates)
    return result


def _scatter_elements_shape(
    input: Shape, indices: Shape, updates: Shape, *, axis: int, reduction: str = "none"
) -> list[int]:
    check_choice("reduction", reduction, REDUCTIONS)
    _check_elements(input, indices, axis)
    _check_updates(updates, indices)
    return list(input)


def _check_updates(updates: Shape, expected: Shape) -> None:
    check(list(updates) == list(expected), f"'updates' must have shape {list(expected)}, got {list(updates)}")


def _floats_of(run: Callable[..., Array]) -> Callable[..., Array]:
    """The kernel that combines half precision in float32, but replaces items unchanged."""
    wide = ieee(run, arithmetic=True)

    def kernel(x: Array, indices: Array, updates: Array, **attribs: Any) -> Array:
        scatter = run if attribs.get("reduction", "none") == "none" else wide
        result: Array = scatter(x, indices, updates.astype(x.dtype, copy=False), **attribs)
        return result

    return kernel


@op("scatter_elements", shape=_scatter_elements_shape)
@_floats_of
def scatter_elements(x: Array, indices: Array, updates: Array, *, axis: int, reduction: str = "none") -> Array:
    """The input with single elements along the axis replaced or combined."""
    return _scatter(x, _element_index(x, indices, axis), updates, reduction)


def _scatter_nd_shape(input: Shape, indices: Shape, updates: Shape, *, reduction: str = "none") -> list[int]:
    check_choice("reduction", reduction, REDUCTIONS)
    _check_updates(updates, _gather_nd_shape(input, indices))
    return list(input)


@op("scatter_nd", shape=_scatter_nd_shape)
@_floats_of
def scatter_nd(x: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """The input with the parts that index tuples address replaced or combined."""
    return _scatter(x, _tuple_index(x, indices, 0), updates, reduction)
