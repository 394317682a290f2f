"""Recurrent layers as operations of their own: ONNX -> NNEF -> ONNX gives the same node with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from nnef_tools import convert_model
from nnef_tools.execution import make_executor

from ...support.arrays import Array
from ...support.onnx_models import Const, node_model, run_unoptimized
from .checks import check, check_node

Random = Callable[..., Array]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
BATCH, WIDTH, HIDDEN = 2, 3, 5
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}

FORMS = [
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"activations": ["SIGMOID", "tanh"]}),
    ("LSTM", {}),
    ("LSTM", {"activations": ["Sigmoid", "Tanh", "tanh"], "input_forget": 0}),
]


def layer(
    random: Random, op: str, attribs: dict[str, Any], *, direction: str, given: bool, steps: int
) -> tuple[ModelProto, Array]:
    """A model of one layer, and its input. given: with a bias and initial states, all constant."""
    directions, rows = 2 if direction == "bidirectional" else 1, GATES[op] * HIDDEN
    weights = {"W": random(directions, rows, WIDTH), "R": random(directions, rows, HIDDEN)}
    states = ["H0", "C0"] if op == "LSTM" else ["H0"]
    if given:
        weights["B"] = random(directions, 2 * rows)
        weights |= {name: random(directions, BATCH, HIDDEN) for name in states}
    names = ["X", "W", "R", *(["B", "", *states] if given else [])]
    results = ["Y", "Y_h", "Y_c"] if op == "LSTM" else ["Y", "Y_h"]
    if "activations" in attribs:
        attribs = {**attribs, "activations": attribs["activations"] * directions}
    node = helper.make_node(op, names, results, name="cell", hidden_size=HIDDEN, direction=direction, **attribs)
    x = random(steps, BATCH, WIDTH)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, x.shape)],
        [onnx.ValueInfoProto(name=name) for name in results],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model), x


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "attribs"), FORMS)
def test_there_and_back(
    random: Random, tmp_path: Path, op: str, attribs: dict[str, Any], direction: str, given: bool, steps: int
) -> None:
    model, x = layer(random, op, attribs, direction=direction, given=given, steps=steps)
    check(model, [x], ops=[f"{op.lower()}_layer"], **TOLERANCE)
    onnx.save(model, tmp_path / "a.onnx")
    report = convert_model(tmp_path / "a.onnx", tmp_path / "m.nnef")
    assert not report.warnings
    convert_model(tmp_path / "m.nnef", tmp_path / "b.onnx")
    back = onnx.load(tmp_path / "b.onnx")
    (node,) = back.graph.node
    assert (node.op_type, list(node.output)) == (op, list(model.graph.node[0].output))
    assert list(node.input) == list(model.graph.node[0].input)
    weights, original = ({t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in (back, model))
    assert weights.keys() == original.keys()
    for name, array in original.items():
        np.testing.assert_array_equal(weights[name], array)
    expected = run_unoptimized(model, {"X": x})
    for actual, wanted in zip(run_unoptimized(back, {"X": x}), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    for backend in ("onnxruntime", "torch"):
        executor = make_executor(tmp_path / "m.nnef", backend=backend)
        results = executor.run({executor.inputs[0].name: x})
        for actual, wanted in zip(results.values(), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, **TOLERANCE)


@pytest.mark.parametrize("options", [{"decompose": True}, {"decompose": ["lstm_layer"]}, {"standard_only": True}])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_written_out(random: Random, tmp_path: Path, direction: str, options: dict[str, Any]) -> None:
    """For engines that know no fragments: nothing but standard operations, which compute the same."""
    model, x = layer(random, "LSTM", {}, direction=direction, given=True, steps=5)
    onnx.save(model, tmp_path / "a.onnx")
    convert_model(tmp_path / "a.onnx", tmp_path / "m.nnef", verify=2, **options)
    text = (tmp_path / "m.nnef" / "graph.nnef").read_text()
    assert "fragment" not in text and "_layer(" not in text
    executor = make_executor(tmp_path / "m.nnef", backend="numpy")
    results = executor.run({executor.inputs[0].name: x})
    for actual, wanted in zip(results.values(), run_unoptimized(model, {"X": x}), strict=True):
        np.testing.assert_allclose(actual, wanted, **TOLERANCE)


@pytest.mark.parametrize("op", GATES)
def test_lengths_of_all_steps(random: Random, op: str) -> None:
    inputs = [random(4, BATCH, WIDTH), Const(random(1, GATES[op] * HIDDEN, WIDTH)),
              Const(random(1, GATES[op] * HIDDEN, HIDDEN)), None]  # fmt: skip
    for lengths, whole in (([4, 4], True), ([4, 3], False)):
        result = check_node(op, [*inputs, Const(np.array(lengths, np.int32))], 2, hidden_size=HIDDEN, **TOLERANCE)
        assert (f"{op.lower()}_layer" in result.ops) == whole


@pytest.mark.parametrize(
    ("op", "attribs"),
    [
        ("LSTM", {"clip": 0.5}),
        ("LSTM", {"input_forget": 1}),
        ("LSTM", {"activations": ["Sigmoid", "Tanh", "Relu"]}),
        ("GRU", {"activations": ["HardSigmoid", "Tanh"]}),
        ("RNN", {"activations": ["Sigmoid"]}),
    ],
)
def test_unusual_forms_are_unrolled(random: Random, op: str, attribs: dict[str, Any]) -> None:
    model, x = layer(random, op, attribs, direction="forward", given=True, steps=3)
    result = check(model, [x], **TOLERANCE)
    assert not any(name.endswith("_layer") for name in result.ops)


@pytest.mark.parametrize("op", GATES)
def test_batch_first_is_transposed(random: Random, op: str) -> None:
    rows = GATES[op] * HIDDEN
    x, h = random(BATCH, 4, WIDTH), random(BATCH, 1, HIDDEN)
    w, r = random(1, rows, WIDTH), random(1, rows, HIDDEN)
    states = [h, h] if op == "LSTM" else [h]
    outputs = 1 + len(states)
    swapped = [np.ascontiguousarray(a.swapaxes(0, 1)) for a in (x, *states)]
    plain = node_model(op, [swapped[0], Const(w), Const(r), None, None, *swapped[1:]], outputs, hidden_size=HIDDEN)
    feeds = {info.name: array for info, array in zip(plain.graph.input, swapped, strict=True)}
    y, *last = run_unoptimized(plain, feeds)
    expected = [y.transpose(2, 0, 1, 3), *(s.swapaxes(0, 1) for s in last)]
    inputs = [x, Const(w), Const(r), None, None, *states]
    result = check_node(op, inputs, outputs, expected=expected, hidden_size=HIDDEN, layout=1, **TOLERANCE)
    assert set(result.ops) == {"transpose", f"{op.lower()}_layer"}


def test_long_sequences(random: Random) -> None:
    """There is no limit to the steps of an operation."""
    model, x = layer(random, "GRU", {}, direction="forward", given=True, steps=5000)
    check(model, [x], ops=["gru_layer"], rtol=1e-3, atol=1e-4)
