"""Tensors whose axes are in an order that no move of channels gives, between models with channels in other places."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.verification.compare import compare_tensors
from nnef_tools.verification.compare_inputs import given_inputs
from nnef_tools.verification.compared_model import ComparedModel

from ..support.arrays import random
from ..support.tf_programs import freeze, tf


@pytest.mark.parametrize("slope, equal", [("1.0", True), ("1.01", False)])
def test_an_axis_behind_moved_ones(slope: str, equal: bool, tmp_path: Path) -> None:
    def function(x: tf.Tensor) -> tf.Tensor:
        u = tf.expand_dims(tf.nn.relu(x), -1, name="u")
        return tf.sigmoid(tf.squeeze(u, [3]), name="y")

    (tmp_path / "a.pb").write_bytes(freeze(function, (2, 3, 4)).graph_def.SerializeToString())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "graph.nnef").write_text(f"""version 1.0;
graph net(x) -> (y)
{{
    x = external(shape = [2, 3, 4]);
    t = transpose(x, axes = [0, 2, 1]);
    r = relu(t);
    v = unsqueeze(r, axes = [3]);
    u = mul(v, {slope});
    s = squeeze(v, axes = [3]);
    c = transpose(s, axes = [0, 2, 1]);
    y = sigmoid(c);
}}
""")
    a, b = ComparedModel(tmp_path / "a.pb"), ComparedModel(tmp_path / "b")
    found = compare_tensors(a, b, given_inputs(a, b, [random(2, 3, 4)]), mapping={"u:0": "u"})
    pairs = {item.b: item for item in found.tensors}
    assert found.ok and pairs["u"].ok == equal


@pytest.mark.parametrize("slope, equal", [("1.0", True), ("1.01", False)])
def test_flattened_channels(slope: str, equal: bool, tmp_path: Path) -> None:
    """Items of flattened values are in another order; the weights behind them are, too."""
    w = random(24, 5)

    def function(x: tf.Tensor) -> tf.Tensor:
        return tf.identity(tf.matmul(tf.reshape(tf.nn.relu(x), [2, 24], name="f"), w), name="y")

    (tmp_path / "a.pb").write_bytes(freeze(function, (2, 3, 2, 4)).graph_def.SerializeToString())
    (tmp_path / "b").mkdir()
    moved = w.reshape(3, 2, 4, 5).transpose(2, 0, 1, 3).reshape(24, 5)
    write_tensor(tmp_path / "b" / "w.dat", moved)
    (tmp_path / "b" / "graph.nnef").write_text(f"""version 1.0;
graph net(x) -> (y)
{{
    x = external(shape = [2, 3, 2, 4]);
    w = variable(shape = [24, 5], label = 'w');
    t = transpose(x, axes = [0, 3, 1, 2]);
    r = relu(t);
    s = mul(r, {slope});
    f = reshape(s, shape = [2, 24]);
    y = matmul(f, w);
}}
""")
    a, b = ComparedModel(tmp_path / "a.pb"), ComparedModel(tmp_path / "b")
    found = compare_tensors(a, b, given_inputs(a, b, [random(2, 3, 2, 4)]), mapping={"f:0": "f"})
    pairs = {item.b: item for item in found.tensors}
    assert pairs["f"].ok == equal and pairs["y"].ok == equal
