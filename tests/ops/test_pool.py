"""Box filters and pooling against the definitions written as loops, and against torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ExecutionError, ShapeError
from nnef_tools.ops.inference import evaluate, infer_shapes
from nnef_tools.ops.registry import find
from nnef_tools.ops.window import Window

from ..support.arrays import Array

BORDERS = ("constant", "replicate", "reflect", "reflect-even", "ignore")


def source(i: int, extent: int, border: str) -> int | None:
    """The position that is read for position i, or None."""
    if 0 <= i < extent:
        return i
    if border == "replicate":
        return 0 if i < 0 else extent - 1
    if border == "reflect":
        return -i if i < 0 else 2 * extent - 2 - i
    if border == "reflect-even":
        return -i - 1 if i < 0 else 2 * extent - 1 - i
    return None


def window_items(x: Array, i: tuple[int, ...], border: str, window: dict[str, Any]) -> Iterator[Any]:
    """(position inside the window, value) of what takes part in window i."""
    for position, j in enumerate(np.ndindex(*window["size"])):
        index = [
            a * s + e * d - p
            for a, s, e, d, (p, _) in zip(i, window["stride"], j, window["dilation"], window["padding"], strict=True)
        ]
        places = [source(k, extent, border) for k, extent in zip(index, x.shape, strict=True)]
        if None not in places:
            yield position, x[tuple(places)]
        elif border == "constant":
            yield position, 0.0


def random_case(seed: int) -> tuple[Array | dict[str, list[Any]], ...]:
    """Shapes from rank 1 to 5 with windows over all dimensions, or the spatial ones only."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 5
    window = {
        "size": [int(v) for v in rng.integers(1, 4, rank)],
        "stride": [int(v) for v in rng.integers(1, 4, rank)],
        "dilation": [int(v) for v in rng.integers(1, 3, rank)],
        "padding": [(int(p), int(q)) for p, q in rng.integers(-1, 3, (rank, 2))],
    }
    if rank > 3:
        for name, neutral in (("size", 1), ("stride", 1), ("padding", (0, 0))):
            window[name][:2] = [neutral, neutral]
    shape = [
        int(v) + (f - 1) * d + 3 if a > 1 or rank < 4 else 2
        for a, (v, f, d) in enumerate(zip(rng.integers(0, 3, rank), window["size"], window["dilation"], strict=True))
    ]
    return rng.normal(size=shape), window


def result_extents(shape: tuple[int, ...], window: dict[str, Any]) -> list[int]:
    return [
        (X + p + q - (f - 1) * d - 1) // s + 1
        for X, f, s, d, (p, q) in zip(
            shape, window["size"], window["stride"], window["dilation"], window["padding"], strict=True
        )
    ]


@pytest.mark.parametrize(("seed", "border"), list(itertools.product(range(20), BORDERS)))
def test_forward_operations_are_their_definitions(seed: int, border: str) -> None:
    x, window = random_case(seed)
    x = np.round(x, 1)  # so that there are ties
    out = result_extents(x.shape, window)
    total, mean, largest, rms = (np.zeros(out) for _ in range(4))
    index = np.zeros(out, int)
    volume = int(np.prod(window["size"]))
    for i in np.ndindex(*out):
        items = list(window_items(x, i, border, window))
        values = [value for _, value in items]
        count = max(len(values), 1) if border == "ignore" else volume
        total[i] = sum(values)
        mean[i] = sum(values) / count
        rms[i] = np.sqrt(sum(v * v for v in values) / count)
        largest[i] = max(values, default=0.0)
        index[i] = next((position for position, value in items if value == largest[i]), 0)
    attribs = {**window, "border": border}
    np.testing.assert_allclose(evaluate("box", [x], attribs), total, atol=1e-12)
    np.testing.assert_allclose(evaluate("box", [x], {**attribs, "normalize": True}), mean, atol=1e-12)
    np.testing.assert_allclose(evaluate("avg_pool", [x], attribs), mean, atol=1e-12)
    np.testing.assert_allclose(evaluate("rms_pool", [x], attribs), rms, atol=1e-12)
    np.testing.assert_array_equal(evaluate("max_pool", [x], attribs), largest)
    np.testing.assert_array_equal(evaluate("argmax_pool", [x], attribs), index)
    output, again = evaluate("max_pool_with_index", [x], attribs)
    np.testing.assert_array_equal(output, largest)
    np.testing.assert_array_equal(again, index)


