"""Reductions against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import const, node_model
from .checks import check_node, convert

Random = Callable[..., Array]
REDUCTIONS = {
    "ReduceL1": ["abs", "sum_reduce"],
    "ReduceL2": ["sqr", "sum_reduce", "sqrt"],
    "ReduceLogSum": ["sum_reduce", "log"],
    "ReduceLogSumExp": ["max_reduce", "clamp", "sub", "exp", "sum_reduce", "log", "add"],
    "ReduceMax": ["max_reduce"],
    "ReduceMean": ["mean_reduce"],
    "ReduceMin": ["min_reduce"],
    "ReduceProd": ["product_reduce"],
    "ReduceSum": ["sum_reduce"],
    "ReduceSumSquare": ["sqr", "sum_reduce"],
}


@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions(random: Random, op: str) -> None:
    x = np.abs(random(2, 3, 4)) + 0.1 if op == "ReduceLogSum" else random(2, 3, 4)
    squeezed = [*REDUCTIONS[op], "squeeze"]
    check_node(op, [x], ops=REDUCTIONS[op])
    for axes in ([1], [-1, 0]):
        check_node(op, [x, const(axes)], ops=REDUCTIONS[op])
        check_node(op, [x, const(axes)], keepdims=0, ops=squeezed)
        check_node(op, [x], axes=axes, keepdims=0, opset=11, ops=squeezed)
    check_node(op, [x, const([])], keepdims=0)
    check_node(op, [x, const([])], noop_with_empty_axes=1)
    check_node(op, [x], noop_with_empty_axes=1)


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers(op: str, dtype: type) -> None:
    generator = np.random.default_rng(1)
    low = 1 if op.startswith("ReduceLog") else -9
    check_node(op, [generator.integers(low, 9, (2, 3)).astype(dtype)], keepdims=0)


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_extrema_of_other_types(op: str) -> None:
    generator = np.random.default_rng(2)
    logical = ["any_reduce" if op == "ReduceMax" else "all_reduce"]
    check_node(op, [generator.integers(0, 2, (2, 3)).astype(bool), const([1])], opset=20, ops=logical)
    check_node(op, [generator.integers(0, 200, (2, 3)).astype(np.uint8), const([1])], opset=20)
    check_node(op, [generator.integers(-100, 100, (2, 3)).astype(np.int8), const([1])], opset=20)


def test_log_sum_exp_of_large_and_infinite_values() -> None:
    inf = np.inf
    x = np.array([[-inf, -inf], [inf, 1], [-inf, 2], [200, -200], [3e38, 3e38]], np.float32)
    check_node("ReduceLogSumExp", [x, const([1])])


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_positions_of_extrema(op: str, dtype: type) -> None:
    x = np.random.default_rng(3).integers(0, 3, (3, 4, 3)).astype(dtype)  # with ties
    for axis in (0, 1, -1):
        for keepdims in (0, 1):
            for last in (0, 1):
                check_node(op, [x], axis=axis, keepdims=keepdims, select_last_index=last)


def test_wrong_axes_are_refused(random: Random) -> None:
    x = random(2, 3)
    for axes, reason in (([2], "axis 2 is out of range for rank 2"), ([0, -2], "repeat")):
        with pytest.raises(ConversionError, match=reason):
            convert(node_model("ReduceSum", [x], axes=axes, opset=11), [x])
    with pytest.raises(ConversionError, match=r"input 1 \('axes'\) must be a constant"):
        convert(node_model("ReduceSum", [x, np.array([0])]), [x, np.array([0])])
