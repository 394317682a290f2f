"""Evaluation by TensorFlow of what does not depend on inputs, in graphs with branches and loops of TensorFlow 1."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_tools
from nnef_tools.io.tf.graphdef import Reader
from nnef_tools.io.tf.graphdef.folding import folded

from ...support.arrays import Array, random
from ...support.tf_programs import freeze, run_graph_def, tf

CONTROL_FLOW = {"Switch", "Merge", "_SwitchN"}


def fold(function: Callable[..., Any], *inputs: Array) -> set[str]:
    """Folds a frozen function, which computes the same then; the types of the operators that are left."""
    traced = freeze(function, inputs[0].shape)
    graph_def = type(traced.graph_def).FromString(folded(traced.graph_def.SerializeToString()))
    names = [f"{name}:0" for name in traced.names]
    for x in inputs:
        for actual, expected in zip(run_graph_def(graph_def, names, {"x0:0": x}), traced.run([x]), strict=True):
            np.testing.assert_array_equal(actual, expected)
    return {node.op for node in graph_def.node}


X = np.abs(random(2, 3))


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_branches_that_are_never_taken(turns: int) -> None:
    assert not CONTROL_FLOW & fold(lambda x: tf.image.rot90(x, turns), random(1, 4, 5, 3))
    assert not CONTROL_FLOW & fold(lambda x: tf.cond(tf.sqrt(4.0) > turns, lambda: x, lambda: tf.reshape(x, [6])), X)


def test_choices_by_constants() -> None:
    def program(x: Any) -> Any:
        return tf.switch_case(tf.cast(tf.sqrt(4.0), tf.int32), [lambda: x, lambda: -x, lambda: x * tf.sqrt(9.0)])

    assert not CONTROL_FLOW & fold(program, X)


def test_branches_with_constant_results_are_chosen_by_data() -> None:
    assert fold(lambda x: x * tf.cond(tf.reduce_sum(x) > 0, lambda: tf.sqrt(4.0), lambda: 5.0), X, -X) >= {"Merge"}

    def nested(x: Any) -> Any:
        inner = lambda: tf.cond(tf.sqrt(4.0) > 1, lambda: x * tf.sqrt(9.0), lambda: x - 1)  # noqa: E731
        return tf.cond(tf.reduce_sum(x) > 0, inner, lambda: x + tf.sqrt(16.0))

    fold(nested, X, -X)


def test_loops() -> None:
    def program(x: Any) -> Any:
        body = lambda k, y: (k + 1, tf.cond(k > 1, lambda: y * tf.sqrt(4.0), lambda: y + tf.sqrt(9.0)))  # noqa: E731
        return tf.while_loop(lambda k, y: k < tf.cast(tf.sqrt(9.0), tf.int32), body, [0, x])[1]

    assert fold(program, X) >= {"Enter", "Exit"}


def test_constants_that_cannot_be_evaluated_are_left() -> None:
    def program(x: Any) -> Any:
        wrong = lambda: tf.linalg.inv(tf.zeros([2, 2]) + tf.sqrt(0.0))  # noqa: E731
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x * tf.sqrt(4.0), lambda: tf.matmul(wrong(), x))

    assert fold(program, X) >= {"MatrixInverse"}


def _model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pb"
    traced = freeze(lambda x: x * tf.math.betainc(0.5, 2.0, tf.constant([0.1, 0.4, 0.8])), X.shape)
    path.write_bytes(traced.graph_def.SerializeToString())
    return path


def test_conversion_folds_what_it_has_no_rule_for(tmp_path: Path) -> None:
    path = _model(tmp_path)
    with pytest.raises(nnef_tools.errors.ConversionError, match="Betainc"):
        nnef_tools.convert_model(path, tmp_path / "model.nnef")
    report = nnef_tools.convert_model(path, tmp_path / "model.nnef", fold_constants=True, verify=1)
    assert not report.warnings


def test_folding_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _model(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "Betainc" in [op.type for op in Reader(fold_constants=True)(path).operations]


def test_graphs_that_tensorflow_does_not_accept_are_not_folded(tmp_path: Path) -> None:
    path = _model(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"Betainc", b"Alphinc"))
    reader = Reader(fold_constants=True)
    assert "Alphinc" in [op.type for op in reader(path).operations]
    assert "constants are not folded by TensorFlow" in reader.warnings[0]
