"""Element-wise operations: values, IEEE cases, broadcasting from the left, precision."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.broadcast import align, broadcast_shape
from nnef_tools.ops.inference import evaluate, infer_shapes

from ..support.onnx_models import run_node
from .kernels import infer, run_op

TORCH = {
    "neg": torch.neg,
    "rcp": torch.reciprocal,
    "exp": torch.exp,
    "log": torch.log,
    "abs": torch.abs,
    "sign": lambda x: torch.where(torch.isnan(x), x, torch.sign(x)),  # torch alone turns NaN into 0
    "floor": torch.floor,
    "ceil": torch.ceil,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "sqr": torch.square,
    "sqrt": torch.sqrt,
    "rsqr": lambda x: x**-2,
    "rsqrt": torch.rsqrt,
    "log2": torch.log2,
}
TORCH_BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "lt": torch.lt,
    "gt": torch.gt,
    "le": torch.le,
    "ge": torch.ge,
    "eq": torch.eq,
    "ne": torch.ne,
    "min": torch.minimum,
    "max": torch.maximum,
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.3, -2.7, 5.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TORCH)
def test_unary(name: str, dtype: type[Any]) -> None:
    x = np.array(SPECIAL, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(name, [x], {})
    assert result.dtype == dtype
    np.testing.assert_allclose(result, TORCH[name](torch.from_numpy(x)).numpy(), rtol=2e-6)


@pytest.mark.parametrize("name", TORCH_BINARY)
def test_binary(name: str) -> None:
    x, y = (np.array(a, np.float32) for a in np.meshgrid(SPECIAL, SPECIAL))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(name, [x, y], {})
    expected = TORCH_BINARY[name](torch.from_numpy(x), torch.from_numpy(y)).numpy()
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], [-2, -1, 0, 1, 2, 3]),
        ([0.49999997, -0.50000006, 8388609.0, 16777215.0], [0, -1, 8388609.0, 16777215.0]),
        ([np.inf, -np.inf, np.nan], [np.inf, -np.inf, np.nan]),
    ],
)
def test_round_is_half_up(x: list[float], expected: list[Any]) -> None:
    np.testing.assert_array_equal(evaluate("round", [np.array(x, np.float32)], {}), expected)


def test_logic() -> None:
    x, y = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert evaluate("and", [x, y], {}).tolist() == [True, False, False, False]
    assert evaluate("or", [x, y], {}).tolist() == [True, True, True, False]
    assert evaluate("not", [x], {}).tolist() == [False, False, True, True]


def test_clamp_lets_the_lower_bound_win() -> None:
    x = np.array([-3.0, 0.5, 7.0, np.nan], np.float32)
    np.testing.assert_array_equal(evaluate("clamp", [x, -1.0, 2.0], {}), [-1, 0.5, 2, np.nan])
    np.testing.assert_array_equal(evaluate("clamp", [x, 5.0, 2.0], {})[:3], [5, 5, 5])


def test_select_broadcasts_three_ways() -> None:
    condition = np.array([True, False])
    yes, no = np.arange(6).reshape(2, 3), np.array([[10, 20, 30]])
    result = evaluate("select", [condition, yes, no], {"dtype": np.int64})
    assert result.tolist() == [[0, 1, 2], [10, 20, 30]]
    assert result.dtype == np.int64


def test_binary_broadcasts_from_the_left() -> None:
    x, y = np.array([[0, 1, 2], [3, 4, 5]], np.float32), np.array([10, 20], np.float32)
    assert evaluate("add", [x, y], {}).tolist() == [[10, 11, 12], [23, 24, 25]]
    assert evaluate("sub", [y, x], {}).tolist() == [[10, 9, 8], [17, 16, 15]]
    with pytest.raises(ShapeError, match=r"add: shapes \[2, 3\], \[3\] do not broadcast"):
        evaluate("add", [x, np.zeros(3)], {})


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([[2, 3], [2]], [2, 3]),
        ([[2, 3], [1, 3]], [2, 3]),
        ([[1, 8, 5, 5], [1, 8]], [1, 8, 5, 5]),
        ([[4, 1], [1, 6]], [4, 6]),
        ([[2, 3], []], [2, 3]),
        ([[], []], []),
        ([[0, 3], [1, 3]], [0, 3]),
        ([[2], [1, 3], [1, 1, 4]], [2, 3, 4]),
        ([[2, 3], [3]], None),
        ([[0, 3], [2, 3]], None),
    ],
)
def test_broadcast_shape(shapes: list[Any], expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(ShapeError, match="do not broadcast"):
            broadcast_shape(*shapes)
        return
    assert broadcast_shape(*shapes) == expected
    assert infer_shapes("select" if len(shapes) == 3 else "mul", shapes, {}) == expected
    aligned = align(*(np.zeros(shape) for shape in shapes))
    assert list(np.broadcast_shapes(*(a.shape for a in aligned))) == expected


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: type[Any]) -> None:
    x = np.array([3.0, 200.0, 0.1], dtype)
    result = evaluate("sqr", [x], {})
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.square(x.astype(np.float32)).astype(dtype))
    # A sum that would lose every addend in half precision, and a literal that does not widen the result.
    ones = np.ones((1, 1, 4000), dtype)
    total = evaluate("conv", [ones, ones, np.float32(0)], {"padding": [(0, 0)]})
    assert total.dtype == dtype
    assert total.ravel().tolist() == [float(dtype(4000))]
    assert evaluate("lt", [x, np.float32(1)], {}).tolist() == [False, False, True]


def test_literals_do_not_widen() -> None:
    x = np.ones(2, np.float32)
    assert evaluate("add", [x, np.float64(0.1)], {}).dtype == np.float32
    assert evaluate("add", [np.ones(2), np.float32(1)], {}).dtype == np.float64
    assert evaluate("select", [np.array([True, False]), x.astype(np.float16), 0.0], {}).dtype == np.float16
    assert evaluate("add", [np.float32(1), np.float32(2)], {}).shape == ()


def test_copy_keeps_any_type() -> None:
    for dtype in (np.float16, np.int8, np.bool_):
        assert evaluate("copy", [np.ones(2, dtype)], {"dtype": np.float32}).dtype == dtype


def test_unsigned_and_signed_integers_of_64_bits() -> None:
    """numpy would make float64 of both, which holds neither."""
    x, u = np.array([-1, 2**53 + 1, 5]), np.array([2**53 + 1, 2**53 + 2, 3], np.uint64)
    condition = np.array([True, False, True])
    assert run_op("select", condition, x, u).tolist() == [-1, 2**53 + 2, 5]
    assert run_op("max", x, u).tolist() == [2**53 + 1, 2**53 + 2, 5]
    assert run_op("clamp", u, x, np.int64(2**53 + 1)).tolist() == [2**53 + 1, 2**53 + 1, 5]
    assert run_op("eq", x, u - np.uint64(1)).tolist() == [False, True, False]
    assert run_op("concat", [x, u], axis=0).tolist() == [*x.tolist(), *u.tolist()]
    assert run_op("bitwise_xor", x, u).tolist() == [-(2**53) - 2, 3, 6]
    assert run_op("shift_right", x, np.uint64(1)).tolist() == [-1, 2**52, 2]


def test_erf() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-7, 7, 20001), [np.inf, -np.inf, np.nan, 1e-300, -0.0]])
    np.testing.assert_allclose(run_op("erf", x), special.erf(x), rtol=2e-15)
    narrow = x.astype(np.float32)
    result = run_op("erf", narrow)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, special.erf(narrow.astype(np.float64)), rtol=1e-7)
    assert run_op("erf", x.astype(ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16
    assert run_op("erf", np.float32(0.5)).shape == ()
    assert run_op("erf", np.zeros((0, 2), np.float32)).shape == (0, 2)
    np.testing.assert_array_equal(run_op("erf", narrow[:10].reshape(2, 5).T), result[:10].reshape(2, 5).T)


def test_fmod() -> None:
    x = np.array([7.5, -7.5, 1e30, 0.3, 5, np.inf, 3], np.float32)
    y = np.array([2, 2, 0.7, 0.1, np.inf, 2, 0], np.float32)
    expected = torch.fmod(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    np.testing.assert_array_equal(run_op("fmod", x, y), expected)
    assert run_op("fmod", x[:2], y[:2]).tolist() == [1.5, -1.5]
    assert run_op("fmod", np.full((2, 3), 5, np.float32), np.array([2, 3], np.float32)).tolist() == [[1] * 3, [2] * 3]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_bits(dtype: type[Any], rng: np.random.Generator) -> None:
    info = np.iinfo(dtype)
    x, y = (rng.integers(info.min, info.max, (3, 4), dtype=dtype, endpoint=True) for _ in range(2))
    for ours, theirs in {"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor"}.items():
        result = run_op(ours, x, y)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, run_node(theirs, [x, y])[0])
    np.testing.assert_array_equal(run_op("bitwise_not", x), run_node("BitwiseNot", [x])[0])
    assert run_op("bitwise_and", x, np.int64(1)).dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64])
def test_shifts(dtype: type[Any], rng: np.random.Generator) -> None:
    x = rng.integers(0, np.iinfo(dtype).max, (3, 4), dtype=dtype)
    y = rng.integers(0, np.iinfo(dtype).bits, (3, 4), dtype=dtype)
    for name, direction in (("shift_left", "LEFT"), ("shift_right", "RIGHT")):
        expected = run_node("BitShift", [x, y], direction=direction)[0]
        np.testing.assert_array_equal(run_op(name, x, y), expected)
    assert run_op("shift_right", np.array([-8]), np.array([1])).tolist() == [-4]


def test_bits_broadcast_from_the_left() -> None:
    result = run_op("bitwise_or", np.array([[1, 2], [1, 2]]), np.array([0, 4]))
    assert result.tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("bitwise_and", ([2, 3], [3]), {}, "do not broadcast"),
    ],
)
def test_errors_of_extensions(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)
