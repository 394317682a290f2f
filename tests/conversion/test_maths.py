"""Padding and axis orders as pure functions: inverse pairs, and formulas against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnef_tools.conversion.compose.arithmetic import arithmetic_range
from nnef_tools.conversion.maths import axis_orders, padding
from nnef_tools.errors import Unsupported
from nnef_tools.ops.window import Window

PERMS = [
    (axis_orders.nxc_to_ncx_perm, axis_orders.ncx_to_nxc_perm),
    (axis_orders.xcn_to_ncx_perm, axis_orders.ncx_to_xcn_perm),
    (axis_orders.cxn_to_ncx_perm, axis_orders.ncx_to_cxn_perm),
]
small = st.integers(1, 6)
pairs = st.lists(st.tuples(st.integers(-3, 9), st.integers(-3, 9)), max_size=4)


@given(st.sampled_from(PERMS), st.integers(0, 6))
def test_permutations_are_inverse_pairs(functions, rank) -> None:
    items = list(range(rank))
    forth, back = (function(rank) for function in functions)
    assert sorted(forth) == items
    assert axis_orders.permute(axis_orders.permute(items, forth), back) == items


@given(st.integers(1, 6), st.data())
def test_axes_move_with_the_items(rank, data) -> None:
    axis = data.draw(st.integers(-rank, rank - 1))
    items = list("abcdef"[:rank])
    for functions in PERMS:
        for function in functions:
            perm = function(rank)
            assert axis_orders.permute(items, perm)[axis_orders.move_axis(axis, perm)] == items[axis]


@given(st.lists(st.integers(2, 9), max_size=4), st.integers(0, 3), st.data())
def test_squeeze_undoes_unsqueeze(shape, count, data) -> None:
    positions = range(len(shape) + count)
    axes = data.draw(st.permutations(positions))[:count]
    wide = axis_orders.unsqueeze_shape(shape, axes)
    assert all(wide[axis] == 1 for axis in axes)
    assert axis_orders.squeeze_shape(wide, axes) == shape
    assert axis_orders.unsqueeze_shape(tuple(shape), axes) == tuple(wide)


@given(pairs)
def test_pairs_to_onnx_and_back(padded) -> None:
    assert padding.pairs_from_onnx(padding.pairs_to_onnx(padded)) == padded


def windows(extent: int, size: int, stride: int, dilation: int, pair: tuple[int, int]) -> list[int]:
    """The start positions of the windows that fit into the padded extent, in coordinates of the input."""
    covered = (size - 1) * dilation + 1
    return list(range(-pair[0], extent + pair[1] - covered + 1, stride))


@given(st.integers(1, 20), small, small, small, st.booleans())
def test_same_padding(extent, size, stride, dilation, lower) -> None:
    [pair] = padding.same_padding(Window([size], stride=[stride], dilation=[dilation]), [extent], lower=lower)
    before, after = pair
    assert len(windows(extent, size, stride, dilation, pair)) == -(-extent // stride)
    assert (before - after if lower else after - before) in (0, 1)
    if before + after:  # no smaller padding would do
        smaller = (before - 1, after) if before else (before, after - 1)
        assert len(windows(extent, size, stride, dilation, smaller)) < -(-extent // stride)


@given(st.integers(1, 20), small, small, small, st.integers(0, 3), st.integers(0, 3))
def test_ceil_padding(extent, size, stride, dilation, before, after) -> None:
    covered = (size - 1) * dilation + 1
    if covered > extent + before + after:
        return
    window = Window([size], padding=[(before, after)], stride=[stride], dilation=[dilation])
    [(p, q)] = padding.ceil_padding(window, [extent])
    assert p == before
    expected = windows(extent, size, stride, dilation, (before, after))
    if expected[-1] + covered < extent + after:  # something is left that no window reaches
        expected.append(expected[-1] + stride)
    if expected[-1] >= extent:
        expected.pop()  # it would start in the padding
    assert windows(extent, size, stride, dilation, (p, q)) == expected


@given(st.integers(-(2**60), 2**60), st.integers(-5, 50), st.integers(-4, 4).filter(bool))
def test_range(start, length, step) -> None:
    """Of 64-bit integers, too."""
    arguments = (np.asarray(item, np.int64) for item in (start, start + length, step))
    assert arithmetic_range(*arguments).tolist() == list(range(start, start + length, step))


def test_range_without_step() -> None:
    with pytest.raises(Unsupported, match="a delta of 0"):
        arithmetic_range(np.asarray(0), np.asarray(3), np.asarray(0))
