"""The builder of target graphs: what it returns is known at once, and is the operand where nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.conversion.building.target import TargetBuilder
from nnef_tools.conversion.engine.rules import EVERY, find_from_nnef
from nnef_tools.conversion.nnef_to_onnx import Converter as ToOnnx
from nnef_tools.conversion.nnef_to_tf import Converter as ToTf
from nnef_tools.conversion.onnx.building import OnnxBuilder
from nnef_tools.conversion.tf.building import TfBuilder
from nnef_tools.model import Graph, Tensor


@pytest.fixture(params=["onnx", "tf"])
def b(request: pytest.FixtureRequest) -> TargetBuilder:
    return OnnxBuilder(Graph(), 21) if request.param == "onnx" else TfBuilder(Graph())


def test_results_are_known(b: TargetBuilder) -> None:
    x = Tensor(b.graph, "x", (2, 3, 4), np.float32)
    i = b.constant(np.array([[2, 0]]))
    results = {
        (6, 4): b.reshape(x, [6, 4]),
        (2, 1, 3, 4, 1): b.unsqueeze(x, [1, 4]),
        (4, 2, 3): b.transpose(x, [2, 0, 1]),
        (5, 2, 3, 4): b.expand(x, [5, 2, 3, 4]),
        (2, 1, 2, 4): b.gather(x, i, 1),
        (2, 2, 4): b.take(x, np.array([2, 0]), 1),
        (1, 3, 2): b.slice(x, {0: range(1, 2), 2: range(3, -1, -2)}),
        (2, 6, 4): b.concat([x, x], 1),
        (2, 3, 2, 4): b.stack([x, x], 2),
        (2, 4, 4): b.pad(x, [(0, 0), (0, 1), (0, 0)]),
        (2, 1, 4): b.reduce("max", x, [1]),
        (2, 3, 4): b.nnef.add(x, 1.0),
    }
    for shape, result in results.items():
        assert (result.shape, result.dtype) == (shape, np.float32)
    logical = b.nnef.lt(x, 0.0)
    assert (logical.shape, logical.dtype) == ((2, 3, 4), np.bool_)
    assert [part.shape for part in b.split(x, 1, [1, 2])] == [(2, 1, 4), (2, 2, 4)]


def test_nothing_is_built_where_nothing_changes(b: TargetBuilder) -> None:
    x = Tensor(b.graph, "x", (2, 3, 4), np.float32)
    unchanged = [
        b.reshape(x, [2, 3, 4]), b.squeeze(x, []), b.transpose(x, [0, 1, 2]), b.cast(x, np.float32), b.concat([x], 0),
        b.take(x, np.arange(3), 1), b.slice(x, {1: range(3)}), b.pad(x, [(0, 0)] * 3), b.reduce("sum", x, []),
    ]  # fmt: skip
    assert all(result is x for result in unchanged)
    assert not b.graph.operations


def test_constants_stay_constants(b: TargetBuilder) -> None:
    k = b.constant(np.arange(6, dtype=np.float32).reshape(2, 3))
    turned = b.transpose(k, [1, 0])
    forms = [turned, b.reshape(k, [6]), b.unsqueeze(k, [0]), b.cast(k, np.int64), b.expand(k, [2, 2, 3])]
    assert all(form.data is not None and b.derived_from[form] is k for form in forms)
    np.testing.assert_array_equal(turned.data, [[0, 3], [1, 4], [2, 5]])
    assert not b.graph.operations


def test_a_rule_of_every_dialect_gives_way_to_one_of_its_own() -> None:
    assert (
        find_from_nnef(ToOnnx.dialect, "silu") is find_from_nnef(ToTf.dialect, "silu") is find_from_nnef(EVERY, "silu")
    )
    own = find_from_nnef(ToOnnx.dialect, "mean_reduce")
    assert own is not None and own.dialect == ToOnnx.dialect
    assert find_from_nnef("a dialect without rules", "mean_reduce") is find_from_nnef(EVERY, "mean_reduce")
    assert find_from_nnef("a dialect without rules", "conv") is None
