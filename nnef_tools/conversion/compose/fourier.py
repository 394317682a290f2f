"""Discrete Fourier transforms along an axis, as products with constant matrices.

A long transform is made of two short ones (Cooley and Tukey, 1965), so that its matrices stay small.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ...budget import ask_constant
from ...errors import Unsupported
from ...model import Tensor
from ..building.complex_pairs import ComplexPair, Part, minus, multiplied, pair_of, parts, plus
from ..building.nnef import Builder
from ..building.shapes import reshape, shape, transpose
from ..maths.generated import positions
from .axis_maps import apply_matrix
from .slicing import padded, slice_axes

Array = np.ndarray[Any, Any]

PLAIN_LIMIT = 2**18
"""Items of the largest matrix that stands for a transform as it is; larger ones are made in two steps.

From length 512 on two steps take less time in onnxruntime and numpy (1024: half, 2048: a third), and store less (1024:
30 KB in place of 4 MB).
"""


def waves(rows: int, columns: int, length: int) -> tuple[Array, Array]:
    """`[rows, columns]` of cos and sin of 2 pi k n / length, 0 in columns from `length` on. LimitError.

    The angles are reduced with integers, so that they are exact for long signals, too, and so are the zeros of both.
    """
    ask_constant(rows * columns, "its matrix")
    return _kept_waves(rows, columns, length) if rows * columns <= PLAIN_LIMIT else _waves(rows, columns, length)


@lru_cache(4)
def _kept_waves(rows: int, columns: int, length: int) -> tuple[Array, Array]:
    """Small matrices, which a model has in many places."""
    return _waves(rows, columns, length)


def _waves(rows: int, columns: int, length: int) -> tuple[Array, Array]:
    k, n = np.arange(rows)[:, None], np.arange(columns)[None, :]
    turn = k * n % length
    angle = 2 * np.pi * turn / length
    used = n < length
    return np.cos(angle) * (used & (4 * turn % (2 * length) != length)), np.sin(angle) * (
        used & (2 * turn % length != 0)
    )


def mirror_counts(extent: int, length: int) -> Array:
    """How often each of the first `extent` elements of the spectrum of a real signal is in the whole spectrum.

    Those whose mirror image is left out count twice, those beyond the middle not at all.
    """
    n = positions(extent)
    return np.where((n == 0) | (2 * n == length), 1, np.where(2 * n < length, 2, 0))


def is_in_two_steps(length: int, bins: int) -> bool:
    """Is the transform of that length made of two short ones?"""
    return length * bins > PLAIN_LIMIT and _factors(length) is not None


def framed(b: Builder, x: Tensor, length: int, step: int) -> Tensor:
    """`[.., extent]` -> `[.., frames, length]`: the frames of that length that begin at multiples of the step."""
    *outer, extent = shape(x)
    block = math.gcd(length, step)
    frames = (extent - length) // step + 1
    used = (frames - 1) * step + length
    blocks = reshape(b, slice_axes(b, x, [0], [used], [len(outer)], [1]), [*outer, used // block, block])
    begins, inside = positions(frames) * (step // block), positions(length // block)
    ask_constant(frames * len(inside))
    taken = b.gather(blocks, b.constant(np.add.outer(begins, inside).reshape(-1)), axis=len(outer))
    return reshape(b, taken, [*outer, frames, length])


def transformed(b: Builder, z: ComplexPair, axis: int, length: int, bins: int | None = None) -> ComplexPair:
    """The first `bins` elements (default: all) of the transform of that length; z is cut or zero-padded to it."""
    _check(length)
    count = length if bins is None else bins
    return pair_of(b, *_transformed(b, *parts(b, z), axis, length, count), z.re)


def inverse(b: Builder, z: ComplexPair, axis: int, length: int) -> ComplexPair:
    """The inverse transform of that length; z is cut or zero-padded to it."""
    _check(length)
    re, im = parts(b, z)
    turned_im, turned_re = _transformed(b, im, re, axis, length, length, 1 / length)
    return pair_of(b, turned_re, turned_im, z.re)


def real_inverse(b: Builder, z: ComplexPair, axis: int, length: int) -> Tensor:
    """The real signal of that length whose spectrum begins with z. What z has beyond the middle is ignored."""
    _check(length)
    extent = min(shape(z.re)[axis], length // 2 + 1)
    counts = mirror_counts(extent, length)
    taken = _fitted(b, ComplexPair(z.re, z.im), axis, extent)
    if extent * length > PLAIN_LIMIT and _factors(length) is not None:
        weights = counts.reshape([-1 if k == axis else 1 for k in range(len(shape(z.re)))])
        scaled = ComplexPair(*(b.mul(part, b.constant(weights, part.dtype)) for part in (taken.re, taken.im)))
        return inverse(b, scaled, axis, length).re
    cos, sin = waves(length, extent, length)
    re, im = parts(b, taken)
    scale = counts / length
    product = minus(
        b,
        None if re is None else apply_matrix(b, re, axis, cos * scale, ("real cos", extent, length)),
        None if im is None else apply_matrix(b, im, axis, sin * scale, ("real sin", extent, length)),
    )
    return apply_matrix(b, z.re, axis, cos * 0) if product is None else product


def _check(length: int) -> None:
    if length < 1:
        raise Unsupported(f"a Fourier transform of length {length}")
    ask_constant(length, "a row of its matrix")


def _transformed(
    b: Builder, re: Part, im: Part, axis: int, length: int, bins: int, scale: float = 1.0
) -> tuple[Part, Part]:
    """The transform of parts, times the scale."""
    known = re if re is not None else im
    if known is None:
        return None, None
    extent = shape(known)[axis]
    factors = _factors(length) if bins * extent > PLAIN_LIMIT else None
    if factors is not None:
        return _in_two_steps(b, re, im, axis, factors, bins, scale)
    cos, sin = waves(bins, extent, length)

    def product(x: Part, name: str, matrix: Array) -> Part:
        key = (name, bins, extent, length, scale)
        return None if x is None else apply_matrix(b, x, axis, matrix * scale, key)

    real = plus(b, product(re, "cos", cos), product(im, "sin", sin))
    if im is None:
        return real, product(re, "-sin", -sin)
    return real, minus(b, product(im, "cos", cos), product(re, "sin", sin))


def _factors(length: int) -> tuple[int, int] | None:
    """Two factors of the length that are as near to each other as possible; None for prime numbers."""
    first = next(k for k in range(math.isqrt(length), 0, -1) if length % k == 0)
    return None if first == 1 else (first, length // first)


def _in_two_steps(
    b: Builder, re: Part, im: Part, axis: int, factors: tuple[int, int], bins: int, scale: float
) -> tuple[Part, Part]:
    """Transforms of the columns of the signal as a matrix, turned, then transforms of the rows.

    With n = N2 n1 + n2 and k = k1 + N1 k2, the factor of x[n] is W_N1^(n1 k1) W_N^(n2 k1) W_N2^(n2 k2).
    """
    first, second = factors
    length = first * second
    known = re if re is not None else im
    assert known is not None
    own = shape(known)
    split = [*own[:axis], first, second, *own[axis + 1 :]]
    columns = [None if x is None else reshape(b, _fitted_part(b, x, axis, length), split) for x in (re, im)]
    inner = _transformed(b, columns[0], columns[1], axis, first, first, scale)
    rank = len(split)
    cos, sin = waves(first, second, length)
    extents = [split[k] if k in (axis, axis + 1) else 1 for k in range(rank)]
    turn = ComplexPair(*(b.constant(x.reshape(extents), known.dtype) for x in (cos, -sin)))
    turned = multiplied(b, pair_of(b, *inner, known), turn)
    outer = _transformed(b, *parts(b, turned), axis + 1, second, second)
    order = [*range(axis), axis + 1, axis, *range(axis + 2, rank)]
    whole = [*own[:axis], length, *own[axis + 1 :]]
    results = [None if x is None else reshape(b, transpose(b, x, order), whole) for x in outer]
    wanted = [None if x is None else _fitted_part(b, x, axis, bins) for x in results]
    return wanted[0], wanted[1]


def _fitted(b: Builder, z: ComplexPair, axis: int, extent: int) -> ComplexPair:
    return ComplexPair(_fitted_part(b, z.re, axis, extent), _fitted_part(b, z.im, axis, extent))


def _fitted_part(b: Builder, x: Tensor, axis: int, extent: int) -> Tensor:
    """x with another extent: cut, or continued by zeros."""
    own = shape(x)[axis]
    if own == extent:
        return x
    if own > extent:
        return slice_axes(b, x, [0], [extent], [axis], [1])
    pads = [(0, extent - own if k == axis else 0) for k in range(len(shape(x)))]
    return padded(b, x, pads, "constant")
