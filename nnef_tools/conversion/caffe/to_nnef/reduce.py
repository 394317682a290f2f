"""Reductions, and the positions of maxima."""

from __future__ import annotations

import math

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import positive, reshape, shape
from ...compose.slicing import joined
from ...engine.rules import to_nnef
from .move import reversed_axis


@to_nnef("caffe", "Reduction")
def reduction(b: Builder, x: Tensor, *, operation: str = "SUM", axis: int = 0, coeff: float = 1.0) -> Tensor:
    """Reduction: the axes from `axis` on, which the result lacks, times a factor."""
    own = shape(x)
    first = positive(axis, len(own))
    axes = list(range(first, len(own)))
    if operation == "MEAN":
        y = b.mean_reduce(x, axes=axes)
    elif operation in ("SUM", "ASUM", "SUMSQ"):
        y = b.sum_reduce({"SUM": lambda t: t, "ASUM": b.abs, "SUMSQ": b.sqr}[operation](x), axes=axes)
    else:
        raise Unsupported(f"operation {operation} is not known")
    y = b.squeeze(y, axes=axes)
    return y if coeff == 1 else b.mul(y, coeff)


@to_nnef("caffe", "ArgMax")
def arg_max(b: Builder, x: Tensor, *, out_max_val: bool = False, top_k: int = 1, axis: int | None = None) -> Tensor:
    """ArgMax: positions of the largest items along an axis, or of all behind the batch; of equal ones the last.

    out_max_val: values instead, or beside the positions if there is no axis.
    """
    own = shape(x)
    flat = x if axis is not None else reshape(b, x, [own[0], math.prod(own[1:])])
    k = 1 if axis is None else positive(axis, len(own))
    extent = shape(flat)[k]
    if not 1 <= top_k <= extent:
        raise InvalidOperator(f"top_k {top_k} of {extent} items")
    turned = reversed_axis(b, flat, k)
    if top_k == 1 and not out_max_val:
        values, index = None, b.argmax_reduce(turned, axes=[k])
    else:
        values, index = b.top_k(turned, k=top_k, axis=k)
    place = b.sub(float(extent - 1), b.cast(index, np.float32))
    if axis is not None:
        return place if values is None or not out_max_val else values
    rank = max(len(own), 3)
    results = [place] if values is None or not out_max_val else [place, values]
    return joined(b, [reshape(b, t, [own[0], 1, top_k, *[1] * (rank - 3)]) for t in results], 1)
