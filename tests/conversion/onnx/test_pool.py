"""Pooling against onnxruntime: ceil_mode, padding that counts or not, dilation, indices."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import node_model
from .checks import check, check_node, convert

Random = Callable[..., Array]

POOLS = [("MaxPool", {}), ("AveragePool", {}), ("AveragePool", {"count_include_pad": 1}), ("LpPool", {"p": 3})]


@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize(("op", "extra"), POOLS)
def test_windows(random: Random, op: str, extra: dict[str, Any], ceil_mode: int) -> None:
    x = random(1, 2, 7, 8)
    sizes, strides = [[2, 2], [3, 2], [1, 4]], [[1, 1], [2, 2], [4, 3]]
    pads, dilations = [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], [[1, 1], [2, 1], [1, 2]]
    for size, stride, pad, dilation in itertools.product(sizes, strides, pads, dilations):
        check_node(op, [x], kernel_shape=size, strides=stride, pads=pad, dilations=dilation, ceil_mode=ceil_mode,
                   opset=22, **extra)  # fmt: skip


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("op", "extra"), POOLS)
def test_automatic_padding(random: Random, op: str, extra: dict[str, Any], auto_pad: str) -> None:
    x = random(1, 2, 7, 8)
    for size, stride in itertools.product([[2, 2], [3, 4]], [[1, 1], [2, 1], [2, 2]]):
        check_node(op, [x], kernel_shape=size, strides=stride, auto_pad=auto_pad, **extra)


def test_ceil_mode_means_nothing_for_automatic_padding() -> None:
    """By the specification VALID gives ceil((7 - 2 + 1) / 2) = 3 windows of 2 with either mode."""
    x = np.arange(7, dtype=np.float32).reshape(1, 1, 7)
    expected = np.array([1, 3, 5], np.float32).reshape(1, 1, 3)
    check_node("MaxPool", [x], kernel_shape=[2], strides=[2], auto_pad="VALID", ceil_mode=1, expected=[expected])


def test_window_that_starts_in_the_padding_is_dropped() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    result = check_node("MaxPool", [x], kernel_shape=[2], strides=[3], pads=[0, 1], ceil_mode=1)
    assert result.outputs[0].shape == (1, 1, 2)


def test_operations(random: Random) -> None:
    x = random(1, 2, 6, 6)
    check_node("MaxPool", [x], kernel_shape=[2, 2], ops=["max_pool"])
    check_node("AveragePool", [x], kernel_shape=[2, 2], pads=[1, 1, 1, 1], ops=["avg_pool"])
    check_node("AveragePool", [x], kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1, ops=["avg_pool"])
    both = {"pads": [1, 1, 1, 1], "count_include_pad": 1, "ceil_mode": 1, "strides": [2, 2]}
    check_node("AveragePool", [x], kernel_shape=[3, 3], ops=["pad", "avg_pool"], **both)
    check_node("LpPool", [x], kernel_shape=[2, 2], p=1, ops=["abs", "box"])
    check_node("LpPool", [x], kernel_shape=[2, 2], ops=["sqr", "box", "sqrt"])
    check_node("GlobalMaxPool", [x], ops=["max_reduce"])
    check_node("GlobalAveragePool", [x], ops=["mean_reduce"])
    for p in (1, 2, 3):
        check_node("GlobalLpPool", [x], p=p)
    for op in ("GlobalMaxPool", "GlobalAveragePool"):
        check_node(op, [random(2, 3, 5)])


@pytest.mark.parametrize("storage_order", [0, 1])
@pytest.mark.parametrize(
    ("shape", "attribs"),
    [
        ((2, 3, 7, 8), {"kernel_shape": [2, 2]}),
        ((2, 3, 7, 8), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}),
        ((2, 3, 7, 8), {"kernel_shape": [2, 2], "strides": [2, 1], "pads": [0, 1, 1, 0], "dilations": [2, 2]}),
        ((1, 2, 4, 5, 6), {"kernel_shape": [2, 3, 2], "strides": [2, 1, 2]}),
    ],
)
def test_indices(random: Random, shape: tuple[int, ...], attribs: dict[str, Any], storage_order: int) -> None:
    result = check_node("MaxPool", [random(*shape)], 2, storage_order=storage_order, **attribs)
    assert result.ops[0] == "max_pool_with_index"


def test_indices_of_one_dimension_and_alone(random: Random) -> None:
    check_node("MaxPool", [random(1, 2, 9)], 2, kernel_shape=[3], strides=[2], pads=[1, 1])
    check_node("MaxPool", [random(1, 2, 9)], ["y", ""], kernel_shape=[3], ops=["max_pool"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_narrow_integers(dtype: type) -> None:
    x = np.random.default_rng(0).integers(-128, 0, (1, 2, 5, 5)).astype(dtype)
    check_node("MaxPool", [x], kernel_shape=[2, 2], pads=[1, 1, 0, 0], ops=["cast", "max_pool", "cast"])


def test_wrong_kernel_shape_is_refused(random: Random) -> None:
    x = random(1, 2, 5, 5)
    with pytest.raises(ConversionError, match=r"kernel_shape \[2\] does not fit"):
        convert(node_model("MaxPool", [x], kernel_shape=[2]), [x])


@pytest.mark.parametrize(
    ("pads", "ceil_mode"), [([1, 1, 1, 1], 0), ([1, 0, 2, 1], 0), ([1, 1, 1, 1], 1), ([3, 0, 0, 0], 0)]
)
def test_maxima_of_what_was_surrounded_by_infinity(random: Random, pads: list[int], ceil_mode: int) -> None:
    """It is the border of the pooling, unless a window has nothing else."""
    places, value = np.asarray([0, 0, *pads[:2], 0, 0, *pads[2:]]), np.float32(-np.inf)
    pool = make_node("MaxPool", ["z"], ["y"], kernel_shape=[3, 2], strides=[2, 2], ceil_mode=ceil_mode)
    nodes = [make_node("Pad", ["x", "pads", "value"], ["z"]), pool]
    given = make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 7, 6])
    made = make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = make_graph(nodes, "g", [given], [made], [from_array(places, "pads"), from_array(value, "value")])
    result = check(make_model(graph, opset_imports=[make_opsetid("", 18)]), [random(2, 3, 7, 6)])
    assert ("concat" in result.ops) == (max(pads) == 3)