@pytest.mark.parametrize(("seed", "border"), list(itertools.product(range(12), BORDERS)))
def test_debox_is_its_definition(seed: int, border: str) -> None:
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    size, stride, dilation = ([int(v) for v in rng.integers(1, n, rank)] for n in (4, 4, 3))
    padding = [(int(p), int(q)) for p, q in rng.integers(-1, 2, (rank, 2))]
    counts = [int(v) for v in rng.integers(6, 8, rank)]
    extents = [
        (x - 1) * s + (f - 1) * d + 1 - sum(pair) + int(rng.integers(0, s)) * (seed % 2)
        for x, s, f, d, pair in zip(counts, stride, size, dilation, padding, strict=True)
    ]
    x = rng.normal(size=counts)
    total, number = np.zeros(extents), np.zeros(extents)
    for i in np.ndindex(*extents):
        for j in np.ndindex(*size):
            scaled = [a + p - e * d for a, (p, _), e, d in zip(i, padding, j, dilation, strict=True)]
            if all(v % s == 0 for v, s in zip(scaled, stride, strict=True)):
                places = [source(v // s, n, border) for v, s, n in zip(scaled, stride, counts, strict=True)]
                if None not in places:
                    total[i] += x[tuple(places)]
                    number[i] += 1
    attribs = {"size": size, "stride": stride, "dilation": dilation, "padding": padding, "border": border}
    if seed % 2:
        attribs["output_shape"] = extents
    np.testing.assert_allclose(evaluate("debox", [x], attribs), total, atol=1e-12)
    divisor = np.maximum(number, 1) if border == "ignore" else np.prod(size)
    np.testing.assert_allclose(evaluate("debox", [x], {**attribs, "normalize": True}), total / divisor, atol=1e-12)


@pytest.mark.parametrize(("seed", "border"), list(itertools.product(range(8), BORDERS)))
def test_sample_and_desample_are_their_definitions(seed: int, border: str) -> None:
    x, window = random_case(seed)
    out = result_extents(x.shape, window)
    rng = np.random.default_rng(seed)
    index = rng.integers(0, np.prod(window["size"]), out)
    y, z = np.zeros(out), np.zeros(x.shape)
    values = rng.normal(size=out)
    for i in np.ndindex(*out):
        items = dict(window_items(x, i, border, window))
        y[i] = items.get(index[i], 0.0)
        j = np.unravel_index(index[i], window["size"])
        place = tuple(
            int(a * s + e * d - p)
            for a, s, e, d, (p, _) in zip(i, window["stride"], j, window["dilation"], window["padding"], strict=True)
        )
        if all(0 <= k < n for k, n in zip(place, x.shape, strict=True)):
            z[place] += values[i]
    if border == "ignore":
        with pytest.raises(ShapeError, match="'border' must be one of"):
            evaluate("sample", [x, index], {**window, "border": border})
        return
    np.testing.assert_array_equal(evaluate("sample", [x, index], {**window, "border": border}), y)
    if border == "constant":
        result = evaluate("desample", [values, index], {**window, "output_shape": list(x.shape)})
        np.testing.assert_allclose(result, z, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("size", "stride", "pad"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1)])
def test_pools_are_those_of_torch(dims: int, size: int, stride: int, pad: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, *[9, 8, 7][:dims])).astype(np.float32)
    t = torch.from_numpy(x)
    attribs = {
        "size": [1, 1] + [size] * dims,
        "stride": [1, 1] + [stride] * dims,
        "padding": [(0, 0)] * 2 + [(pad, pad)] * dims,
    }
    average = getattr(torch.nn.functional, f"avg_pool{dims}d")
    for border, include in (("constant", True), ("ignore", False)):
        result = evaluate("avg_pool", [x], {**attribs, "border": border})
        expected = average(t, size, stride, pad, count_include_pad=include).numpy()
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    largest = getattr(torch.nn.functional, f"max_pool{dims}d")(t, size, stride, pad).numpy()
    np.testing.assert_array_equal(evaluate("max_pool", [x], {**attribs, "border": "ignore"}), largest)
    if stride >= size and pad == 0:
        output, index = evaluate("max_pool_with_index", [x], attribs)
        _, plane_index = getattr(torch.nn.functional, f"max_pool{dims}d")(t, size, stride, return_indices=True)
        unpooled = getattr(torch.nn.functional, f"max_unpool{dims}d")(
            torch.from_numpy(output), plane_index, size, stride, output_size=x.shape
        )
        result = evaluate("desample", [output, index], {**attribs, "output_shape": list(x.shape)})
        np.testing.assert_array_equal(result, unpooled.numpy())


