"""Resampling of axes by constant linear maps: standard operations where these compute the same.

A map is a matrix of weights `[size, extent]`: y[i] = sum over k of matrix[i, k] * x[k] along its axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..model import Tensor
from ..model.dtypes import nnef_dtype
from ..ops.inference import evaluate
from .along import take, weighted_sum
from .build import shape
from .builder import Builder

Matrix = np.ndarray[Any, Any]

TOLERANCE = 1e-6
"""Largest difference of weights: those of float32 coordinates differ by rounding from exact ones."""

STANDARD: tuple[tuple[str, dict[str, str]], ...] = (
    ("nearest_upsample", {}),
    ("nearest_downsample", {}),
    *(("multilinear_upsample", {"method": m, "border": "replicate"}) for m in ("symmetric", "asymmetric", "aligned")),
    ("area_downsample", {}),
)


def resampled(b: Builder, x: Tensor, axes: Mapping[int, Matrix]) -> Tensor:
    """x with the maps applied: one standard operation, else an axis after the other.

    axes: axis -> matrix. Channels must be in second place for a standard operation to be found.
    """
    changed = {axis: m for axis, m in axes.items() if not _is_identity(m)}
    if not changed:
        return x
    standard = _standard(b, x, changed)
    if standard is not None:
        return standard
    for axis, matrix in changed.items():
        if _picks(matrix):
            x = take(b, x, axis, matrix.argmax(axis=1))
        else:
            x = weighted_sum(b, x, axis, matrix)
    return x


def _is_identity(matrix: Matrix) -> bool:
    return matrix.shape[0] == matrix.shape[1] and bool(np.array_equal(matrix, np.eye(len(matrix))))


def _picks(matrix: Matrix) -> bool:
    """Is each result one of the elements?"""
    return bool(np.all((matrix == 0) | (matrix == 1)) and np.all(matrix.sum(axis=1) == 1))


def _standard(b: Builder, x: Tensor, axes: Mapping[int, Matrix]) -> Tensor | None:
    rank = len(shape(x))
    if rank < 3 or nnef_dtype(x.dtype) != "scalar" or min(axes) < 2:
        return None
    for name, attribs in STANDARD:
        if all(_equals(name, attribs, matrix) for matrix in axes.values()):
            factors = [_ratio(axes[k]) if k in axes else 1 for k in range(2, rank)]
            return b.single(name, x, factor=factors, **attribs)
    return None


def _ratio(matrix: Matrix) -> int:
    size, extent = len(matrix), len(matrix[0])
    return max(extent // size, size // extent)


def _equals(name: str, attribs: Mapping[str, Any], matrix: Matrix) -> bool:
    """Does the standard operation compute the same along an axis? Told by what it does to unit vectors."""
    size, extent = matrix.shape
    if (size % extent if "upsample" in name else extent % size) != 0:
        return False
    result = evaluate(name, [np.eye(extent)[None]], {"factor": [_ratio(matrix)], **attribs})
    return bool(np.allclose(np.asarray(result)[0], matrix.T, rtol=0, atol=TOLERANCE))
