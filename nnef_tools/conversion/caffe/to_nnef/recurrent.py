"""LSTM and RNN, unrolled: the sequence length is known when the model is converted.

The input `cont` is 0 where a sequence begins: it multiplies the states before each step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....errors import InvalidOperator
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, reshape, shape
from ...compose.slicing import joined, slice_axes
from ...engine.rules import to_nnef
from ...maths.generated import filled


@to_nnef("caffe", "LSTM")
def lstm(
    b: Builder, x: Tensor, cont: Tensor, *others: Tensor, num_output: int, expose_hidden: bool = False
) -> list[Tensor]:
    """LSTM: gates input, forget, output, cell. Inputs: [static input], [first h, first c], weights."""
    given, weights = _divided(others, 3, 2, expose_hidden)
    recurrent = weights[-1]
    _check_widths(weights, 4 * num_output, recurrent, [4 * num_output, num_output])
    projected, states = _prepared(b, x, cont, given, weights[:-1], num_output, 2, expose_hidden)
    hs = []
    for step, keep in projected:
        h, c = (b.mul(state, keep) for state in states)
        gates = b.split(b.add(step, b.matmul(h, recurrent, transposeB=True)), axis=1, ratios=[1, 1, 1, 1])
        c = b.add(b.mul(b.sigmoid(gates[1]), c), b.mul(b.sigmoid(gates[0]), b.tanh(gates[3])))
        h = b.mul(b.sigmoid(gates[2]), b.tanh(c))
        states = [h, c]
        hs.append(h)
    return _results(b, hs, states, expose_hidden)


@to_nnef("caffe", "LSTMUnit")
def lstm_unit(b: Builder, c: Tensor, x: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
    """LSTMUnit: a step of LSTM from the sums of its gates, [1, N, 4 H]: the next c and h, [1, N, H]."""
    _, batch, hidden = shape(c)
    if shape(x) != [1, batch, 4 * hidden] or shape(cont) != [1, batch]:
        raise InvalidOperator(f"bottoms of shapes {shape(c)}, {shape(x)} and {shape(cont)} do not fit")
    gates = b.split(x, axis=2, ratios=[1, 1, 1, 1])
    kept = b.mul(b.mul(b.sigmoid(gates[1]), c), reshape(b, cont, [1, batch, 1]))
    c = b.add(kept, b.mul(b.sigmoid(gates[0]), b.tanh(gates[3])))
    return c, b.mul(b.sigmoid(gates[2]), b.tanh(c))


@to_nnef("caffe", "RNN")
def rnn(
    b: Builder, x: Tensor, cont: Tensor, *others: Tensor, num_output: int, expose_hidden: bool = False
) -> list[Tensor]:
    """RNN: h = tanh(W_xh x + b_h + W_hh h), o = tanh(W_ho h + b_o)."""
    given, weights = _divided(others, 5, 1, expose_hidden)
    recurrent, outer, offset = weights[-3:]
    _check_widths(weights, num_output, recurrent, [num_output, num_output])
    if shape(outer) != [num_output, num_output] or shape(offset) != [num_output]:
        raise InvalidOperator(
            f"its last weights have shapes {shape(outer)} and {shape(offset)}, num_output is {num_output}"
        )
    projected, states = _prepared(b, x, cont, given, weights[:-3], num_output, 1, expose_hidden)
    outputs = []
    for step, keep in projected:
        h = b.tanh(b.add(step, b.matmul(b.mul(states[0], keep), recurrent, transposeB=True)))
        states = [h]
        outputs.append(b.tanh(b.add(b.matmul(h, outer, transposeB=True), channels(b, offset))))
    return _results(b, outputs, states, expose_hidden)


def _divided(
    others: Sequence[Tensor], weights: int, states: int, exposed: bool
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """What follows x and cont: bottoms, and weights. A static input has a weight more."""
    own = len(others) - (states if exposed else 0)
    if own not in (weights, weights + 2):
        raise InvalidOperator(f"{len(others) + 2} bottoms and weights together are too few or too many")
    count = weights if own == weights else weights + 1
    return others[: len(others) - count], others[len(others) - count :]


def _check_widths(weights: Sequence[Tensor], rows: int, recurrent: Tensor, expected: list[int]) -> None:
    if shape(recurrent) != expected or shape(weights[0])[:1] != [rows] or shape(weights[1]) != [rows]:
        raise InvalidOperator(f"its weights have shapes {[shape(w) for w in weights]}, which num_output does not fit")


def _prepared(
    b: Builder,
    x: Tensor,
    cont: Tensor,
    given: Sequence[Tensor],
    weights: Sequence[Tensor],
    hidden: int,
    count: int,
    exposed: bool,
) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """For each step the projected input [N, rows] and the factor of the states [N, 1]; the first states [N, H]."""
    steps, batch, *rest = shape(x)
    if shape(cont) != [steps, batch] or len(shape(weights[0])) != 2 or shape(weights[0])[1] != math.prod(rest):
        raise InvalidOperator(
            f"bottoms of shapes {shape(x)} and {shape(cont)} and weights {shape(weights[0])} do not fit"
        )
    b.steps.take(steps, len(b.graph.operations))
    flat = reshape(b, x, [steps * batch, math.prod(rest)])
    y = b.linear(flat, weights[0], channels(b, weights[1]))
    rows = shape(weights[0])[0]
    parts = _parts(b, reshape(b, y, [steps, batch, rows]), [batch, rows])
    if len(weights) > 2:
        static = reshape(b, given[0], [batch, math.prod(shape(given[0])[1:])])
        fixed = b.matmul(static, weights[2], transposeB=True)
        parts = [b.add(part, fixed) for part in parts]
        given = given[1:]
    if exposed:
        states = [reshape(b, state, [batch, hidden]) for state in given]
    else:
        states = [b.constant(filled([batch, hidden], 0, np.float32)) for _ in range(count)]
        text = (
            "recurrent layers start from zeros in each run; in Caffe, a first step with cont = 1 continues the last run"
        )
        b.warnings[text] = None
    return list(zip(parts, _parts(b, cont, [batch, 1]), strict=True)), states


def _parts(b: Builder, x: Tensor, own: list[int]) -> list[Tensor]:
    """The steps of a sequence, in the shape of one."""
    count = shape(x)[0]
    return [
        reshape(b, slice_axes(b, x, [step], [step + 1], [0], [1]), own) if count > 1 else reshape(b, x, own)
        for step in range(count)
    ]


def _results(b: Builder, hs: Sequence[Tensor], states: Sequence[Tensor], exposed: bool) -> list[Tensor]:
    batch, hidden = shape(hs[0])
    y = joined(b, [reshape(b, h, [1, batch, hidden]) for h in hs], 0)
    return [y, *([reshape(b, state, [1, batch, hidden]) for state in states] if exposed else [])]