def test_debox_is_the_transpose_of_box() -> None:
    rng = np.random.default_rng(5)
    attribs = {"size": [1, 3, 2], "stride": [1, 2, 2], "dilation": [1, 2, 1], "padding": [(0, 0), (1, 2), (0, 1)]}
    x = rng.normal(size=(2, 9, 8))
    y = evaluate("box", [x], attribs)
    g = rng.normal(size=y.shape)
    back = evaluate("debox", [g], {**attribs, "output_shape": list(x.shape)})
    np.testing.assert_allclose(np.sum(y * g), np.sum(x * back))


@pytest.mark.parametrize("border", ["constant", "ignore"])
def test_nan_propagates_and_counts_as_the_largest(border: str) -> None:
    x = np.array([1.0, np.nan, 3.0, -np.inf, -np.inf, -np.inf, -np.inf])
    attribs = {"size": [3], "stride": [1], "padding": [(0, 0)], "border": border}
    expected = [np.nan, np.nan, 3.0, -np.inf, -np.inf]
    np.testing.assert_array_equal(evaluate("max_pool", [x], attribs), expected)
    output, index = evaluate("max_pool_with_index", [x], attribs)
    np.testing.assert_array_equal(output, expected)
    assert index.tolist() == [1, 0, 0, 0, 0]


def test_minus_infinity_at_an_ignored_border_is_found_inside() -> None:
    x = np.array([-np.inf, 1.0])
    attribs = {"size": [2], "stride": [2], "padding": [(1, 1)], "border": "ignore"}
    output, index = evaluate("max_pool_with_index", [x], attribs)
    assert output.tolist() == [-np.inf, 1.0]
    assert index.tolist() == [1, 0]


def test_windows_without_valid_position_give_zero() -> None:
    x = np.array([5.0, 7.0])
    attribs = {"size": [1], "stride": [1], "padding": [(1, 1)], "border": "ignore"}
    for name in ("max_pool", "avg_pool", "box", "rms_pool"):
        assert evaluate(name, [x], attribs).tolist() == [0.0, 5.0, 7.0, 0.0]
    output, index = evaluate("max_pool_with_index", [x], attribs)
    assert output.tolist() == [0.0, 5.0, 7.0, 0.0]
    assert index.tolist() == [0, 0, 0, 0]


def test_inputs_are_never_changed() -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 4))
    before = x.copy()
    for name in ("box", "max_pool", "debox"):
        evaluate(name, [x], {"size": [1, 1, 1, 1]})
        evaluate(name, [x], {"size": [1, 1, 2, 2]})
    np.testing.assert_array_equal(x, before)


