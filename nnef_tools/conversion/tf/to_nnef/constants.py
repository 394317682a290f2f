"""Operators that no NNEF operation computes, on constants: windows, random projections, distributions, whitening."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from ....budget import ask_extent
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef

Array = np.ndarray[Any, Any]


def _known(b: Builder, x: Tensor) -> Array:
    """The value of an operand. Unsupported if it depends on inputs of the model."""
    value = b.value(x)
    if value is None:
        raise Unsupported("no NNEF operation computes this function; of constants it is known")
    return value


def _value(b: Builder, x: Tensor) -> Array:
    """The value of a real operand in double precision."""
    return _known(b, x).astype(np.float64)


def _rounded(b: Builder, value: Any, dtype: Any) -> Tensor:
    with np.errstate(over="ignore"):
        return b.constant(np.asarray(value).astype(dtype))


def _elementwise(type: str, function: Callable[[float], float]) -> None:
    @to_nnef("tf", type)
    def convert(b: Builder, x: Tensor) -> Tensor:
        value = _value(b, x)
        ask_extent(value.size, "its operand")
        items = [function(item) for item in value.reshape(-1).tolist()]
        return _rounded(b, np.asarray(items, np.float64).reshape(value.shape), x.dtype)

    convert.__doc__ = f"{type} of constants."


def bessel_i0e(x: float) -> float:
    """exp(-abs(x)) I0(x), the modified Bessel function; by its asymptotic series where exp(x) is too large."""
    x = abs(x)
    if x >= 600:
        return (1 + 1 / (8 * x) + 9 / (128 * x * x)) / math.sqrt(2 * math.pi * x)
    return float(np.i0(x)) * math.exp(-x)


def _lgamma(x: float) -> float:
    if x == math.floor(x) and x <= 0:
        return math.inf
    return math.lgamma(x)


def _ndtri(p: float) -> float:
    """The quantile of the normal distribution."""
    if not 0 < p < 1:
        return -math.inf if p == 0 else math.inf if p == 1 else math.nan
    return NormalDist().inv_cdf(p)


_elementwise("BesselI0", lambda x: float(np.i0(x)))
_elementwise("BesselI0e", bessel_i0e)
_elementwise("Lgamma", _lgamma)
_elementwise("Ndtri", _ndtri)
_elementwise("Erfinv", lambda x: _ndtri((x + 1) / 2) / math.sqrt(2))


@to_nnef("tf", "NextAfter")
def next_after(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """NextAfter of constants."""
    return b.constant(np.nextafter(_known(b, x), _known(b, y)))


@to_nnef("tf", "PopulationCount")
def population_count(b: Builder, x: Tensor) -> Tensor:
    """PopulationCount of constants: the number of bits that are set."""
    value = _known(b, x)
    ask_extent(value.size, "its operand")
    bits = value.dtype.itemsize * 8
    items = [bin(item & (1 << bits) - 1).count("1") for item in value.reshape(-1).tolist()]
    return _rounded(b, np.asarray(items).reshape(value.shape), np.uint8)


# matrices


def _solved(function: Callable[..., Any], *matrices: Array) -> Any:
    try:
        return function(*matrices)
    except np.linalg.LinAlgError as error:
        raise Unsupported(f"the constant matrix has no solution: {error}") from error


@to_nnef("tf", "Cholesky")
def cholesky(b: Builder, x: Tensor) -> Tensor:
    """Cholesky of constants; the upper triangle is ignored."""
    value = np.tril(_value(b, x))
    return _rounded(b, _solved(np.linalg.cholesky, value + np.swapaxes(np.tril(value, -1), -1, -2)), x.dtype)


@to_nnef("tf", "MatrixSolve")
def matrix_solve(b: Builder, matrix: Tensor, right: Tensor, *, adjoint: bool = False) -> Tensor:
    """MatrixSolve of constants."""
    value = _value(b, matrix)
    return _rounded(
        b, _solved(np.linalg.solve, value.swapaxes(-1, -2) if adjoint else value, _value(b, right)), right.dtype
    )


@to_nnef("tf", "MatrixTriangularSolve")
def matrix_triangular_solve(
    b: Builder, matrix: Tensor, right: Tensor, *, lower: bool = True, adjoint: bool = False
) -> Tensor:
    """MatrixTriangularSolve of constants; the other triangle is ignored."""
    value = np.tril(_value(b, matrix)) if lower else np.triu(_value(b, matrix))
    return _rounded(
        b, _solved(np.linalg.solve, value.swapaxes(-1, -2) if adjoint else value, _value(b, right)), right.dtype
    )


@to_nnef("tf", "LogMatrixDeterminant")
def log_matrix_determinant(b: Builder, x: Tensor) -> tuple[Tensor, Tensor]:
    """LogMatrixDeterminant of constants: the sign, and the logarithm of the absolute value."""
    sign, logarithm = np.linalg.slogdet(_value(b, x))
    return _rounded(b, sign, x.dtype), _rounded(b, logarithm, x.dtype)
