"""Linear algebra (section 5.9), and products of matrices."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from ....errors import ShapeError
from .common import Operator, Tensor, numpy_operator
from .conv import channel_bias


def matmul(a: Tensor, b: Tensor, *, transposeA: bool = False, transposeB: bool = False) -> Tensor:
    """The product over the last two dimensions, where leading ones broadcast; ranks must be equal."""
    if a.dim() != b.dim() or a.dim() < 2:
        raise ShapeError(f"'A' and 'B' must have equal ranks of 2 at least, got {list(a.shape)} and {list(b.shape)}")
    return torch.matmul(a.transpose(-1, -2) if transposeA else a, b.transpose(-1, -2) if transposeB else b)


def linear(input: Tensor, filter: Tensor, bias: Tensor | None = None) -> Tensor:
    """input [N, I], filter [O, I], bias [1, O] -> [N, O]."""
    return F.linear(input, filter, channel_bias(bias, filter.shape[0]))


OPERATORS: dict[str, Operator] = {
    "matmul": matmul,
    "linear": linear,
    "inverse": numpy_operator("inverse"),
    "det": lambda x: torch.linalg.det(x),
}