def test_macs() -> None:
    assert find("box").macs([[1, 2, 8, 8]], [[1, 2, 4, 4]], {"size": [1, 1, 3, 3]}) == 2 * 16 * 9
    assert find("debox").macs([[1, 2, 4, 4]], [[1, 2, 8, 8]], {"size": [1, 1, 3, 3]}) == 2 * 16 * 9
    for name in ("max_pool", "avg_pool", "rms_pool", "argmax_pool", "max_pool_with_index", "box", "debox"):
        assert find(name).macs_group == "pooling"


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("box", ([],), {"size": []}, "got a scalar"),
        ("max_pool", ([],), {"size": []}, "got a scalar"),
        ("debox", ([],), {"size": []}, "got a scalar"),
        ("box", ([1, 1, 8],), {"size": [3]}, "'size' must have 3 items"),
        ("max_pool", ([8],), {"size": [3], "border": "x"}, "'border' must be one of"),
        ("max_pool", ([8],), {"size": [0]}, "'size' must be positive"),
        ("avg_pool", ([2],), {"size": [5], "border": "reflect", "padding": [(2, 2)]}, "border 'reflect': at most 1"),
        ("avg_pool", ([2],), {"size": [5], "padding": [(1, 1)]}, "window of size 5"),
        ("avg_pool", ([2],), {}, "attribute 'size' is missing"),
        ("sample", ([4], [4]), {"size": [2], "stride": [2]}, r"'index' must have the shape \[2\]"),
        ("desample", ([4], [8]), {"size": [2], "stride": [2]}, r"'index' must have the shape \[4\]"),
        ("desample", ([4], [4]), {"size": [2], "border": "replicate"}, "'border' must be one of"),
        ("debox", ([4],), {"size": [2], "stride": [2], "output_shape": [10]}, "scales down to"),
        ("debox", ([4],), {"size": [2], "output_shape": [1, 4]}, "'output_shape' must be empty or have 1"),
        ("box", ([4], [4]), {"size": [2]}, r"takes 1 tensor arguments \(input\), got 2"),
    ],
)
def test_windows_that_do_not_fit(name: str, shapes: tuple[Any, ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer_shapes(name, shapes, attribs)


@pytest.mark.parametrize("name", ["sample", "desample"])
@pytest.mark.parametrize("index", [-1, 2])
def test_index_out_of_range(name: str, index: int) -> None:
    with pytest.raises(ExecutionError, match=r"indices must lie in \[0, 2\)"):
        evaluate(name, [np.zeros(2), np.array([0, index])], {"size": [2], "stride": [1], "padding": [(1, 0)]})


@pytest.mark.parametrize("border", ["constant", "ignore"])
def test_windows_far_larger_than_the_input(border: str) -> None:
    """Work and memory follow the input; by hand: every window sees all of it, from the middle on."""
    x = np.asarray([[2.0, -3.0, 5.0, 1.0]], np.float32)
    attribs = {"size": [1, 10**6], "border": border}
    means = np.full((1, 4), 5 / 4 if border == "ignore" else 5e-6)
    np.testing.assert_allclose(evaluate("box", [x], attribs), np.full((1, 4), 5.0))
    np.testing.assert_allclose(evaluate("avg_pool", [x], attribs), means, rtol=1e-6)
    np.testing.assert_allclose(evaluate("debox", [x], attribs), np.full((1, 4), 5.0))
    np.testing.assert_array_equal(evaluate("max_pool", [x], attribs), np.full((1, 4), 5.0))
    # 10**6 + 3 positions are covered, of which 499999 come before the first element
    first = 500_001 - np.arange(4)
    np.testing.assert_array_equal(evaluate("argmax_pool", [x], attribs), [first])
    negative = {"constant": [0] * 4, "ignore": list(first + 1)}[border]  # the first zero, or -1
    np.testing.assert_array_equal(evaluate("argmax_pool", [-np.abs(x)], attribs), [negative])


def test_elements_that_are_counted_without_all_of_the_window() -> None:
    for size, stride, dilation, pair in itertools.product(
        (1, 2, 7), (1, 3), (1, 2), ((0, 0), (5, 9), (-1, 12), (14, 0))
    ):
        try:
            placed = Window([size], "ignore", [pair], [stride], [dilation]).forward([4])
        except ShapeError:
            continue
        np.testing.assert_array_equal(placed.valid_counts(0), (placed.targets(0) >= 0).sum(axis=0))
        np.testing.assert_array_equal(placed.contributions(0), (placed.sources(0) >= 0).sum(axis=0))
