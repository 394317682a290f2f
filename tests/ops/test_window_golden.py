"""Golden vectors, computed by hand from the formulas of the standard, of the families of sliding windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.ops.inference import evaluate

from ..support.arrays import Array


def row(*items: int) -> Array:
    """A one-dimensional signal as [1, 1, n]."""
    return np.array(items, np.float32)[None, None]


def check(actual: Array, expected: list[Any]) -> None:
    np.testing.assert_allclose(np.ravel(actual), expected, rtol=1e-6)


def full(
    size: int = 1, stride: int | None = None, padding: tuple[int, ...] | None = None, **attribs: bool | str
) -> dict[str, Any]:
    """Attributes of a full-rank window for [1, 1, n]."""
    attribs["size"] = [1, 1, size]
    if stride is not None:
        attribs["stride"] = [1, 1, stride]
    if padding is not None:
        attribs["padding"] = [(0, 0), (0, 0), padding]
    return attribs


@pytest.mark.parametrize(
    ("attribs", "expected"),
    [
        ({}, [100, 210, 321, 432, 43]),
        ({"stride": [2]}, [100, 321, 43]),
        ({"padding": [(0, 0)]}, [210, 321, 432]),
        ({"padding": [(0, 0)], "dilation": [2]}, [420]),
        ({"dilation": [2]}, [200, 310, 420, 31, 42]),
        ({"border": "replicate"}, [100, 210, 321, 432, 443]),
        ({"border": "reflect"}, [101, 210, 321, 432, 343]),
        ({"border": "reflect-even"}, [100, 210, 321, 432, 443]),
        ({"padding": [(-1, -1)]}, [321]),
    ],
)
def test_conv(attribs: dict[str, Any], expected: list[int]) -> None:
    check(evaluate("conv", [row(0, 1, 2, 3, 4), row(1, 10, 100), 0.0], attribs), expected)


def test_conv_surplus_of_automatic_padding_is_at_the_end() -> None:
    check(evaluate("conv", [row(0, 1, 2, 3), row(1, 10), 0.0], {}), [10, 21, 32, 3])


@pytest.mark.parametrize(
    ("attribs", "expected"),
    [
        ({}, [0, 0, 1, 10, 102, 20]),
        ({"padding": [(0, 0)]}, [0, 0, 1, 10, 102, 20, 200]),
        ({"padding": [(1, 0)]}, [0, 1, 10, 102, 20, 200]),
        ({"padding": [(0, 0)], "output_shape": [1, 1, 8]}, [0, 0, 1, 10, 102, 20, 200, 0]),
    ],
)
def test_deconv(attribs: dict[str, Any], expected: list[int]) -> None:
    check(evaluate("deconv", [row(0, 1, 2), row(1, 10, 100), 0.0], {"stride": [2], **attribs}), expected)


def test_deconv_filter_layout_is_input_channels_first() -> None:
    filter = np.array([[1, 2, 3], [10, 20, 30]], np.float32)[..., None]
    check(evaluate("deconv", [np.ones((1, 2, 1), np.float32), filter, 0.0], {}), [11, 22, 33])


def test_depthwise_with_multiplier() -> None:
    filter = np.array([1, 2, 3, 4], np.float32).reshape(4, 1, 1)
    check(evaluate("conv", [np.ones((1, 2, 1), np.float32), filter, 0.0], {"groups": 0}), [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("attribs", "expected"),
    [
        ({}, [1, 3, 6, 5]),
        ({"normalize": True}, [1 / 3, 1, 2, 5 / 3]),
        ({"normalize": True, "border": "ignore"}, [0.5, 1, 2, 2.5]),
    ],
)
def test_box(attribs: dict[str, Any], expected: list[Any]) -> None:
    check(evaluate("box", [row(0, 1, 2, 3)], full(3, **attribs)), expected)


@pytest.mark.parametrize(("border", "expected"), [("constant", [0, -8, -7, 0]), ("ignore", [-9, -8, -7, -7])])
def test_max_pool_of_negatives(border: str, expected: list[int]) -> None:
    check(evaluate("max_pool", [row(-10, -9, -8, -7)], full(3, border=border)), expected)


def test_max_pool_automatic() -> None:
    check(evaluate("max_pool", [row(0, 1, 2, 3, 4)], full(2, stride=2)), [1, 3, 4])


@pytest.mark.parametrize(
    ("size", "padding", "index", "values"),
    [(2, (0, 0), [1, 0, 0], [3, 3, -2]), (3, (1, 1), [2, 0, 0], [3, 3, -1])],
)
def test_argmax_pool_and_sample(size: int, padding: tuple[int, ...], index: list[int], values: list[int]) -> None:
    x = row(1, 3, 3, -1, -2, -5)
    attribs = full(size, stride=2, padding=padding)
    found = evaluate("argmax_pool", [x], attribs)
    assert found.dtype == np.int64
    check(found, index)
    check(evaluate("sample", [x, found], attribs), values)
    output, again = evaluate("max_pool_with_index", [x], attribs)
    check(output, values)
    check(again, index)


@pytest.mark.parametrize(
    ("index", "size", "padding", "output", "expected"),
    [
        ([1, 0, 0], 2, (0, 0), [], [0, 10, 20, 0, 30, 0]),
        ([2, 0, 0], 3, (1, 1), [1, 1, 6], [0, 30, 0, 30, 0, 0]),
    ],
)
def test_desample(
    index: list[int], size: int, padding: tuple[int, ...], output: list[int], expected: list[int]
) -> None:
    attribs = {**full(size, stride=2, padding=padding), "output_shape": output}
    check(evaluate("desample", [row(10, 20, 30), np.array(index)[None, None]], attribs), expected)


@pytest.mark.parametrize(
    ("factor", "method", "border", "expected"),
    [
        (2, "symmetric", "replicate", [1, 1.25, 1.75, 2.5, 3.5, 4]),
        (2, "symmetric", "constant", [0.75, 1.25, 1.75, 2.5, 3.5, 3]),
        (2, "asymmetric", "replicate", [1, 1.5, 2, 3, 4, 4]),
        (2, "asymmetric", "constant", [1, 1.5, 2, 3, 4, 2]),
        (2, "aligned", "replicate", [1, 1.4, 1.8, 2.4, 3.2, 4]),
        (3, "symmetric", "replicate", [1, 1, 4 / 3, 5 / 3, 2, 8 / 3, 10 / 3, 4, 4]),
        (3, "asymmetric", "replicate", [1, 4 / 3, 5 / 3, 2, 8 / 3, 10 / 3, 4, 4, 4]),
        (2, "symmetric", "reflect", [1.25, 1.25, 1.75, 2.5, 3.5, 3.5]),
        (2, "symmetric", "reflect-even", [1, 1.25, 1.75, 2.5, 3.5, 4]),
    ],
)
def test_multilinear_upsample(factor: int, method: str, border: str, expected: list[float]) -> None:
    attribs = {"factor": [factor], "method": method, "border": border}
    check(evaluate("multilinear_upsample", [row(1, 2, 4)], attribs), expected)


def test_resampling_by_cells() -> None:
    x = row(0, 1, 2, 5)
    check(evaluate("nearest_downsample", [x], {"factor": [2]}), [0, 2])
    check(evaluate("area_downsample", [x], {"factor": [2]}), [0.5, 3.5])
    check(evaluate("nearest_upsample", [row(1, 2)], {"factor": [3]}), [1, 1, 1, 2, 2, 2])


def test_whole_model_of_the_digest() -> None:
    x, w, b = (np.ones(s, np.float32) for s in ([1, 3, 8, 8], [4, 3, 3, 3], [1, 4]))
    c = evaluate("conv", [x, w, b], {"padding": [(1, 1), (1, 1)], "stride": [2, 2]})
    assert c.shape == (1, 4, 4, 4)
    assert c[0, 0, 0, 0] == 13 and c[0, 3, 1, 1] == 28
    size = [1, 1, 4, 4]
    y = evaluate("avg_pool", [c], {"size": size, "stride": size, "border": "ignore", "padding": [(0, 0)] * 4})
    assert y.shape == (1, 4, 1, 1)
