"""The custom recurrent layers, as defined in `ops/extensions.nnef`, by a loop over the steps. Differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F  # noqa: N812

from .common import Operator, Tensor

Step = Callable[[Tensor, list[Tensor]], list[Tensor]]
"""The next states, the hidden one first, from the projected input [N, gates * H] and the states [N, H]."""


def _layer(
    make: Callable[[Tensor, Tensor], Step],
    projections: Sequence[Tensor],
    r: Tensor,
    bias: Tensor,
    initial: Sequence[Tensor],
    reverse: bool,
) -> list[Tensor]:
    """All hidden states [T, D, N, H] and the last states.

    projections: of the input, [T, N, gates * H], for each direction. make: the step for the recurrent weights and
    their bias.
    """
    sequences, last = [], []
    for k, projected in enumerate(projections):
        step = make(r[k], bias[k])
        states = [state[k] for state in initial]
        outputs = []
        backwards = reverse or k > 0
        for x in reversed(projected.unbind(0)) if backwards else projected.unbind(0):
            states = step(x, states)
            outputs.append(states[0])
        sequences.append(torch.stack(outputs[::-1] if backwards else outputs))
        last.append(states)
    return [torch.stack(sequences, 1), *(torch.stack(parts) for parts in zip(*last, strict=True))]


def _projections(x: Tensor, w: Tensor, bias: Tensor) -> list[Tensor]:
    return [F.linear(x, w[k], bias[k]) for k in range(len(w))]


def lstm_layer(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    c: Tensor,
    *,
    steps: int,
    reverse: bool = False,
    bidirectional: bool = False,
) -> list[Tensor]:
    """Long short-term memory in one or both directions."""

    def make(r: Tensor, _bias: Tensor) -> Step:
        def step(projected: Tensor, states: list[Tensor]) -> list[Tensor]:
            i, o, f, g = (projected + F.linear(states[0], r)).chunk(4, 1)
            cell = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
            return [torch.sigmoid(o) * torch.tanh(cell), cell]

        return step

    own, recurrent = bias.chunk(2, 1)
    return _layer(make, _projections(x, w, own + recurrent), r, recurrent, [h, c], reverse)


def gru_layer(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    *,
    steps: int,
    reverse: bool = False,
    bidirectional: bool = False,
    linear_before_reset: bool = False,
) -> list[Tensor]:
    """Gated recurrent unit in one or both directions."""
    gates = 2 * r.shape[2]

    def make(r: Tensor, bias: Tensor) -> Step:
        r_gates, r_new, bias_gates, bias_new = r[:gates], r[gates:], bias[:gates], bias[gates:]

        def step(projected: Tensor, states: list[Tensor]) -> list[Tensor]:
            (state,) = states
            x_gates, x_new = projected[:, :gates], projected[:, gates:]
            keep, reset = torch.sigmoid(x_gates + F.linear(state, r_gates, bias_gates)).chunk(2, 1)
            if linear_before_reset:
                inner = reset * F.linear(state, r_new, bias_new)
            else:
                inner = F.linear(reset * state, r_new, bias_new)
            return [(1 - keep) * torch.tanh(x_new + inner) + keep * state]

        return step

    own, recurrent = bias.chunk(2, 1)
    return _layer(make, _projections(x, w, own), r, recurrent, [h], reverse)


def rnn_layer(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    *,
    steps: int,
    reverse: bool = False,
    bidirectional: bool = False,
    rectified: bool = False,
) -> list[Tensor]:
    """Simple recurrent layer in one or both directions."""
    activation = torch.relu if rectified else torch.tanh

    def make(r: Tensor, _bias: Tensor) -> Step:
        return lambda projected, states: [activation(projected + F.linear(states[0], r))]

    own, recurrent = bias.chunk(2, 1)
    return _layer(make, _projections(x, w, own + recurrent), r, recurrent, [h], reverse)


OPERATORS: dict[str, Operator] = {"lstm_layer": lstm_layer, "gru_layer": gru_layer, "rnn_layer": rnn_layer}
