"""Matrix products."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.einsum import einsum
from ...engine.rules import to_nnef
from ..common import reshape, right_aligned, shape, squeeze, unsqueeze


@to_nnef("onnx", "MatMul")
def matmul(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """MatMul -> matmul; operands of rank 1 are a row on the left and a column on the right, as in numpy."""
    row, column = len(shape(x)) == 1, len(shape(y)) == 1
    if not shape(x) or not shape(y):
        raise Unsupported("operands of rank 0")
    x = unsqueeze(b, x, [0]) if row else x
    y = unsqueeze(b, y, [1]) if column else y
    rank = max(len(shape(x)), len(shape(y)))
    x = unsqueeze(b, x, range(rank - len(shape(x))))
    y = unsqueeze(b, y, range(rank - len(shape(y))))
    z: Tensor = b.matmul(x, y)
    dropped = ([rank - 2] if row else []) + ([rank - 1] if column else [])
    return squeeze(b, z, dropped)


@to_nnef("onnx", "Gemm")
def gemm(
    b: Builder,
    a: Tensor,
    w: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Tensor:
    """Gemm: alpha * A * B + beta * C; linear where that is all, else matmul, mul and add.

    broadcast only told, up to version 6, that C has another shape than the result.
    """
    if len(shape(a)) != 2 or len(shape(w)) != 2:
        raise Unsupported(f"operands must be matrices, got shapes {shape(a)} and {shape(w)}")
    columns = shape(w)[0 if transB else 1]
    row_bias = c is not None and shape(c) in ([columns], [1, columns]) and beta == 1.0
    if alpha == 1.0 and not transA and transB and c is not None and row_bias:
        return b.linear(a, w, reshape(b, c, [1, columns]))
    z: Tensor = b.matmul(a, w, transposeA=bool(transA), transposeB=bool(transB))
    if alpha != 1.0:
        z = b.mul(z, alpha)
    if c is None or beta == 0.0:
        return z
    bias = right_aligned(b, c, 2)
    return b.add(z, bias if beta == 1.0 else b.mul(bias, beta))


@to_nnef("onnx", "Einsum", since=12)
def einsum_of(b: Builder, *xs: Tensor, equation: str) -> Tensor:
    """Einsum in every form."""
    return einsum(b, xs, equation)


@to_nnef("onnx", "Det", since=11)
def det(b: Builder, x: Tensor) -> Tensor:
    """Det -> det."""
    return b.det(x)


@to_nnef("onnx", "Inverse", domain="com.microsoft")
def inverse(b: Builder, x: Tensor) -> Tensor:
    """Inverse -> inverse."""
    return b.inverse(x)
