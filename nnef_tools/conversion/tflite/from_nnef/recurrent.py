"""NNEF to TensorFlow Lite: recurrent layers.

The operators of TensorFlow Lite keep their states from run to run, and begin with zeros. So only a layer whose states
are variables that nothing else uses, and that begin with zeros, is one of them. `with_sequences` leaves these; other
layers, which begin anew in each run, are expanded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....model import Graph, Operation, Tensor
from ....model.copying import copy_graph
from ....model.state import effects, updates
from ....model.utils import place_operations, remove_unreachable
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfliteBuilder

LAYERS = ("lstm_layer", "rnn_layer")
"""The layers that there are operators for."""

_RESHAPES = ("reshape", "squeeze", "unsqueeze")
_TIME_SECOND = (1, 0, 2)
_GATES = (0, 2, 3, 1)
"""The rows of the weights in NNEF (input, output, forget, cell) in the order of TensorFlow Lite."""


def with_sequences(graph: Graph) -> tuple[Graph, list[Operation]]:
    """The graph, or a copy in which the states of layers belong to them alone, and the layers that have none of these.

    Such a layer reads variables of zeros with the labels of its states, and gives nothing but its sequence.
    """
    if not any(op.type in LAYERS for op in graph.operations):
        return graph, []
    result, others = copy_graph(graph), []
    changes = updates(result)
    for layer in [op for op in result.operations if op.type in LAYERS]:
        states = _states(layer, changes)
        if states is None:
            others.append(layer)
            continue
        given = list(layer.inputs[:4])
        for variable, before in zip(states, layer.inputs[4:], strict=True):
            assert variable.producer is not None
            zeros = np.zeros(shape(before), np.float32)
            state = Tensor(result, variable.name, zeros.shape, np.float32, zeros)
            attribs = {**variable.producer.attribs, "shape": list(zeros.shape)}
            Operation(result, type="variable", attribs=attribs, inputs=(), outputs=state)
            result.remove_operation(changes[variable], unlink=True)
            given.append(state)
        layer.inputs = tuple(given)
    remove_unreachable(result, keep=[*effects(result), *(op for op in result.operations if op.type == "external")])
    place_operations(result)
    return result, others


def _states(layer: Operation, changes: Mapping[Tensor, Operation]) -> list[Tensor] | None:
    """The variables that are the states of a layer alone; None if TensorFlow Lite has no operator for the layer."""
    weights = layer.inputs[1:4]
    if layer.attribs.get("bidirectional") or any(t.data is None or t.quant for t in weights):
        return None
    if any(t.quant for t in (layer.inputs[0], *layer.outputs)):
        return None
    pairs = zip(layer.inputs[4:], layer.outputs[1:], strict=True)
    found = [_state(layer, before, after, changes) for before, after in pairs]
    known_states = [variable for variable in found if variable is not None]
    return known_states if len(known_states) == len(found) else None


def _state(layer: Operation, before: Tensor, after: Tensor, changes: Mapping[Tensor, Operation]) -> Tensor | None:
    """The variable that the layer takes as `before`, if it begins with zeros and becomes `after`."""
    graph, reader = layer.graph, layer
    while before.producer is not None and before.producer.type in _RESHAPES and len(before.consumers) == 1:
        reader, before = before.producer, before.producer.inputs[0]
    update = changes.get(before)
    if graph is None or update is None or before.data is None or before.quant or np.any(np.asarray(before.data)):
        return None
    while len(after.consumers) == 1 and after.consumers[0].type in _RESHAPES and after not in graph.outputs:
        after = after.consumers[0].output
    shared = sum(op is update for op in changes.values()) > 1
    used = update.output.has_consumer or any(t in graph.outputs for t in (before, after, update.output))
    is_alone = set(before.consumers) == {reader, update} and after.consumers == [update]
    return before if is_alone and not shared and not used and update.inputs[1] is after else None


@from_nnef("tflite", "lstm_layer")
def lstm_layer(
    b: TfliteBuilder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    c: Tensor,
    *,
    steps: int,
    reverse: bool,
    bidirectional: bool,
) -> list[Tensor | None]:
    """lstm_layer -> UNIDIRECTIONAL_SEQUENCE_LSTM, or LSTM for a single step, with the states of a layer of its own."""
    weights = [*_rows(b, w), *_rows(b, r), None, None, None, *_biases(b, bias, len(_GATES)), None, None]
    options = {"fused_activation_function": "TANH", "cell_clip": 0.0, "proj_clip": 0.0}
    options["asymmetric_quantize_inputs"] = False
    if steps == 1:
        options["kernel_type"] = "FULL"
    return [_sequence(b, "LSTM", x, weights, [h, c], reverse, options), None, None]


@from_nnef("tflite", "rnn_layer")
def rnn_layer(
    b: TfliteBuilder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    *,
    steps: int,
    reverse: bool,
    bidirectional: bool,
    rectified: bool,
) -> list[Tensor | None]:
    """rnn_layer -> UNIDIRECTIONAL_SEQUENCE_RNN, or RNN for a single step."""
    weights = [b.reshape(w, shape(w)[1:]), b.reshape(r, shape(r)[1:]), *_biases(b, bias, 1)]
    options = {"fused_activation_function": "RELU" if rectified else "TANH", "asymmetric_quantize_inputs": False}
    return [_sequence(b, "RNN", x, weights, [h], reverse, options), None]


def _rows(b: TfliteBuilder, weights: Tensor) -> list[Tensor | None]:
    """The weights `[1, 4 * H, I]` of the gates, each `[H, I]`."""
    rows = np.split(np.asarray(weights.data)[0], len(_GATES))
    return [b.constant(rows[k], base=weights) for k in _GATES]


def _biases(b: TfliteBuilder, bias: Tensor, gates: int) -> list[Tensor]:
    """The biases `[H]` of the gates: the sums of those of inputs and states, `[1, 2 * gates * H]`."""
    both = np.asarray(bias.data).reshape(2, gates, -1).sum(axis=0, dtype=np.float32)
    return [b.constant(both[k], base=bias) for k in (_GATES if gates > 1 else (0,))]


def _sequence(
    b: TfliteBuilder,
    kind: str,
    x: Tensor,
    weights: Sequence[Tensor | None],
    states: Sequence[Tensor],
    reverse: bool,
    options: Mapping[str, Any],
) -> Tensor:
    """The sequence `[T, 1, N, H]` of a layer for an input `[T, N, I]`."""
    steps, batch, size = shape(x)
    width = shape(states[0])[-1]
    variables = [b.variable(shape(state)[1:], base=state) for state in states]
    if steps == 1:
        y = known(b.builtin(kind, b.reshape(x, [batch, size]), *weights, *variables, **options), [batch, width])
        return b.reshape(y, [1, 1, batch, width])
    if kind == "LSTM":
        options = {**options, "diagonal_recurrent_tensors": False}
    x = b.transpose(x, _TIME_SECOND)
    y = b.builtin(
        f"UNIDIRECTIONAL_SEQUENCE_{kind}", _reversed(b, x) if reverse else x, *weights, *variables,
        time_major=False, **options,
    )  # fmt: skip
    y = known(y, [batch, steps, width])
    return b.reshape(b.transpose(_reversed(b, y) if reverse else y, _TIME_SECOND), [steps, 1, batch, width])


def _reversed(b: TfliteBuilder, x: Tensor) -> Tensor:
    return known(b.builtin("REVERSE_V2", x, b.constant([1], np.int32)), shape(x), x.dtype)
