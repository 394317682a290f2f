"""Inner products and embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....errors import InvalidOperator
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, positive, reshape, shape, transpose, unsqueeze
from ...compose.slicing import reshape_inferred
from ...engine.rules import to_nnef


@to_nnef("caffe", "InnerProduct")
def inner_product(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    num_output: int,
    bias_term: bool = True,
    axis: int = 1,
    transpose: bool = False,
) -> Tensor:
    """InnerProduct -> linear on the axes from `axis` on, which are taken as one; those before stay."""
    own = shape(x)
    first = positive(axis, len(own))
    count = math.prod(own[first:])
    expected = [count, num_output] if transpose else [num_output, count]
    if shape(w) != expected:
        raise InvalidOperator(f"its weights have shape {shape(w)}, but input and parameters ask for {expected}")
    if bias_term != (bias is not None) or (bias is not None and shape(bias) != [num_output]):
        raise InvalidOperator(f"bias_term is {bias_term}, but its bias has shape {bias and shape(bias)}")
    matrix = _transposed(b, w) if transpose else w
    offset: Any = 0.0 if bias is None else channels(b, bias)
    y = b.linear(reshape_inferred(b, x, [math.prod(own[:first]), count]), matrix, offset)
    return y if first == 1 else reshape(b, y, [*own[:first], num_output])


def _transposed(b: Builder, w: Tensor) -> Tensor:
    return transpose(b, w, [1, 0])


@to_nnef("caffe", "Embed")
def embed(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    num_output: int,
    input_dim: int,
    bias_term: bool = True,
) -> Tensor:
    """Embed: the rows of the weights at positions that are given as floats."""
    if shape(w) != [input_dim, num_output]:
        raise InvalidOperator(
            f"its weights have shape {shape(w)}, but its parameters ask for {[input_dim, num_output]}"
        )
    if bias_term != (bias is not None) or (bias is not None and shape(bias) != [num_output]):
        raise InvalidOperator(f"bias_term is {bias_term}, but its bias has shape {bias and shape(bias)}")
    y = b.gather(w, b.cast(x, np.int64), axis=0)
    return y if bias is None else b.add(y, unsqueeze(b, bias, range(len(shape(x)))))
