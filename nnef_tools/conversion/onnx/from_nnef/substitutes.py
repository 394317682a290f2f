"""Substitutes for ONNX operators, for shapes and item types that onnxruntime has no kernel for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....model import Tensor
from ....ops.resize import AxisMap, ResizedAxis
from ...building.target import known
from ...maths.generated import filled
from ..building import OnnxBuilder
from ..common import shape

Array = np.ndarray[Any, Any]
Function = Callable[[OnnxBuilder, Tensor], Tensor]


def resized(b: OnnxBuilder, x: Tensor, axes: Sequence[ResizedAxis], extrapolation_value: float) -> Tensor:
    """Resize, one axis after the other, by Gather, and by a weighted sum where elements are mixed."""
    for item in axes:
        picked = item.map.weights is None
        x = b.take(x, item.map.positions[:, 0], item.axis) if picked else _mixed(b, x, item.axis, item.map)
    for item in axes:
        if item.outside.any():
            mask = item.outside.reshape([-1 if k == item.axis else 1 for k in range(len(shape(x)))])
            x = known(b.Where(b.constant(mask), b.scalar(extrapolation_value), x), shape(x))
    return x


def _mixed(b: OnnxBuilder, x: Tensor, axis: int, axis_map: AxisMap) -> Tensor:
    """The weighted sums of elements along an axis, which are first gathered along a new one."""
    assert axis_map.weights is not None
    own = shape(x)
    used = axis_map.weights.any(axis=0)
    positions, weights = axis_map.positions[:, used], axis_map.weights[:, used]
    taken = b.Gather(x, b.constant(positions, np.int64), axis=axis)
    taken = known(taken, [*own[:axis], *positions.shape, *own[axis + 1 :]], x.dtype)
    factors = b.constant(weights.reshape(*weights.shape, *[1] * (len(own) - 1 - axis)), b.real)
    # ONNX aligns shapes on the right
    products = known(b.Mul(taken, factors), shape(taken), x.dtype)
    return b.squeeze(b.reduce("sum", products, [axis + 1]), [axis + 1])


# windows


def _windows(parts: Sequence[Array], extents: Sequence[int]) -> Array:
    """(elements of the window, results): positions in flat spatial dimensions, -1 for none; parts: for each of them."""
    count = len(extents)
    ask_constant(math.prod(part.size for part in parts), "its table of windows")
    total, inside = np.zeros([1] * 2 * count, np.int64), np.ones([1] * 2 * count, bool)
    for k, (part, extent) in enumerate(zip(parts, extents, strict=True)):
        form = [1] * 2 * count
        form[k], form[count + k] = part.shape
        total = total * extent + part.reshape(form)
        inside = inside & (part.reshape(form) >= 0)
    elements = int(np.prod([part.shape[0] for part in parts]))
    return np.where(inside, total, -1).reshape(elements, -1)


def products(b: OnnxBuilder, x: Tensor, w: Tensor, bias: Tensor | None, parts: Sequence[Array], groups: int) -> Tensor:
    """Conv as a product of the elements of the windows with the filter `[out, in / groups, ...]` as a matrix.

    parts: positions as of `PlacedWindow.targets` for each spatial dimension.
    """
    batch, channels, *extents = shape(x)
    rows, depth = shape(w)[0], channels // groups
    index = _windows(parts, extents)
    elements, results = index.shape
    flat = b.reshape(x, [batch, groups, depth, math.prod(extents)])
    if (index < 0).any():
        zeros = b.constant(filled([batch, groups, depth, 1], 0, x.dtype))
        flat, index = b.concat([flat, zeros], 3), np.where(index < 0, math.prod(extents), index)
    seen = known(b.Gather(flat, b.constant(index), axis=3), [batch, groups, depth, elements, results], x.dtype)
    matrix = b.reshape(w, [groups, rows // groups, depth * elements])
    y = b.MatMul(matrix, b.reshape(seen, [batch, groups, depth * elements, results]))
    y = known(y, [batch, groups, rows // groups, results], x.dtype)
    y = b.reshape(y, [batch, rows, *(part.shape[1] for part in parts)])
    return y if bias is None else b.elementwise(b.Add, y, b.unsqueeze(bias, [0]))


def turned_filter(b: OnnxBuilder, w: Tensor, groups: int) -> Tensor:
    """The filter `[in, out / groups, ...]` of a transposed convolution as `[out, in / groups, ...]`."""
    channels, depth, *size = shape(w)
    parts = b.reshape(w, [groups, channels // groups, depth, *size])
    turned = b.transpose(parts, [0, 2, 1, *range(3, len(size) + 3)])
    return b.reshape(turned, [groups * depth, channels // groups, *size])


def numbers(b: OnnxBuilder, wanted: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors; truth values as integers if numbers are wanted, since ONNX or runtimes lack operators for them."""
    return tuple(b.cast(x, np.int32) if wanted and x.dtype is np.bool_ else x for x in tensors)


# functions in float64


