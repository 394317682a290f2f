"""Reductions against torch, and by hand where torch has no equal."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.registry import find

from ..support.onnx_models import run_node
from .kernels import infer, run_op

SHAPES = [(5,), (3, 4), (2, 3, 4), (2, 3, 1, 4)]
CASES = [
    (shape, axes) for shape in SHAPES for n in range(1, len(shape) + 1) for axes in combinations(range(len(shape)), n)
]

TORCH = {
    "sum_reduce": lambda x, axes: x.sum(axes, keepdim=True),
    "mean_reduce": lambda x, axes: x.mean(axes, keepdim=True),
    "max_reduce": lambda x, axes: x.amax(axes, keepdim=True),
    "min_reduce": lambda x, axes: x.amin(axes, keepdim=True),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_numbers(name: str, shape: tuple[int, ...], axes: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=shape).astype(np.float32)
    expected = TORCH[name](torch.from_numpy(x), axes).numpy()
    result = run_op(name, x, axes=list(axes))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    if name == "mean_reduce":
        np.testing.assert_allclose(
            run_op("sum_reduce", x, axes=list(axes), normalize=True), expected, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_logical(shape: tuple[int, ...], axes: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.random(shape) < 0.4
    np.testing.assert_array_equal(run_op("any_reduce", x, axes=list(axes)), x.any(axes, keepdims=True))
    np.testing.assert_array_equal(run_op("all_reduce", x, axes=list(axes)), x.all(axes, keepdims=True))


@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_moments(shape: tuple[int, ...], axes: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(3.0, size=shape).astype(np.float32)
    mean, variance = run_op("moments", x, axes=list(axes))
    t = torch.from_numpy(x)
    np.testing.assert_allclose(mean, t.mean(axes, keepdim=True).numpy(), rtol=1e-5)
    np.testing.assert_allclose(variance, t.var(axes, correction=0, keepdim=True).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("shape", "axes"), CASES)
def test_arg_reduce_is_the_row_major_index_of_the_first(
    shape: tuple[int, ...], axes: tuple[int, ...], largest: bool, rng: np.random.Generator
) -> None:
    x = rng.integers(0, 3, shape).astype(np.float32)
    result = run_op("argmax_reduce" if largest else "argmin_reduce", x, axes=list(axes))
    assert result.dtype == np.int64
    kept = [i for i in range(len(shape)) if i not in axes]
    for where in np.ndindex(*(shape[i] for i in kept)):
        index = [slice(None)] * len(shape)
        for i, position in zip(kept, where, strict=True):
            index[i] = position
        values = list(x[tuple(index)].ravel())
        target = [0] * len(shape)
        for i, position in zip(kept, where, strict=True):
            target[i] = position
        assert result[tuple(target)] == values.index(max(values) if largest else min(values))


def test_axes_order_does_not_matter(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(run_op("argmax_reduce", x, axes=[2, 0]), run_op("argmax_reduce", x, axes=[0, 2]))


def test_no_axes_is_the_identity() -> None:
    x = np.array([[1.5, -2.0]], np.float32)
    for name in ("sum_reduce", "max_reduce", "min_reduce", "mean_reduce"):
        np.testing.assert_array_equal(run_op(name, x, axes=[]), x)
    np.testing.assert_array_equal(run_op("argmax_reduce", x, axes=[]), np.zeros((1, 2)))
    np.testing.assert_array_equal(run_op("moments", x, axes=[])[1], np.zeros((1, 2)))


def test_halves_are_summed_in_float32() -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16):
        result = run_op("sum_reduce", np.ones((1, 4096), dtype), axes=[1])
        assert result.dtype == dtype
        assert float(result[0, 0]) == 4096.0
    assert float(run_op("mean_reduce", np.full((1, 4096), 60000, np.float16), axes=[1])[0, 0]) == 60000.0


def test_integers_keep_their_type() -> None:
    x = np.array([[1, 2, 3]], np.int32)
    result = run_op("sum_reduce", x, axes=[1])
    assert result.dtype == np.int32
    assert result.tolist() == [[6]]
    assert run_op("max_reduce", x, axes=[1]).dtype == np.int32


@pytest.mark.parametrize(
    ("name", "shape", "axes", "message"),
    [
        ("sum_reduce", [2, 3], [2], "'axes' must lie in \\[0, 2\\), got \\[2\\]"),
        ("sum_reduce", [2, 3], [-1], "'axes' must lie in"),
        ("max_reduce", [2, 3], [1, 1], "'axes' must be unique"),
        ("argmax_reduce", [], [0], "'axes' must lie in"),
        ("max_reduce", [2, 0], [1], "empty extent"),
        ("moments", [2, 0], [1], "empty extent"),
    ],
)
def test_errors(name: str, shape: list[int], axes: list[int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, shape, axes=axes)


def test_macs() -> None:
    for name in ("sum_reduce", "moments", "argmax_reduce", "any_reduce"):
        definition = find(name)
        assert definition.macs_group == "reduction"
        assert definition.macs([[2, 3, 4]], [[2, 1, 4]], {"axes": [1]}) == 24


@pytest.mark.parametrize("axes", [[0], [1, 2], []])
def test_product_reduce(axes: list[int], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    if axes:
        expected = run_node("ReduceProd", [x, np.array(axes)])[0]
    else:
        expected = x
    np.testing.assert_allclose(run_op("product_reduce", x, axes=axes), expected, rtol=1e-5)


@pytest.mark.parametrize(("exclusive", "reverse"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_cum_sum(dtype: type[Any], axis: int, exclusive: bool, reverse: bool, rng: np.random.Generator) -> None:
    x = rng.integers(-9, 9, (3, 4)).astype(dtype)
    expected = run_node("CumSum", [x, np.array(axis)], exclusive=int(exclusive), reverse=int(reverse))[0]
    result = run_op("cum_sum", x, axis=axis, exclusive=exclusive, reverse=reverse)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_cum_sum_of_halves_and_infinities() -> None:
    result = run_op("cum_sum", np.full(4096, 1, np.float16), axis=0)
    assert result.dtype == np.float16
    assert result[-1] == 4096
    x = np.array([np.inf, 1.0], np.float32)
    assert run_op("cum_sum", x, axis=0, exclusive=True).tolist() == [0.0, np.inf]
    assert x.tolist() == [np.inf, 1.0]


@pytest.mark.parametrize(("exclusive", "reverse"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_cum_prod(dtype: type[Any], axis: int, exclusive: bool, reverse: bool, rng: np.random.Generator) -> None:
    x = rng.integers(-3, 4, (3, 4)).astype(dtype)
    flip = (lambda a: np.flip(a, axis)) if reverse else (lambda a: a)
    values = flip(x)
    expected = np.ones_like(x)
    for k in range(x.shape[axis]):
        factors = np.take(values, range(k if exclusive else k + 1), axis)
        np.moveaxis(expected, axis, 0)[k] = np.prod(factors, axis)
    result = run_op("cum_prod", x, axis=axis, exclusive=exclusive, reverse=reverse)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, flip(expected))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_top_k(dtype: type[Any], axis: int, largest: bool, rng: np.random.Generator) -> None:
    x = rng.integers(0, 6, (4, 5, 6)).astype(dtype)
    values, indices = run_op("top_k", x, k=3, axis=axis, largest=largest)
    expected = run_node("TopK", [x, np.array([3])], outputs=2, axis=axis, largest=int(largest))
    assert (values.dtype, indices.dtype) == (dtype, np.int64)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_array_equal(np.take_along_axis(x, indices, axis), values)


def test_top_k_of_half_precision() -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16):
        values, indices = run_op("top_k", np.array([1, 3, 2, 3], dtype), k=3, axis=0)
        assert (values.dtype, values.tolist(), indices.tolist()) == (dtype, [3, 3, 2], [1, 3, 2])


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("cum_sum", ([2],), {"axis": 1}, "'axis' must lie in \\[-1, 1\\), got 1"),
        ("top_k", ([2, 3],), {"k": 4, "axis": 1}, "'k' must lie in \\[1, 3\\] for axis 1 of shape \\[2, 3\\], got 4"),
        ("top_k", ([2, 3],), {"k": 0, "axis": 1}, "'k' must lie in"),
    ],
)
def test_errors_of_extensions(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)
