"""Linear algebra (section 5.9, and of matrices)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .broadcast import Array, broadcast_shape
from .checks import check, check_rank
from .definition import op


def _matmul_shape(
    a: Sequence[int], b: Sequence[int], *, transposeA: bool = False, transposeB: bool = False
) -> list[int]:
    check(len(a) == len(b), f"'A' and 'B' must have equal ranks, got shapes {list(a)} and {list(b)}")
    check(len(a) >= 2, f"'A' and 'B' must have rank 2 at least, got shapes {list(a)} and {list(b)}")
    rows, inner = reversed(a[-2:]) if transposeA else a[-2:]
    other, columns = reversed(b[-2:]) if transposeB else b[-2:]
    check(
        inner == other,
        f"inner extents of 'A' and 'B' must agree, got {inner} and {other} from shapes {list(a)} and {list(b)} "
        f"with transposeA = {transposeA}, transposeB = {transposeB}",
    )
    return [*broadcast_shape(a[:-2], b[:-2]), rows, columns]


def _matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any], attribs: Mapping[str, Any]) -> int:
    inner = inputs[0][-2 if attribs.get("transposeA") else -1]
    return int(math.prod(outputs[0]) * inner)


@op("matmul", shape=_matmul_shape, macs=_matmul_macs)
def matmul(a: Array, b: Array, *, transposeA: bool = False, transposeB: bool = False) -> Array:
    """Products of the matrices in the last two dimensions; the leading ones broadcast."""
    left = a.swapaxes(-1, -2) if transposeA else a
    right = b.swapaxes(-1, -2) if transposeB else b
    return np.asarray(left @ right)


def _linear_shape(input: Sequence[int], filter: Sequence[int], bias: Sequence[int] = ()) -> list[int]:
    check_rank("input", input, 2)
    check_rank("filter", filter, 2)
    check(
        input[1] == filter[1],
        f"'input' and 'filter' must have equal extents in dimension 1, got shapes {list(input)} and {list(filter)}",
    )
    check(
        math.prod(bias) == 1 or list(bias) == [1, filter[0]],
        f"'bias' must have shape {[1, filter[0]]} or be a single value, got shape {list(bias)}",
    )
    return [input[0], filter[0]]


def _linear_macs(inputs: Sequence[Any], outputs: Sequence[Any], _attribs: Mapping[str, Any]) -> int:
    return int(math.prod(outputs[0]) * inputs[1][-1])


@op("linear", shape=_linear_shape, macs=_linear_macs)
def linear(input: Array, filter: Array, bias: Any = 0.0) -> Array:
    """input [N, I] times the transposed filter [O, I], plus bias [1, O]."""
    return np.asarray(input @ filter.T + np.reshape(bias, (1, -1)))


def _det_shape(x: Sequence[int]) -> list[int]:
    check(len(x) >= 2 and x[-1] == x[-2], f"'x' must hold square matrices in its last dimensions, got shape {list(x)}")
    return list(x[:-2])


def _det_macs(inputs: Sequence[Any], _outputs: Sequence[Any], _attribs: Mapping[str, Any]) -> int:
    """Those of an elimination: (n - 1)^2 + .. + 1 for a matrix of n rows."""
    *batch, n, _ = inputs[0]
    return int(math.prod(batch) * ((n - 1) * n * (2 * n - 1) // 6))


@op("det", shape=_det_shape, macs=_det_macs)
def det(x: Array) -> Array:
    """Determinant of the matrices in the last two dimensions."""
    return np.asarray(np.linalg.det(x))


def _inverse_shape(x: Sequence[int]) -> list[int]:
    return [*_det_shape(x), *x[-2:]]


def _inverse_macs(inputs: Sequence[Any], _outputs: Sequence[Any], _attribs: Mapping[str, Any]) -> int:
    """Those of an elimination in all rows: n^3 for a matrix of n rows."""
    return int(math.prod(inputs[0]) * inputs[0][-1])


@op("inverse", shape=_inverse_shape, macs=_inverse_macs)
def inverse(x: Array) -> Array:
    """Inverse of the matrices in the last two dimensions; NaN where there is none."""
    try:
        return np.asarray(np.linalg.inv(x))
    except np.linalg.LinAlgError:
        regular = np.linalg.det(x) != 0
        safe = np.where(regular[..., None, None], x, np.eye(x.shape[-1], dtype=x.dtype))
        return np.where(regular[..., None, None], np.linalg.inv(safe), np.nan).astype(x.dtype)
