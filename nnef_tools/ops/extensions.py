"""Our custom operations: declarations and meanings are in `extensions.nnef`.

Indexing, recurrent layers and resampling have own modules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..language.parser import parse_fragments
from ..language.types import Fragment
from . import index, recurrent, sampling  # noqa: F401  (they register their operations)
from .axes import normal_axis
from .broadcast import Array, align, elementwise_shape, same_shape
from .checks import check
from .erf import erf as _erf
from .precision import common_integer, ieee
from .reduce import input_volume, reduced_shape
from .registry import find, op


@cache
def extension_fragments() -> Mapping[str, Fragment]:
    """Our custom operations by name, in the order of their declaration."""
    path = Path(__file__).with_name("extensions.nnef")
    return MappingProxyType(parse_fragments(path.read_text(encoding="ascii"), path.name))


@cache
def helper_fragments() -> frozenset[str]:
    """Those that only the bodies of others call: they are expanded with these, and no backend runs them."""
    return frozenset(name for name in extension_fragments() if find(name) is None)


@cache
def called_fragments() -> Mapping[str, Sequence[str]]:
    """Our custom operations that have a body, and which of ours it calls, directly or through others."""
    ours = extension_fragments()
    bodies = {name: _code(fragment).partition("{")[2] for name, fragment in ours.items() if fragment.is_compound}
    called: dict[str, list[str]] = {}
    for name, body in bodies.items():  # each after those that it calls
        direct = [other for other in bodies if other != name and re.search(rf"\b{other}\(", body)]
        called[name] = list(dict.fromkeys(word for other in direct for word in (*called[other], other)))
    return MappingProxyType(called)


def foreign_fragments(own: Mapping[str, Fragment]) -> set[str]:
    """The fragments of a model that have a body and the name of one of ours, but are not the operation that we run."""
    ours, called = extension_fragments(), called_fragments()
    named = {name for name, fragment in own.items() if name in ours and fragment.is_compound}
    changed = {name for name in named if _code(own[name]) != _code(ours[name])}
    return {
        name for name in named if name in changed | helper_fragments() or not changed.isdisjoint(called.get(name, ()))
    }


def _code(fragment: Fragment) -> str:
    """The text without comments and without the line breaks that a writer may have changed."""
    return " ".join(re.sub(r"#.*", "", fragment.text).split())


@op("erf", shape=same_shape)
def erf(x: Array) -> Array:
    """Gauss error function."""
    return _erf(x)


@op("product_reduce", shape=reduced_shape, macs=input_volume, macs_group="reduction")
def product_reduce(x: Array, *, axes: Sequence[int]) -> Array:
    """Product over the axes."""
    return np.asarray(np.prod(x, axis=tuple(axes), keepdims=True, dtype=x.dtype))


def _running_shape(x: Sequence[int], *, axis: int, exclusive: bool = False, reverse: bool = False) -> list[int]:
    normal_axis(axis, len(x))
    return list(x)


def _running(
    x: Array, accumulate: Callable[..., Array], start: int, axis: int, exclusive: bool, reverse: bool
) -> Array:
    x = np.flip(x, axis) if reverse else x
    total = accumulate(x, axis, dtype=x.dtype)
    if exclusive and total.shape[axis]:
        # shifted and not total - x, which would lose digits and make infinity - infinity
        total = np.roll(total, 1, axis)
        np.moveaxis(total, axis, 0)[0] = start
    return np.flip(total, axis) if reverse else total


@op("cum_sum", shape=_running_shape)
@partial(ieee, arithmetic=True)
def cum_sum(x: Array, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Array:
    """Running sum along an axis."""
    return _running(x, np.cumsum, 0, axis, exclusive, reverse)


@op("cum_prod", shape=_running_shape)
@partial(ieee, arithmetic=True)
def cum_prod(x: Array, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Array:
    """Running product along an axis."""
    return _running(x, np.cumprod, 1, axis, exclusive, reverse)


@op("fmod", shape=elementwise_shape)
def fmod(x: Array, y: Array) -> Array:
    """Remainder with the sign of the dividend."""
    return np.asarray(np.fmod(*align(x, y)))


def _top_k_shape(
    x: Sequence[int], *, k: int, axis: int, largest: bool = True, sorted: bool = True
) -> tuple[list[int], list[int]]:
    axis = normal_axis(axis, len(x))
    check(1 <= k <= x[axis], f"'k' must lie in [1, {x[axis]}] for axis {axis} of shape {list(x)}, got {k}")
    result = [k if i == axis else extent for i, extent in enumerate(x)]
    return result, list(result)


@op("top_k", shape=_top_k_shape)
def top_k(x: Array, *, k: int, axis: int, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    """The k best elements, best first, and their positions (int64)."""
    order = np.argsort(np.flip(x, axis) if largest else x, axis, kind="stable")
    if largest:
        # the stable ascending order of the mirrored axis is, read backwards, descending with the first of equals first
        order = np.flip(x.shape[axis] - 1 - order, axis)
    indices = np.take(order, np.arange(k), axis).astype(np.int64, copy=False)
    return np.take_along_axis(x, indices, axis), indices


def _det_shape(x: Sequence[int]) -> list[int]:
    check(len(x) >= 2 and x[-1] == x[-2], f"'x' must hold square matrices in its last dimensions, got shape {list(x)}")
    return list(x[:-2])


@op("det", shape=_det_shape)
def det(x: Array) -> Array:
    """Determinant of the matrices in the last two dimensions."""
    return np.asarray(np.linalg.det(x))


def _inverse_shape(x: Sequence[int]) -> list[int]:
    return [*_det_shape(x), *x[-2:]]


@op("inverse", shape=_inverse_shape)
def inverse(x: Array) -> Array:
    """Inverse of the matrices in the last two dimensions; NaN where there is none."""
    try:
        return np.asarray(np.linalg.inv(x))
    except np.linalg.LinAlgError:
        regular = np.linalg.det(x) != 0
        safe = np.where(regular[..., None, None], x, np.eye(x.shape[-1], dtype=x.dtype))
        return np.where(regular[..., None, None], np.linalg.inv(safe), np.nan).astype(x.dtype)


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


for _name, _function in _BITWISE.items():
    op(_name, shape=elementwise_shape)(_bitwise(_function))


@op("bitwise_not", shape=same_shape)
def bitwise_not(x: Array) -> Array:
    """All bits inverted."""
    return np.bitwise_not(x)
