"""The error function, which numpy lacks."""

from __future__ import annotations

import numpy as np

from .broadcast import Array

# Rational approximations of W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of
# Computation 23 (1969); relative error below 2^-53. Coefficients from the highest power down.
_SMALL_P = (1.85777706184603153e-1, 3.16112374387056560e00, 1.13864154151050156e02, 3.77485237685302021e02,
            3.20937758913846947e03)  # fmt: skip
_SMALL_Q = (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
_MIDDLE_P = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e00, 6.61191906371416295e01,
             2.98635138197400131e02, 8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03,
             1.23033935479799725e03)  # fmt: skip
_MIDDLE_Q = (1.0, 1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
             3.29079923573345963e03, 4.36261909014324716e03, 3.43936767414372164e03,
             1.23033935480374942e03)  # fmt: skip
_SMALL_LIMIT = 0.46875
_ONE_LIMIT = 6.0  # from here on erf is 1 in float64
_BLOCK = 1 << 13  # number of elements at a time, so that the many passes stay in the cache


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result


def erf(x: Array) -> Array:
    """2 / sqrt(pi) * integral of e^(-t^2) from 0 to x, computed in float64 and rounded to the type of x."""
    result = np.empty(x.shape, x.dtype)
    source, target = np.ascontiguousarray(x).reshape(-1), result.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        target[start : start + _BLOCK] = _erf_block(source[start : start + _BLOCK].astype(np.float64))
    return result


def _erf_block(x: Array) -> Array:
    magnitude = np.abs(x)
    result = np.sign(x)  # also keeps not-a-number
    small = magnitude <= _SMALL_LIMIT
    part = x[small]
    square = np.square(part)
    result[small] = part * _polynomial(_SMALL_P, square) / _polynomial(_SMALL_Q, square)
    middle = (magnitude > _SMALL_LIMIT) & (magnitude < _ONE_LIMIT)
    part = magnitude[middle]
    result[middle] *= 1 - np.exp(-np.square(part)) * _polynomial(_MIDDLE_P, part) / _polynomial(_MIDDLE_Q, part)
    return result