def _expm1_of_negative(b: OnnxBuilder, x: Tensor) -> Tensor:
    """exp(x) - 1 for x < 0, without the loss of digits near 0."""
    t = b.nnef.tanh(b.nnef.mul(x, 0.5))
    return b.nnef.div(b.nnef.mul(t, 2.0), b.nnef.sub(1.0, t))


def _log1p(b: OnnxBuilder, x: Tensor) -> Tensor:
    """log(1 + x) for x >= 0: the error of 1 + x cancels out in the quotient."""
    u = b.nnef.add(x, 1.0)
    rest = b.nnef.sub(u, 1.0)
    exact = b.nnef.mul(b.nnef.log(u), b.nnef.div(x, rest))
    infinite = b.nnef.eq(u, np.inf)
    return b.nnef.select(b.nnef.eq(rest, 0.0), x, b.nnef.select(infinite, u, exact))


def prelu(b: OnnxBuilder, x: Tensor, slope: Tensor) -> Tensor:
    """prelu, by its definition."""
    return b.nnef.select(b.nnef.lt(x, 0.0), b.nnef.mul(x, slope), x)


def elu(b: OnnxBuilder, x: Tensor, alpha: float) -> Tensor:
    """elu, by its definition."""
    return b.nnef.select(b.nnef.lt(x, 0.0), b.nnef.mul(_expm1_of_negative(b, x), alpha), x)


def softplus(b: OnnxBuilder, x: Tensor) -> Tensor:
    """softplus, by its definition."""
    return b.nnef.add(b.nnef.relu(x), _log1p(b, b.nnef.exp(b.nnef.neg(b.nnef.abs(x)))))


def _tan(b: OnnxBuilder, x: Tensor) -> Tensor:
    return b.nnef.div(b.nnef.sin(x), b.nnef.cos(x))


def _sinh(b: OnnxBuilder, x: Tensor) -> Tensor:
    """sinh, by tanh(x / 2) near 0, and by exponentials of halves elsewhere, which overflow only if the result does."""
    t = b.nnef.tanh(b.nnef.mul(x, 0.5))
    near = b.nnef.div(b.nnef.mul(t, 2.0), b.nnef.sub(1.0, b.nnef.mul(t, t)))
    up, down = _half_exponentials(b, x)
    return b.nnef.select(b.nnef.lt(b.nnef.abs(x), 1.0), near, b.nnef.sub(up, down))


def _cosh(b: OnnxBuilder, x: Tensor) -> Tensor:
    return b.nnef.add(*_half_exponentials(b, x))


def _half_exponentials(b: OnnxBuilder, x: Tensor) -> tuple[Tensor, Tensor]:
    """exp(x) / 2 and exp(-x) / 2."""
    up = b.nnef.exp(b.nnef.mul(x, 0.5))
    down = b.nnef.exp(b.nnef.mul(x, -0.5))
    return b.nnef.mul(b.nnef.mul(up, 0.5), up), b.nnef.mul(b.nnef.mul(down, 0.5), down)


def _odd(b: OnnxBuilder, x: Tensor, magnitude: Function) -> Tensor:
    """An odd function by its values for |x|."""
    y = magnitude(b, b.nnef.abs(x))
    return b.nnef.select(b.nnef.lt(x, 0.0), b.nnef.neg(y), y)


def _asinh(b: OnnxBuilder, x: Tensor) -> Tensor:
    def magnitude(b: OnnxBuilder, m: Tensor) -> Tensor:
        square = b.nnef.mul(m, m)
        root = b.nnef.sqrt(b.nnef.add(square, 1.0))
        near = _log1p(b, b.nnef.add(m, b.nnef.div(square, b.nnef.add(root, 1.0))))
        return b.nnef.select(b.nnef.gt(m, _FAR), b.nnef.add(b.nnef.log(m), math.log(2)), near)

    return _odd(b, x, magnitude)


def _acosh(b: OnnxBuilder, x: Tensor) -> Tensor:
    t = b.nnef.sub(x, 1.0)
    root = b.nnef.mul(b.nnef.sqrt(t), b.nnef.sqrt(b.nnef.add(t, 2.0)))  # not a number below 1
    far = b.nnef.add(b.nnef.log(x), math.log(2))
    return b.nnef.select(b.nnef.gt(x, _FAR), far, _log1p(b, b.nnef.add(t, root)))


def _atanh(b: OnnxBuilder, x: Tensor) -> Tensor:
    def magnitude(b: OnnxBuilder, m: Tensor) -> Tensor:
        return b.nnef.mul(_log1p(b, b.nnef.div(b.nnef.mul(m, 2.0), b.nnef.sub(1.0, m))), 0.5)

    return _odd(b, x, magnitude)


def _atan(b: OnnxBuilder, x: Tensor) -> Tensor:
    """atan, by the result in float32, corrected by the remaining small angle."""
    limited = b.nnef.select(b.nnef.gt(b.nnef.abs(x), _BEYOND), b.nnef.mul(b.nnef.sign(x), _BEYOND), x)
    single = known(b.Atan(b.cast(limited, np.float32)), shape(x), np.float32)
    angle = b.cast(single, np.float64)
    sine, cosine = b.nnef.sin(angle), b.nnef.cos(angle)
    left = b.nnef.div(
        b.nnef.sub(b.nnef.mul(limited, cosine), sine),
        b.nnef.add(b.nnef.mul(limited, sine), cosine),
    )
    return b.nnef.add(angle, left)


