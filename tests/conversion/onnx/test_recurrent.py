"""Recurrent layers against onnxruntime: directions, initial states, sequence lengths, variants of the cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import Const, node_model, run_unoptimized
from .checks import check_node, convert

Random = Callable[..., Array]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, WIDTH, HIDDEN = 4, 3, 2, 5
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}

LENGTHS = {
    "all": None,
    "constant": Const(np.array([4, 2, 1], np.int32)),
    "computed": np.array([3, 4, 2], np.int32),
    "one is empty": np.array([4, 0, 2], np.int32),
}


def layer(
    random: Random, op: str, directions: int, *, bias: bool, lengths: Any, initial: bool, peepholes: bool = False
) -> list[Any]:
    """The inputs of a layer."""
    rows = GATES[op] * HIDDEN
    inputs = [
        random(STEPS, BATCH, WIDTH),
        Const(random(directions, rows, WIDTH)),
        Const(random(directions, rows, HIDDEN)),
        Const(random(directions, 2 * rows)) if bias else None,
        lengths,
        random(directions, BATCH, HIDDEN) if initial else None,
    ]
    if op == "LSTM":
        inputs += [random(directions, BATCH, HIDDEN) if initial else None]
        inputs += [Const(random(directions, 3 * HIDDEN)) if peepholes else None]
    while inputs[-1] is None:
        inputs.pop()
    return inputs


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_layers(random: Random, op: str, direction: str, lengths: str) -> None:
    directions = 2 if direction == "bidirectional" else 1
    outputs = 3 if op == "LSTM" else 2
    for bias, initial in itertools.product([False, True], repeat=2):
        inputs = layer(random, op, directions, bias=bias, lengths=LENGTHS[lengths], initial=initial)
        check_node(op, inputs, outputs, hidden_size=HIDDEN, direction=direction, **TOLERANCE)


@pytest.mark.parametrize("clip", [None, 0.4])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(
    ("op", "extra", "peepholes"),
    [
        ("RNN", {}, False),
        ("GRU", {}, False),
        ("GRU", {"linear_before_reset": 1}, False),
        ("LSTM", {}, True),
        ("LSTM", {"input_forget": 1}, False),
        ("LSTM", {"input_forget": 1}, True),
    ],
)
def test_variants(
    random: Random, op: str, extra: dict[str, Any], peepholes: bool, direction: str, clip: float | None
) -> None:
    directions = 2 if direction == "bidirectional" else 1
    attribs = extra if clip is None else {**extra, "clip": clip}
    for bias, initial in itertools.product([False, True], repeat=2):
        inputs = layer(
            random, op, directions, bias=bias, lengths=LENGTHS["computed"], initial=initial, peepholes=peepholes
        )
        check_node(
            op, inputs, 3 if op == "LSTM" else 2, hidden_size=HIDDEN, direction=direction, **attribs, **TOLERANCE
        )


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [
        ("Affine", 0.3, 0.2),
        ("Elu", None, None),
        ("Elu", 0.3, None),
        ("HardSigmoid", None, None),
        ("HardSigmoid", 0.3, 0.4),
        ("LeakyRelu", None, None),
        ("LeakyRelu", 0.2, None),
        ("Relu", None, None),
        ("ScaledTanh", 0.7, 1.2),
        ("Sigmoid", None, None),
        ("Softplus", None, None),
        ("Softsign", None, None),
        ("ThresholdedRelu", 0.3, None),
    ],
)
def test_activations(random: Random, name: str, alpha: float | None, beta: float | None) -> None:
    attribs: dict[str, Any] = {} if alpha is None else {"activation_alpha": [alpha]}
    attribs |= {} if beta is None else {"activation_beta": [beta]}
    inputs = layer(random, "RNN", 1, bias=True, lengths=None, initial=True)
    check_node("RNN", inputs, 2, hidden_size=HIDDEN, activations=[name], **attribs, **TOLERANCE)


def test_activations_take_their_parameters_in_order(random: Random) -> None:
    inputs = layer(random, "LSTM", 2, bias=True, lengths=None, initial=False)
    names = ["HardSigmoid", "LeakyRelu", "Softsign", "Sigmoid", "ScaledTanh", "Affine"]
    check_node("LSTM", inputs, 3, hidden_size=HIDDEN, direction="bidirectional", activations=names,
               activation_alpha=[0.3, 0.1, 0.2, 1.1], activation_beta=[0.4, 0.7, 0.05], **TOLERANCE)  # fmt: skip
    inputs = layer(random, "GRU", 2, bias=True, lengths=None, initial=True)
    names = ["HARDSIGMOID", "LeakyRelu", "sigmoid", "Tanh"]
    check_node("GRU", inputs, 2, hidden_size=HIDDEN, direction="bidirectional", activations=names,
               activation_alpha=[0.3, 0.1], activation_beta=[0.4], **TOLERANCE)  # fmt: skip


@pytest.mark.parametrize("op", GATES)
def test_batch_first_layout(random: Random, op: str) -> None:
    """onnxruntime has no layout 1; by the specification it is layout 0 with transposed inputs and outputs."""
    outputs = 3 if op == "LSTM" else 2
    inputs = layer(random, op, 2, bias=True, lengths=None, initial=True)
    attribs: dict[str, Any] = {"hidden_size": HIDDEN, "direction": "bidirectional"}
    feeds = {f"x{k}": array for k, array in enumerate(inputs) if isinstance(array, np.ndarray)}
    y, *states = run_unoptimized(node_model(op, inputs, outputs, **attribs), feeds)
    swapped = [np.ascontiguousarray(a.swapaxes(0, 1)) if isinstance(a, np.ndarray) else a for a in inputs]
    expected = [y.transpose(2, 0, 1, 3), *(s.swapaxes(0, 1) for s in states)]
    check_node(op, swapped, outputs, expected=expected, layout=1, **attribs, **TOLERANCE)


@pytest.mark.parametrize("op", GATES)
def test_computed_weights_and_one_step(random: Random, op: str) -> None:
    rows, outputs = GATES[op] * HIDDEN, 3 if op == "LSTM" else 2
    weights = [random(1, rows, WIDTH), random(1, rows, HIDDEN), random(1, 2 * rows)]
    for extra in [{}, {"linear_before_reset": 1}] if op == "GRU" else [{}]:
        for steps in (1, 3):
            check_node(op, [random(steps, BATCH, WIDTH), *weights], outputs, hidden_size=HIDDEN, **extra, **TOLERANCE)


def test_omitted_outputs(random: Random) -> None:
    inputs = layer(random, "LSTM", 1, bias=True, lengths=None, initial=False)
    for clip in ({}, {"clip": 0.4}):
        only_h = check_node("LSTM", inputs, ["", "h"], hidden_size=HIDDEN, **clip, **TOLERANCE)
        every = check_node("LSTM", inputs, ["y", "h", "c"], hidden_size=HIDDEN, **clip, **TOLERANCE)
        check_node("LSTM", inputs, ["y", "", "c"], hidden_size=HIDDEN, **clip, **TOLERANCE)
    assert only_h.ops.count("stack") < every.ops.count("stack")


@pytest.mark.parametrize(
    ("attribs", "reason"),
    [
        ({"direction": "backward"}, "direction = 'backward' is not known"),
        ({"activations": ["Tanh", "Tanh"]}, "do not fit 1 direction"),
        ({"activations": ["Swish"]}, "activation 'Swish' is not known"),
        ({"hidden_size": HIDDEN + 1}, "hidden_size = 6, but the recurrent weights have shape [1, 5, 5]"),
    ],
)
def test_refusals(random: Random, attribs: dict[str, Any], reason: str) -> None:
    inputs = layer(random, "RNN", 1, bias=False, lengths=None, initial=False)
    with pytest.raises(ConversionError) as caught:
        convert(node_model("RNN", inputs, 2, **{"hidden_size": HIDDEN, **attribs}), [inputs[0]])
    assert reason in str(caught.value)
