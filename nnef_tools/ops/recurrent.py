"""Custom operations for recurrent layers: `lstm_layer`, `gru_layer`, `rnn_layer`; see `extensions.nnef`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..budget import ask_extent
from .broadcast import Array
from .checks import check, check_rank
from .definition import ShapeRule, op

Step = Callable[[Array, list[Array]], list[Array]]
"""The next states, the hidden one first, from the projected input [N, gates * H] and the states [N, H]."""


def _layer_shape(gates: int, states: int) -> ShapeRule:
    """The shape rule of a layer with that many gates and states."""

    def rule(
        x: Sequence[int],
        w: Sequence[int],
        r: Sequence[int],
        bias: Sequence[int],
        *initial: Sequence[int],
        steps: int,
        reverse: bool = False,
        bidirectional: bool = False,
        **_: Any,
    ) -> tuple[list[int], ...]:
        check_rank("x", x, 3)
        check_rank("r", r, 3)
        check(not (reverse and bidirectional), "'reverse' must be false if 'bidirectional' is true")
        directions, hidden = 2 if bidirectional else 1, r[2]
        rows = gates * hidden
        check(steps == x[0] and steps >= 1, f"'steps' must be the first extent of 'x', {x[0]}, and positive: {steps}")
        ask_extent(steps, "its sequence")
        state = [directions, x[1], hidden]
        expected = {"w": (w, [directions, rows, x[2]]), "r": (r, [directions, rows, hidden])}
        expected["bias"] = (bias, [directions, 2 * rows])
        expected.update((name, (own, state)) for name, own in zip("hc", initial, strict=False))
        for name, (own, wanted) in expected.items():
            check(list(own) == wanted, f"'{name}' must have shape {wanted}, got {list(own)}")
        return [steps, *state], *(list(state) for _ in range(states))

    return rule


def _layer_macs(inputs: Sequence[Any], outputs: Sequence[Any], _attribs: Mapping[str, Any]) -> int:
    """The MACs of the products with w and r, in each step for each item of the batch."""
    steps, batch = inputs[0][:2]
    directions, rows, width = inputs[1]
    return int(steps * batch * directions * rows * (width + inputs[2][2]))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _directions(
    make: Callable[[Array, Array], Step],
    projections: Sequence[Array],
    r: Array,
    bias: Array,
    initial: Sequence[Array],
    reverse: bool,
) -> tuple[Array, ...]:
    """All hidden states [T, D, N, H] and the last states.

    projections: of the input, [T, N, gates * H], for each direction. make: the step for the recurrent weights and
    their bias.
    """
    steps = len(projections[0])
    states = [np.empty_like(state) for state in initial]
    y = np.empty((steps, *initial[0].shape), initial[0].dtype)
    for k, projected in enumerate(projections):
        step = make(r[k], bias[k])
        current = [state[k] for state in initial]
        for t in reversed(range(steps)) if reverse or k else range(steps):
            current = step(projected[t], current)
            y[t, k] = current[0]
        for state, last in zip(states, current, strict=True):
            state[k] = last
    return y, *states


def _projections(x: Array, w: Array, bias: Array) -> list[Array]:
    """x w + bias of each direction for all steps at once."""
    steps, batch, width = x.shape
    flat = x.reshape(steps * batch, width)
    return [(flat @ w[k].T + bias[k]).reshape(steps, batch, -1) for k in range(len(w))]


@op("lstm_layer", shape=_layer_shape(4, 2), macs=_layer_macs)
def lstm_layer(
    x: Array,
    w: Array,
    r: Array,
    bias: Array,
    h: Array,
    c: Array,
    *,
    steps: int,
    reverse: bool = False,
    bidirectional: bool = False,
) -> tuple[Array, ...]:
    """Long short-term memory in one or both directions."""

    def make(r: Array, _bias: Array) -> Step:
        def step(projected: Array, states: list[Array]) -> list[Array]:
            i, o, f, g = np.split(projected + states[0] @ r.T, 4, axis=1)
            cell = _sigmoid(f) * states[1] + _sigmoid(i) * np.tanh(g)
            return [_sigmoid(o) * np.tanh(cell), cell]

        return step

    own, recurrent = np.split(bias, 2, axis=1)
    return _directions(make, _projections(x, w, own + recurrent), r, recurrent, [h, c], reverse)


@op("gru_layer", shape=_layer_shape(3, 1), macs=_layer_macs)
def gru_layer(
    x: Array,
    w: Array,
    r: Array,
    bias: Array,
    h: Array,
    *,
    steps: int,
    reverse: bool = False,
    bidirectional: bool = False,
    linear_before_reset: bool = False,
) -> tuple[Array, ...]:
    """Gated recurrent unit in one or both directions."""
    gates = 2 * r.shape[2]

    def make(r: Array, bias: Array) -> Step:
        def step(projected: Array, states: list[Array]) -> list[Array]:
            (state,) = states
            keep, reset = np.split(_sigmoid(projected[:, :gates] + state @ r[:gates].T + bias[:gates]), 2, axis=1)
            if linear_before_reset:
                inner = reset * (state @ r[gates:].T + bias[gates:])
            else:
                inner = (reset * state) @ r[gates:].T + bias[gates:]
            return [(1 - keep) * np.tanh(projected[:, gates:] + inner) + keep * state]

        return step

    own, recurrent = np.split(bias, 2, axis=1)
    return _directions(make, _projections(x, w, own), r, recurrent, [h], reverse)


@op("rnn_layer", shape=_layer_shape(1, 1), macs=_layer_macs)
def rnn_layer(
    x: Array,
    w: Array,
    r: Array,
    bias: Array,
    h: Array,
    *,
    steps: int,
    reverse: bool = False,
    bidirectional: bool = False,
    rectified: bool = False,
) -> tuple[Array, ...]:
    """Simple recurrent layer in one or both directions."""

    def make(r: Array, _bias: Array) -> Step:
        def step(projected: Array, states: list[Array]) -> list[Array]:
            total = projected + states[0] @ r.T
            return [np.maximum(total, 0) if rectified else np.tanh(total)]

        return step

    own, recurrent = np.split(bias, 2, axis=1)
    return _directions(make, _projections(x, w, own + recurrent), r, recurrent, [h], reverse)
