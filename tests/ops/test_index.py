"""Gathering and scattering by index tensors, against onnxruntime and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ExecutionError, ShapeError

from ..support.onnx_models import run_node
from .kernels import infer, run_op


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_])
def test_gather_elements(dtype: type[Any], axis: int, rng: np.random.Generator) -> None:
    x = rng.integers(0, 2, (3, 4, 5)).astype(dtype)
    shape = [3, 4, 5]
    shape[axis] = 7
    indices = rng.integers(-x.shape[axis], x.shape[axis], shape)
    expected = run_node("GatherElements", [x, indices], axis=axis)[0]
    result = run_op("gather_elements", x, indices, axis=axis)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_gather_elements_of_a_part(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 5)).astype(np.float32)
    indices = rng.integers(0, 5, (2, 3))
    expected = torch.gather(torch.from_numpy(x), 1, torch.from_numpy(indices)).numpy()
    np.testing.assert_array_equal(run_op("gather_elements", x, indices, axis=1), expected)


@pytest.mark.parametrize(
    ("batch", "items", "lead"), [(0, 1, (2,)), (0, 2, (2, 3)), (0, 3, ()), (1, 1, (6,)), (1, 2, (2, 2)), (2, 1, ())]
)
def test_gather_nd(batch: int, items: int, lead: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    parts = [rng.integers(-n, n, (*x.shape[:batch], *lead)) for n in x.shape[batch : batch + items]]
    indices = np.stack(parts, axis=-1)
    expected = run_node("GatherND", [x, indices], batch_dims=batch)[0]
    np.testing.assert_array_equal(run_op("gather_nd", x, indices, batch_dims=batch), expected)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_elements(axis: int, dtype: type[Any], reduction: str, rng: np.random.Generator) -> None:
    x = rng.integers(1, 5, (4, 5)).astype(dtype)
    original = x.copy()
    indices = np.argsort(rng.random((4, 5)), axis=axis)
    indices = (indices if reduction == "none" else indices // 2)[:3, :4] % x.shape[axis]
    if reduction == "none":
        indices = np.argsort(np.argsort(indices, axis=axis), axis=axis) - x.shape[axis]
    updates = rng.integers(1, 5, indices.shape).astype(dtype)
    expected = run_node("ScatterElements", [x, indices, updates], axis=axis, reduction=reduction)[0]
    result = run_op("scatter_elements", x, indices, updates, axis=axis, reduction=reduction)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(x, original)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
@pytest.mark.parametrize("items", [1, 2, 3])
def test_scatter_nd(items: int, reduction: str, rng: np.random.Generator) -> None:
    x = rng.integers(1, 5, (3, 4, 5)).astype(np.float32)
    if reduction == "none":
        places = rng.permutation(int(np.prod(x.shape[:items])))[:2]
        indices = np.stack(np.unravel_index(places, x.shape[:items]), axis=-1)
    else:
        indices = np.stack([rng.integers(-n, n, (6,)) for n in x.shape[:items]], axis=-1)
    updates = rng.integers(1, 5, (len(indices), *x.shape[items:])).astype(np.float32)
    expected = run_node("ScatterND", [x, indices, updates], opset=18, reduction=reduction)[0]
    np.testing.assert_array_equal(run_op("scatter_nd", x, indices, updates, reduction=reduction), expected)


def test_scatter_of_halves_adds_in_float32() -> None:
    x = np.zeros(1, np.float16)
    result = run_op("scatter_nd", x, np.zeros((4096, 1), np.int64), np.ones(4096, np.float16), reduction="add")
    assert result.dtype == np.float16
    assert result.tolist() == [4096.0]
    replaced = run_op("scatter_nd", np.array([True, False]), np.array([[0]]), np.array([False]))
    assert (replaced.dtype, replaced.tolist()) == (np.bool_, [False, False])


ERRORS = [
    ("gather_elements", ([2, 3], [2]), {"axis": 0}, "rank of the input"),
    ("gather_elements", ([2, 3], [2, 4]), {"axis": 0}, "no larger extents except along axis"),
    ("gather_nd", ([2, 3], [2, 3]), {}, "must have 1 to 2 items"),
    ("gather_nd", ([2, 3], [3, 1]), {"batch_dims": 1}, "'batch_dims' 1"),
    ("gather_nd", ([2, 3], []), {}, "'indices' must have rank 1 at least"),
    ("scatter_elements", ([2, 3], [1, 3], [1, 2]), {"axis": 0}, "'updates' must have shape \\[1, 3\\], got \\[1, 2\\]"),
    ("scatter_elements", ([2], [1], [1]), {"axis": 0, "reduction": "sum"}, "'reduction' must be one of"),
    ("scatter_nd", ([2, 3], [4, 1], [4]), {}, "'updates' must have shape \\[4, 3\\]"),
]


@pytest.mark.parametrize(("name", "shapes", "attribs", "message"), ERRORS)
def test_errors(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)


@pytest.mark.parametrize("index", [-4, 3])
def test_indices_out_of_range(index: int) -> None:
    x, updates = np.zeros((3, 3), np.float32), np.zeros((1, 1), np.float32)
    indices = np.array([[index]])
    for name, inputs, attribs in (
        ("gather_elements", [x, indices], {"axis": 1}),
        ("gather_nd", [x, indices], {}),
        ("scatter_elements", [x, indices, updates], {"axis": 1}),
        ("scatter_nd", [x, indices, x[:1]], {}),
    ):
        with pytest.raises(ExecutionError, match=f"index {index} is out of range \\[-3, 3\\)"):
            run_op(name, *inputs, **attribs)
