"""Reductions against torch, and by hand where torch has no equal."""

from __future__ import annotations

from itertools import combinations

import ml_dtypes
import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.registry import find

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
