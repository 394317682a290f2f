"""Reductions (section 5.7), running sums and products, and the best elements along an axis.

Reduced extents become 1; no axes at all is the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from .common import Ints, Operator, Tensor


def sum_reduce(input: Tensor, *, axes: Ints, normalize: bool = False) -> Tensor:
    """Sum, or with normalize the mean."""
    if not axes:
        return input
    return (torch.mean if normalize else torch.sum)(input, tuple(axes), keepdim=True)


def mean_reduce(input: Tensor, *, axes: Ints) -> Tensor:
    """Arithmetic mean."""
    return sum_reduce(input, axes=axes, normalize=True)


def moments(input: Tensor, *, axes: Ints) -> tuple[Tensor, Tensor]:
    """Mean and biased variance."""
    mean = mean_reduce(input, axes=axes)
    return mean, mean_reduce(torch.square(input - mean), axes=axes)


def _extreme(function: Callable[..., Tensor]) -> Operator:
    def reduce(input: Tensor, *, axes: Ints) -> Tensor:
        return function(input, tuple(axes), keepdim=True) if axes else input

    return reduce


def _position(function: Callable[..., Tensor]) -> Operator:
    """The index of the first extreme element; over several axes it is row-major, in ascending order of axes."""

    def reduce(input: Tensor, *, axes: Ints) -> Tensor:
        ordered = sorted(axes)
        if not ordered:
            return torch.zeros(input.shape, dtype=torch.int64, device=input.device)
        if len(ordered) == 1:
            return function(input, ordered[0], keepdim=True)
        kept = [dim for dim in range(input.dim()) if dim not in ordered]
        flat = input.permute(kept + ordered).reshape(
            *(input.shape[dim] for dim in kept), math.prod(input.shape[dim] for dim in ordered)
        )
        return function(flat, -1).reshape([1 if dim in ordered else n for dim, n in enumerate(input.shape)])

    return reduce


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
    """The k best elements, best first, and their positions; sorted stably, since `torch.topk` mixes equal ones."""
    values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), indices.narrow(axis, 0, k)


OPERATORS: dict[str, Operator] = {
    "sum_reduce": sum_reduce,
    "mean_reduce": mean_reduce,
    "moments": moments,
    "max_reduce": _extreme(torch.amax),
    "min_reduce": _extreme(torch.amin),
    "any_reduce": _extreme(torch.any),
    "all_reduce": _extreme(torch.all),
    "argmax_reduce": _position(torch.argmax),
    "argmin_reduce": _position(torch.argmin),
    "product_reduce": product_reduce,
    "cum_sum": cum_sum,
    "cum_prod": cum_prod,
    "top_k": top_k,
}
