"""Element-wise operations (sections 5.2 and 5.3, casts, sums and copies of whole tensors, and custom ones).

NaN propagates through min, max and clamp, as in the frameworks that models come from; the formulas of the standard
(`select(x < y, x, y)`) leave it open by order of the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..budget import ask_results
from ..errors import ShapeError
from .broadcast import Array, align, elementwise_shape, same_shape
from .checks import check
from .definition import op
from .erf import erf
from .precision import common_integer

_UNARY: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "rcp": lambda x: 1 / x,
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "not": np.logical_not,
    "sqr": np.square,
    "sqrt": np.sqrt,
    "rsqr": lambda x: 1 / np.square(x),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "log2": np.log2,
}

_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "pow": np.power,
    "lt": np.less,
    "gt": np.greater,
    "le": np.less_equal,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "min": np.minimum,
    "max": np.maximum,
}

OPERATIONS = frozenset({*_UNARY, *_BINARY, "copy", "round", "select", "clamp"})
"""The names of the standard operations that calculate, item by item."""


def _unary(function: Callable[[Array], Array]) -> Callable[[Any], Array]:
    return lambda x: function(np.asarray(x))


def _binary(function: Callable[[Array, Array], Array]) -> Callable[[Any, Any], Array]:
    return lambda x, y: function(*align(x, y))


for _name, _function in _UNARY.items():
    op(_name, shape=same_shape)(_unary(_function))
for _name, _binary_function in _BINARY.items():
    op(_name, shape=elementwise_shape)(_binary(_binary_function))


@op("copy", shape=same_shape)
def copy(x: Any) -> Array:
    """The value itself; kernels never write to their inputs, so it is shared."""
    return np.asarray(x)


@op("round", shape=same_shape)
def round_half_up(x: Any) -> Array:
    """floor(x + 0.5), without the error that the sum can have in floating point."""
    x = np.asarray(x)
    low = np.floor(x)
    return np.asarray(low + (x - low >= 0.5), x.dtype)


def round_half_away(x: Any) -> Array:
    """The nearest integer, the one away from zero in the middle of two."""
    x = np.asarray(x)
    return np.asarray(np.copysign(round_half_up(np.abs(x)), x))


@op("select", shape=elementwise_shape)
def select(condition: Any, true_value: Any, false_value: Any) -> Array:
    """Per element, true_value where the condition holds, else false_value."""
    condition, true_value, false_value = align(condition, true_value, false_value)
    return np.asarray(np.where(condition, true_value, false_value))


@op("clamp", shape=elementwise_shape)
def clamp(x: Any, a: Any, b: Any) -> Array:
    """max(min(x, b), a): the lower bound wins if the bounds cross."""
    x, a, b = align(x, a, b)
    return np.asarray(np.maximum(np.minimum(x, b), a))


@op("cast", shape=same_shape)
def cast(x: Array, *, dtype: Any) -> Array:
    """Converts to exactly the element type `dtype`: toward zero for integers, non-zero is true for logicals.

    The text says that a scalar becomes the closest smaller integer; all implementations truncate. Values that an
    integer cannot hold (and not-a-number) have no defined result.
    """
    target = np.dtype(dtype)
    if target.kind not in "biufV":
        raise ShapeError(f"cannot cast to '{target.name}'")
    if target.kind == "b":
        return x if x.dtype == target else np.not_equal(x, 0)
    return x.astype(target, copy=False)


def _add_n_shape(shapes: Sequence[Sequence[int]]) -> list[int]:
    first = list(shapes[0]) if shapes else []
    check(
        all(list(shape) == first for shape in shapes),
        f"'x' must have equal shapes, got {', '.join(str(list(shape)) for shape in shapes)}",
    )
    return first


@op("add_n", shape=_add_n_shape)
def add_n(arrays: Sequence[Array]) -> Array:
    """Sum of all arrays, 0 if there are none."""
    return reduce(np.add, arrays) if arrays else np.zeros((), np.float32)


def _copy_n_shape(shape: Sequence[int], *, times: int) -> list[list[int]]:
    if times < 1:
        raise ShapeError(f"'times' must be positive, got {times}")
    ask_results(times)
    return [list(shape)] * times


@op("copy_n", shape=_copy_n_shape)
def copy_n(x: Array, *, times: int) -> list[Array]:
    """The same array `times` times; nothing is copied as kernels never write to their inputs."""
    return [x] * times


# custom ones

op("erf", shape=same_shape)(_unary(erf))


@op("fmod", shape=elementwise_shape)
def fmod(x: Array, y: Array) -> Array:
    """Remainder with the sign of the dividend."""
    return np.asarray(np.fmod(*align(x, y)))


_BITWISE: dict[str, Callable[[Array, Array], Array]] = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
}


def _bitwise(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def run(x: Array, y: Array) -> Array:
        # a literal (rank 0) takes the type of the other operand
        dtype = common_integer({a.dtype for a in (x, y) if a.ndim} or {x.dtype, y.dtype})
        x, y = align(x, y)
        return np.asarray(function(x.astype(dtype, copy=False), y.astype(dtype, copy=False)))

    return run


for _name, _binary_function in _BITWISE.items():
    op(_name, shape=elementwise_shape)(_bitwise(_binary_function))


@op("bitwise_not", shape=same_shape)
def bitwise_not(x: Array) -> Array:
    """All bits inverted."""
    return np.bitwise_not(x)