def _asin(b: OnnxBuilder, x: Tensor) -> Tensor:
    square = b.nnef.mul(b.nnef.sub(1.0, x), b.nnef.add(x, 1.0))
    return _atan(b, b.nnef.div(x, b.nnef.sqrt(square)))


def _acos(b: OnnxBuilder, x: Tensor) -> Tensor:
    ratio = b.nnef.div(b.nnef.sub(1.0, x), b.nnef.add(x, 1.0))
    return b.nnef.mul(_atan(b, b.nnef.sqrt(ratio)), 2.0)


def _erf(b: OnnxBuilder, x: Tensor) -> Tensor:
    """erf, by Taylor polynomials around the multiples of a step, with the coefficients in a table."""
    table = _erf_table()

    def magnitude(b: OnnxBuilder, m: Tensor) -> Tensor:
        number = b.nnef.eq(m, m)
        limited = b.nnef.min(b.nnef.select(number, m, 0.0), _ERF_STEP * (len(table) - 1))
        steps = b.nnef.round(b.nnef.mul(limited, 1 / _ERF_STEP))
        rest = b.nnef.sub(limited, b.nnef.mul(steps, _ERF_STEP))
        rows = b.cast(steps, np.int64)
        total: Tensor | None = None
        for column in table.T[::-1]:
            item = known(b.Gather(b.constant(column, np.float64), rows), shape(x), np.float64)
            total = item if total is None else b.nnef.add(b.nnef.mul(total, rest), item)
        assert total is not None
        return b.nnef.select(number, total, m)

    return _odd(b, x, magnitude)


_FAR = 1e9
"""The magnitude from which on 1 is negligible beside the square of a number."""
_BEYOND = 1e18
"""The magnitude from which on the arc tangent is a right angle."""
_ERF_STEP = 1 / 8
_ERF_TERMS = 14


def _erf_table() -> Array:
    """(multiple of the step up to 6, power): Taylor coefficients of the error function, which is 1 beyond."""
    rows = []
    for k in range(round(6 / _ERF_STEP) + 1):
        a = k * _ERF_STEP
        # the derivatives of erf' = c * exp(-a * a): f'' = -2a f', and on by the rule for products
        derivatives = [math.erf(a), 2 / math.sqrt(math.pi) * math.exp(-a * a)]
        for n in range(1, _ERF_TERMS):
            before = derivatives[n - 1] if n > 1 else 0.0
            derivatives.append(-2 * a * derivatives[n] - 2 * (n - 1) * before)
        rows.append([value / math.factorial(n) for n, value in enumerate(derivatives)])
    return np.asarray(rows)


FLOAT64: Mapping[str, Function] = {
    "acos": _acos,
    "acosh": _acosh,
    "asin": _asin,
    "asinh": _asinh,
    "atan": _atan,
    "atanh": _atanh,
    "cosh": _cosh,
    "erf": _erf,
    "sinh": _sinh,
    "tan": _tan,
}
"""Elementwise operations that onnxruntime has no kernels for in float64 -> what computes the same there."""


def determinant(b: OnnxBuilder, x: Tensor) -> Tensor:
    """Det, by elimination of rows with the largest pivot."""
    *outer, order, _ = shape(x)
    rank = len(outer) + 2
    total: Tensor | None = None
    for size in range(order, 0, -1):
        first = b.slice(x, {rank - 1: range(1)})
        place = b.ArgMax(b.nnef.abs(first), axis=rank - 2, keepdims=1)
        place = known(place, [*outer, 1, 1], np.int64)
        chosen = known(b.Equal(place, b.constant(np.arange(size)[:, None])), [*outer, size, 1], np.bool_)
        row = b.reduce("sum", known(b.Where(chosen, x, b.scalar(0.0)), shape(x)), [rank - 2])
        pivot = b.slice(row, {rank - 1: range(1)})
        swapped = known(b.Equal(place, b.constant(0, np.int64)), [*outer, 1, 1], np.bool_)
        factor = known(b.Where(swapped, pivot, b.nnef.neg(pivot)), [*outer, 1, 1])
        total = factor if total is None else b.nnef.mul(total, factor)
        if size > 1:
            top = b.slice(x, {rank - 2: range(1)})
            others = known(b.Where(chosen, top, x), shape(x))
            safe = known(b.Where(b.nnef.eq(pivot, 0.0), b.scalar(1.0), pivot), shape(pivot))
            lower = {rank - 2: range(1, size)}
            factors = b.nnef.div(b.slice(others, {**lower, rank - 1: range(1)}), safe)
            rest = b.slice(others, {**lower, rank - 1: range(1, size)})
            right = b.slice(row, {rank - 1: range(1, size)})
            x = b.nnef.sub(rest, b.nnef.mul(factors, right))
    assert total is not None
    return b.reshape(total, outer)
