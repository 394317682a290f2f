"""Gather, scatter and order statistics against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import Const, const, node_model
from .checks import check_node, convert

Random = Callable[..., Array]


def integers(low: int, high: int, *shape: int) -> Array:
    """Integers in [low, high)."""
    return np.random.default_rng(0).integers(low, high, shape)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather(random: Random, axis: int) -> None:
    x = random(2, 3, 4)
    check_node("Gather", [x, const([[1, 0], [-1, 1]])], axis=axis, ops=["gather"])
    check_node("Gather", [x, np.array([[1, 0], [-1, 1]])], axis=axis)
    check_node("Gather", [x, const(-1)], axis=axis, ops=["gather"])
    check_node("Gather", [x, np.array(1)], axis=axis)
    check_node("Gather", [integers(-9, 9, 3, 4, 2), np.array([1, -2], np.int32)], axis=axis)
    check_node("GatherElements", [x, integers(-2, 2, 2, 3, 4)], axis=axis)
    check_node("GatherElements", [x, Const(integers(-2, 2, 1, 2, 2))], axis=axis)


def test_gather_by_inputs_is_exact(random: Random) -> None:
    """Positions that may be negative are corrected in scalars, which hold every position."""
    x, i = random(5, 2), np.array([1, -1])
    assert not convert(node_model("Gather", [x, i]), [x, i]).converter.warnings


def test_gather_of_positions_needs_no_correction(random: Random) -> None:
    """Positions that argmax gives are never negative."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
        helper.make_node("Gather", ["t", "i"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [2, 3]), ("t", [3, 4]))]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])
    model = helper.make_model(helper.make_graph(nodes, "g", infos, [y]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    assert convert(model, [random(2, 3), random(3, 4)]).ops == ["argmax_reduce", "squeeze", "gather"]


def test_index_out_of_range_is_refused(random: Random) -> None:
    x = random(2, 3)
    with pytest.raises(ConversionError, match="indices are out of range for extent 2"):
        convert(node_model("Gather", [x, const([2])]), [x])


def test_gather_nd(random: Random) -> None:
    for batch_dims in (0, 1):
        check_node("GatherND", [random(2, 3, 4, 2), integers(-2, 2, 2, 3, 2)], batch_dims=batch_dims)
    check_node("GatherND", [random(2, 3, 4), const([[0, 1], [1, -1]])])


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter(random: Random, reduction: str) -> None:
    x = random(4, 3)
    attribs: dict[str, Any] = {"opset": 18, "reduction": reduction}
    distinct = np.array([[2, 0, -1], [0, 3, 1]])
    check_node("ScatterElements", [x, distinct, random(2, 3)], axis=0, **attribs)
    check_node("ScatterND", [x, const([[1], [3]]), random(2, 3)], **attribs)
    check_node("ScatterND", [x, np.array([[1, 2], [-1, 0]]), random(2)], **attribs)
    if reduction != "none":
        check_node("ScatterElements", [x, integers(-3, 3, 4, 3), random(4, 3)], axis=-1, **attribs)
        check_node("ScatterND", [x, const([[1], [1]]), random(2, 3)], **attribs)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot(random: Random, axis: int) -> None:
    check_node("OneHot", [integers(-5, 5, 2, 3), const(4), random(2)], axis=axis)
    check_node("OneHot", [integers(-5, 5, 2, 3).astype(np.float32), const([4]), const([0, 7])], axis=axis)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(random: Random, axis: int, k: int, largest: int) -> None:
    check_node("TopK", [random(2, 3, 4), const([k])], 2, axis=axis, largest=largest, ops=["top_k"])
    check_node("TopK", [integers(0, 3, 4, 4, 4), const([k])], 2, axis=axis, largest=largest)  # with ties
    check_node("TopK", [random(2, 3, 4)], 2, axis=axis, k=k, opset=9)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumulative_sum(random: Random, exclusive: int, reverse: int) -> None:
    for axis in (0, -1):
        for x in (random(2, 3, 4), integers(-9, 9, 2, 3, 4)):
            check_node("CumSum", [x, const(axis)], exclusive=exclusive, reverse=reverse, ops=["cum_sum"])


def test_compress(random: Random) -> None:
    x = random(2, 3, 4)
    check_node("Compress", [x, Const(np.array([True, False, True]))], axis=1, ops=["gather"])
    check_node("Compress", [x, Const(np.array([True]))], axis=-1)
    check_node("Compress", [x, Const(np.array([True, False, True, True]))])
    with pytest.raises(ConversionError, match="would be empty"):
        convert(node_model("Compress", [x, Const(np.array([False]))]), [x])


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [None, -1, 0, 1, 5, -5])
def test_triangle(random: Random, upper: int, k: int | None) -> None:
    diagonal = [] if k is None else [const(k)]
    for x in (random(2, 3, 4), integers(-5, 5, 3, 4), integers(0, 2, 3, 3).astype(bool)):
        check_node("Trilu", [x, *diagonal], upper=upper)


def test_non_zero_needs_a_constant() -> None:
    x = np.array([[1, 0], [0, 2]])
    with pytest.raises(ConversionError, match="the shape of the result depends on the data"):
        convert(node_model("NonZero", [x]), [x])
