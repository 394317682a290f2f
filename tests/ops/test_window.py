"""Geometry of sliding windows and border modes against definitions written out."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnef_tools.errors import ShapeError
from nnef_tools.ops.borders import extend, source_index
from nnef_tools.ops.window import Window, automatic_padding, by_keywords

small = st.integers(1, 6)


@given(extent=st.integers(1, 20), size=small, stride=small, dilation=small)
def test_automatic_padding_gives_one_window_per_stride(extent: int, size: int, stride: int, dilation: int) -> None:
    before, after = automatic_padding(extent, size, stride, dilation)
    assert 0 <= before <= after <= before + 1
    window = Window([size], stride=[stride], dilation=[dilation]).forward([extent])
    assert window.downscaled == (-(-extent // stride),)
    assert window.padding == ((before, after),)
    # No less would do: the last window ends exactly at the end, unless no padding is needed at all.
    last = (window.downscaled[0] - 1) * stride + (size - 1) * dilation + 1
    assert before + after == max(last - extent, 0)


@given(
    extent=st.integers(1, 20),
    size=small,
    stride=small,
    dilation=small,
    before=st.integers(-3, 5),
    after=st.integers(-3, 5),
)
def test_forward_extent_counts_the_windows_that_fit(
    extent: Any, size: Any, stride: Any, dilation: Any, before: Any, after: Any
) -> None:
    total = extent + before + after
    starts = [s for s in range(0, max(total, 0), stride) if s + (size - 1) * dilation < total]
    if not starts:
        with pytest.raises(ShapeError, match="does not fit"):
            Window([size], padding=[(before, after)], stride=[stride], dilation=[dilation]).forward([extent])
    else:
        window = Window([size], padding=[(before, after)], stride=[stride], dilation=[dilation]).forward([extent])
        assert window.downscaled == (len(starts),)


@given(
    count=st.integers(1, 8),
    size=small,
    stride=small,
    dilation=small,
    padding=st.none() | st.tuples(st.integers(-2, 3), st.integers(-2, 3)),
    extra=st.integers(0, 3),
)
def test_reverse_extent_scales_down_to_the_input(
    count: int, size: int, stride: int, dilation: int, padding: tuple[int, ...] | None, extra: int
) -> None:
    pairs = [] if padding is None else [padding]
    try:
        window = Window([size], padding=pairs, stride=[stride], dilation=[dilation]).reverse([count])
    except ShapeError as error:
        assert "'padding' leaves extent" in str(error)
        assert (count - 1) * stride + (size - 1) * dilation + 1 - sum(padding) <= 0
        return
    forward = Window([size], padding=pairs, stride=[stride], dilation=[dilation]).forward(window.upscaled)
    assert forward.downscaled == (count,)
    wider = window.upscaled[0] + extra
    if padding is not None and extra < stride:
        assert Window([size], padding=pairs, stride=[stride], dilation=[dilation]).reverse(
            [count], [wider]
        ).upscaled == (wider,)
    if padding is not None and extra >= stride:
        with pytest.raises(ShapeError, match="scales down to"):
            Window([size], padding=pairs, stride=[stride], dilation=[dilation]).reverse([count], [wider])


@given(
    count=small,
    size=small,
    stride=small,
    dilation=small,
    padding=st.tuples(st.integers(-2, 4), st.integers(-2, 4)),
)
def test_read_and_write_name_the_same_pairs(count: Any, size: Any, stride: Any, dilation: Any, padding: Any) -> None:
    try:
        window = Window([size], padding=[padding], stride=[stride], dilation=[dilation]).reverse([count])
    except ShapeError:
        return
    (extent,) = window.upscaled
    for element in range(size):
        pairs = {
            (k * stride + element * dilation - padding[0], k)
            for k in range(count)
            if 0 <= k * stride + element * dilation - padding[0] < extent
        }
        up, down = window.write(0, element)
        assert set(zip(range(extent)[up], range(count)[down], strict=True)) == pairs
        padded = range(-padding[0], extent + padding[1])
        assert {(p, k) for k, p in enumerate(padded[window.read(0, element)]) if 0 <= p < extent} == pairs
    counts = [sum(0 <= k * stride + j * dilation - padding[0] < extent for j in range(size)) for k in range(count)]
    assert window.valid_counts(0).tolist() == counts


@given(count=small, size=small, stride=small, dilation=small, padding=st.tuples(st.integers(-2, 4), st.integers(-2, 4)))
def test_overhang_is_what_reverse_operations_reach(
    count: int, size: int, stride: int, dilation: int, padding: tuple[int, ...]
) -> None:
    try:
        window = Window([size], padding=[padding], stride=[stride], dilation=[dilation]).reverse([count])
    except ShapeError:
        return
    sources = [
        (i + padding[0] - j * dilation) // stride
        for i in range(window.upscaled[0])
        for j in range(size)
        if (i + padding[0] - j * dilation) % stride == 0
    ]
    low, high = window.overhang(0)
    # It may ask for more only where no position of the result falls on a multiple of the stride.
    assert low >= -min(sources, default=0) and high >= max(sources, default=0) - (count - 1)
    if window.upscaled[0] >= stride:
        assert low == max(0, -min(sources)) and high == max(0, max(sources) - (count - 1))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": [2]}, "'size' must have 2 items"),
        ({"stride": [1]}, "'stride' must be empty or have 2 items"),
        ({"dilation": [1, 1, 1]}, "'dilation' must be empty or have 2 items"),
        ({"padding": [(0, 0)]}, "'padding' must be empty or have 2 items"),
        ({"stride": [1, 0]}, "'stride' must be positive"),
        ({"dilation": [-1, 1]}, "'dilation' must be positive"),
        ({"size": [0, 1]}, "'size' must be positive"),
        ({"padding": [(0, 0), (-3, -3)]}, "does not fit into extent 5"),
    ],
)
def test_bad_windows(kwargs: dict[str, Any], message: str) -> None:
    arguments = {"size": [1, 1], "padding": [], "stride": [], "dilation": [], **kwargs}
    with pytest.raises(ShapeError, match=message):
        Window(**arguments).forward([5, 5])


def test_reads_from_both_sides_are_the_same_pairs() -> None:
    window = Window([3], padding=[(2, 1)], stride=[2], dilation=[3]).forward([9])
    targets, sources = window.targets(0), window.sources(0)
    pairs = {(element, k, int(p)) for (element, k), p in np.ndenumerate(targets) if p >= 0}
    assert pairs == {(element, int(k), p) for (element, p), k in np.ndenumerate(sources) if k >= 0}
    assert window.empty(0) is None
    assert Window([2], padding=[(2, 0)]).forward([3]).empty(0).tolist() == [True, False, False, False]


def test_zero_borders_are_not_continued() -> None:
    window = Window([3], padding=[(1, 1)], stride=[2]).reverse([3])
    assert window.continued() == ([(0, 0)], window)
    overhang, _ = Window([3], "replicate", [(2, 0)]).reverse([3]).continued()
    assert overhang == [(0, 2)]


def test_functions_take_windows_by_keywords() -> None:
    def area(x: int, *, window: Window, scale: int = 1) -> tuple:
        return x, window, scale

    call = by_keywords(area)
    assert call(3, size=[2], stride=[4], scale=5) == (3, Window([2], stride=[4]), 5)
    assert list(signature(call).parameters) == ["x", "scale", "size", "border", "padding", "stride", "dilation"]
    with pytest.raises(TypeError, match="steps"):
        call(3, steps=[1])
    assert by_keywords(len) is len


def test_only_given_attributes_are_stated() -> None:
    window = Window([2], padding=[], stride=[1])
    assert window.attributes() == {"size": [2], "padding": [], "stride": [1]}
    assert window.forward([4]).attributes() == {"size": (2,), "padding": ((0, 1),), "stride": (1,), "dilation": (1,)}


def test_automatic_padding_of_a_reverse_operation_needs_a_fitting_output_shape() -> None:
    assert Window([3], stride=[2]).reverse([3], [5]).upscaled == (5,)
    with pytest.raises(ShapeError, match=r"'output_shape'.*scales down to"):
        Window([3], stride=[2]).reverse([3], [7])
    with pytest.raises(ShapeError, match=r"'output_shape'.*does not fit"):
        Window([3], padding=[(0, 0)], stride=[2]).reverse([3], [2])


MODES = {"replicate": "edge", "reflect": "reflect", "reflect-even": "symmetric", "constant": "constant"}


@pytest.mark.parametrize("border", MODES)
@given(
    shape=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    before=st.integers(0, 1),
    after=st.integers(0, 1),
    grow=st.booleans(),
)
def test_extend_is_numpy_pad(border: str, shape: list[int], before: int, after: int, grow: bool) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    padding = [(before, after)] * (len(shape) - 1) + [(after, before + grow)]
    if grow and shape[-1] < 3:
        return
    np.testing.assert_array_equal(extend(x, padding, border), np.pad(x, padding, MODES[border]))


@pytest.mark.parametrize("border", [*MODES, "ignore"])
@pytest.mark.parametrize(("before", "after"), [(-1, -1), (-2, 2), (2, -2), (-3, 1), (3, -3), (-3, 3), (-4, 3), (0, 0)])
def test_negative_padding_crops(border: str, before: int, after: int) -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    mirror = {"replicate": [1, 1, 1, 1, 2, 3, 4, 4, 4, 4], "reflect": [4, 3, 2, 1, 2, 3, 4, 3, 2, 1]}
    mirror["reflect-even"] = [3, 2, 1, 1, 2, 3, 4, 4, 3, 2]
    continued = mirror.get(border, [9, 9, 9, 1, 2, 3, 4, 9, 9, 9])
    result = extend(x, [(before, after)], border, 9.0)
    assert result.tolist() == continued[3 - before : 7 + after]


@pytest.mark.parametrize(("border", "most"), [("reflect", 3), ("reflect-even", 4)])
def test_only_one_reflection(border: str, most: int) -> None:
    x = np.arange(4.0)
    for padding in ((most, 0), (0, most)):
        assert extend(x, [padding], border).shape == (4 + most,)
    for padding in ((most + 1, 0), (0, most + 1)):
        with pytest.raises(ShapeError, match=f"too large for border '{border}': at most {most}"):
            extend(x, [padding], border)
    with pytest.raises(ShapeError, match="more than one reflection"):
        source_index(np.array([-most - 1]), 4, border)
