"""Matrix products and sums against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.registry import find

from .kernels import infer, run_op


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize(("left", "right"), [((), ()), ((3,), (3,)), ((3,), (1,)), ((2, 1), (1, 4)), ((1, 1), (2, 3))])
def test_matmul(
    left: tuple[int, ...], right: tuple[int, ...], transpose_a: bool, transpose_b: bool, rng: np.random.Generator
) -> None:
    a = rng.normal(size=(*left, *((5, 4) if transpose_a else (4, 5)))).astype(np.float32)
    b = rng.normal(size=(*right, *((6, 5) if transpose_b else (5, 6)))).astype(np.float32)
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    expected = torch.matmul(ta.mT if transpose_a else ta, tb.mT if transpose_b else tb).numpy()
    result = run_op("matmul", a, b, transposeA=transpose_a, transposeB=transpose_b)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_matmul_of_halves_accumulates_in_float32() -> None:
    a, b = np.ones((1, 4096), np.float16), np.ones((4096, 1), np.float16)
    result = run_op("matmul", a, b)
    assert result.dtype == np.float16
    assert result.tolist() == [[4096.0]]


@pytest.mark.parametrize("bias_shape", [(), (1,), (1, 1), (1, 4)])
def test_linear(bias_shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 5)).astype(np.float32)
    w = rng.normal(size=(4, 5)).astype(np.float32)
    bias = rng.normal(size=bias_shape).astype(np.float32)
    expected = torch.nn.functional.linear(torch.from_numpy(x), torch.from_numpy(w)).numpy() + bias
    np.testing.assert_allclose(run_op("linear", x, w, bias), expected, rtol=1e-4, atol=1e-5)


def test_add_n(rng: np.random.Generator) -> None:
    items = [rng.normal(size=(2, 3)).astype(np.float32) for _ in range(4)]
    np.testing.assert_allclose(run_op("add_n", items), np.sum(items, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run_op("add_n", items[:1]), items[0])
    assert run_op("add_n", []) == 0.0


def test_copy_n() -> None:
    x = np.array([1, 2], np.int16)
    result = run_op("copy_n", x, times=3)
    assert len(result) == 3
    assert all(item.dtype == np.int16 and item.tolist() == [1, 2] for item in result)


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("matmul", ([2, 3, 4], [4, 5]), {}, "equal ranks, got shapes \\[2, 3, 4\\] and \\[4, 5\\]"),
        ("matmul", ([3], [3]), {}, "rank 2 at least"),
        ("matmul", ([2, 3], [4, 5]), {}, "inner extents of 'A' and 'B' must agree, got 3 and 4"),
        ("matmul", ([3, 2], [3, 5]), {}, "inner extents"),
        ("matmul", ([2, 3, 4], [3, 4, 5]), {}, "do not broadcast"),
        ("linear", ([3, 5], [4, 6], []), {}, "equal extents in dimension 1"),
        ("linear", ([3, 5, 1], [4, 5], []), {}, "'input' must have rank 2"),
        (
            "linear",
            ([3, 5], [4, 5], [4]),
            {},
            "'bias' must have shape \\[1, 4\\] or be a single value, got shape \\[4\\]",
        ),
        ("linear", ([3, 5], [4, 5], [3, 1]), {}, "'bias' must have shape"),
        ("add_n", ([[2, 3], [2, 1]],), {}, "'x' must have equal shapes, got \\[2, 3\\], \\[2, 1\\]"),
        ("copy_n", ([2],), {"times": 0}, "'times' must be positive"),
        ("copy_n", ([2],), {"times": -1}, "'times' must be positive"),
    ],
)
def test_errors(name: str, shapes: tuple[Any, ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)


def test_macs() -> None:
    assert find("linear").macs([[3, 5], [4, 5], []], [[3, 4]], {}) == 60
    flags = {"transposeA": False, "transposeB": False}
    assert find("matmul").macs([[2, 3, 4], [2, 4, 5]], [[2, 3, 5]], flags) == 120
    assert find("matmul").macs([[2, 4, 3], [2, 4, 5]], [[2, 3, 5]], {**flags, "transposeA": True}) == 120


def test_inverse(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 3)).astype(np.float32)
    expected = torch.linalg.inv(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run_op("inverse", x), expected, rtol=1e-3, atol=1e-5)
    singular = np.stack([np.ones((2, 2), np.float32), 2 * np.eye(2, dtype=np.float32)])
    result = run_op("inverse", singular)
    assert np.isnan(result[0]).all() and result[1].tolist() == [[0.5, 0], [0, 0.5]]


def test_det(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(run_op("det", x), torch.linalg.det(torch.from_numpy(x)).numpy(), rtol=1e-3, atol=1e-5)
    assert run_op("det", np.eye(3, dtype=np.float32)).shape == ()
    assert run_op("det", np.eye(3, dtype=np.float16)).dtype == np.float16


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("det", ([2, 3],), {}, "square matrices"),
        ("det", ([2],), {}, "square matrices"),
    ],
)
def test_errors_of_extensions(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)
