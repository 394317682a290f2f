"""Tensors whose axes are in an order that no move of channels gives, between models with channels in other places."""

from __future__ import annotations

from pathlib import Path

import pytest

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
