"""Complex numbers while converting: a pair of real tensors. NNEF has real tensors only.

A part that is known to be zero, as the imaginary part of what was real before, makes no operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...model import Tensor
from .nnef import Builder
from .shapes import aligned, shape

Array = np.ndarray[Any, Any]
Part = Tensor | None
"""Real or imaginary part; None for zeros."""


@dataclass(frozen=True)
class ComplexPair:
    """re, im: of one shape and type."""

    re: Tensor
    im: Tensor
    name: ClassVar[str] = ""  # it stands among the target tensors, but has no name and no place in the graph
    graph: ClassVar[None] = None
    data: ClassVar[None] = None

    @property
    def shape(self) -> Any:
        """The extents of both parts."""
        return self.re.shape

    @property
    def rank(self) -> int | None:
        """The number of dimensions of both parts."""
        return self.re.rank

    @property
    def dtype(self) -> type:
        """The class of complex numbers whose parts have the type."""
        return np.complex128 if self.re.dtype is np.float64 else np.complex64


def is_complex(dtype: Any) -> bool:
    """Is the class one of complex numbers?"""
    return isinstance(dtype, type) and issubclass(dtype, np.complexfloating)


def part_type(dtype: Any) -> type:
    """The class of the parts of complex numbers of the class."""
    return np.float64 if dtype is np.complex128 else np.float32


def constant_pair(b: Builder, value: Array) -> ComplexPair:
    """The parts of a complex constant."""
    return ComplexPair(b.constant(value.real), b.constant(value.imag))


def zeros_like(b: Builder, x: Tensor) -> Tensor:
    """Zeros of the shape and type, which take no memory."""
    return b.constant(np.broadcast_to(np.zeros((), x.dtype), shape(x)))


def real_pair(b: Builder, x: Tensor) -> ComplexPair:
    """A real tensor as complex numbers."""
    return ComplexPair(x, zeros_like(b, x))


def parts(b: Builder, z: ComplexPair) -> tuple[Part, Part]:
    """Both parts, None where all is zero."""
    return _unless_zero(b, z.re), _unless_zero(b, z.im)


def _unless_zero(b: Builder, x: Tensor) -> Part:
    value = b.value(x)
    return x if value is None or value.any() else None


def pair_of(b: Builder, re: Part, im: Part, like: Tensor) -> ComplexPair:
    """The pair of parts that may be zero. like: has shape and type of both if both are."""
    known = re if re is not None else im if im is not None else like
    zeros = zeros_like(b, known) if re is None or im is None else known
    return ComplexPair(zeros if re is None else re, zeros if im is None else im)


# arithmetic on parts


def plus(b: Builder, x: Part, y: Part) -> Part:
    """x + y of equal shapes."""
    if x is None or y is None:
        return y if x is None else x
    result: Tensor = b.add(x, y)
    return result


def minus(b: Builder, x: Part, y: Part) -> Part:
    """x - y of equal shapes."""
    if y is None:
        return x
    result: Tensor = b.neg(y) if x is None else b.sub(x, y)
    return result


def times(b: Builder, x: Part, y: Part) -> Part:
    """x * y, broadcast as numpy does."""
    if x is None or y is None:
        return None
    result: Tensor = b.mul(*aligned(b, x, y))
    return result


# arithmetic on pairs


def multiplied(b: Builder, x: ComplexPair, y: ComplexPair) -> ComplexPair:
    """x * y, broadcast as numpy does."""
    (a, c), (d, e) = parts(b, x), parts(b, y)
    re = minus(b, times(b, a, d), times(b, c, e))
    im = plus(b, times(b, a, e), times(b, c, d))
    return pair_of(b, re, im, b.mul(*aligned(b, x.re, y.re)) if re is None and im is None else x.re)


def conjugate(b: Builder, z: ComplexPair) -> ComplexPair:
    """re - i im."""
    return z if _unless_zero(b, z.im) is None else ComplexPair(z.re, b.neg(z.im))


def squared_magnitude(b: Builder, z: ComplexPair) -> Tensor:
    """re^2 + im^2."""
    re, im = parts(b, z)
    total = plus(b, None if re is None else b.sqr(re), None if im is None else b.sqr(im))
    return zeros_like(b, z.re) if total is None else total


def magnitude(b: Builder, z: ComplexPair) -> Tensor:
    """The square root of re^2 + im^2, for float32 as exact as its squares are: between 1e-19 and 1e19."""
    is_real = _unless_zero(b, z.im) is None
    return b.single("abs", z.re) if is_real else b.single("sqrt", squared_magnitude(b, z))


def reciprocal(b: Builder, z: ComplexPair) -> ComplexPair:
    """1 / z."""
    if _unless_zero(b, z.im) is None:
        return ComplexPair(b.rcp(z.re), z.im)
    square = squared_magnitude(b, z)
    return ComplexPair(b.div(z.re, square), b.neg(b.div(z.im, square)))


def divided(b: Builder, x: ComplexPair, y: ComplexPair) -> ComplexPair:
    """x / y, broadcast as numpy does."""
    if _unless_zero(b, y.im) is None:
        return ComplexPair(b.div(*aligned(b, x.re, y.re)), b.div(*aligned(b, x.im, y.re)))
    return multiplied(b, x, reciprocal(b, y))


def exponential(b: Builder, z: ComplexPair) -> ComplexPair:
    """exp(re) (cos(im) + i sin(im))."""
    re, im = parts(b, z)
    if im is None:
        return ComplexPair(b.exp(z.re), z.im)
    cos, sin = b.cos(im), b.sin(im)
    if re is None:
        return ComplexPair(cos, sin)
    size = b.exp(re)
    return ComplexPair(b.mul(size, cos), b.mul(size, sin))
