"""Reductions (section 5.7): reduced extents become 1; no axes at all is the identity."""

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
    """Index of the first extreme element; over several axes row-major in ascending order of axes."""

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
}
