"""NNEF to Caffe2: matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ..building import Caffe2Builder


@from_nnef("caffe2", "matmul")
def matmul(b: Caffe2Builder, A: Tensor, B: Tensor, *, transposeA: bool = False, transposeB: bool = False) -> Tensor:
    """matmul -> MatMul for matrices, BatchMatMul for stacks of them."""
    turned: dict[str, Any] = {"trans_a": int(transposeA), "trans_b": int(transposeB)}
    rows = shape(A)[-1 if transposeA else -2]
    columns = shape(B)[-2 if transposeB else -1]
    if len(shape(A)) == 2:
        return known(b.op("MatMul", A, B, **turned), [rows, columns])
    outer = np.broadcast_shapes(tuple(shape(A)[:-2]), tuple(shape(B)[:-2]))
    return known(b.op("BatchMatMul", A, B, **turned, broadcast=1), [*outer, rows, columns])


@from_nnef("caffe2", "linear")
def linear(b: Caffe2Builder, input: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    """linear -> FC."""
    units = shape(filter)[0]
    rows = b.per_channel(bias, units)
    plain = rows is None or is_number(bias, 0.0)
    vector = b.constant(np.zeros(units), np.float32) if plain else rows
    y = known(b.op("FC", input, filter, vector), [shape(input)[0], units])
    return b.nnef.add(y, bias) if rows is None else y
