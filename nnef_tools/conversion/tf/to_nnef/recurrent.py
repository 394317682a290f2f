"""Fused cells and layers of recurrent networks (BlockLSTM and its kin).

Of both kinds of LSTM the results are i, cs, f, o, ci, co, h: input gate, cell state, forget gate, output gate, cell
input, tanh(cs), hidden state. The columns of the weights are gates, in an order that depends on the version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape, squeeze, unsqueeze
from ...compose.slicing import joined, slice_axes
from ...engine.rules import Int, to_nnef
from ...maths.generated import filled

_RESULTS = 7
_HIDDEN = 6


@dataclass(frozen=True)
class _Lstm:
    """A step without its matrix products. gates: the order of their columns. peepholes: for i, f and o, or none."""

    gates: str
    forget_bias: float
    clip: float
    peepholes: list[Tensor]

    @classmethod
    def of(cls, gates: str, forget_bias: float, cell_clip: float, use_peephole: bool, *peepholes: Tensor) -> _Lstm:
        return cls(gates, forget_bias, max(cell_clip, 0.0), list(peepholes) if use_peephole else [])

    def bias(self, b: Builder, bias: Tensor) -> Tensor:
        """The bias of all gates with that of the forget gate: `[1, 4 * hidden]`."""
        hidden = shape(bias)[0] // 4
        further = np.repeat([self.forget_bias if gate == "f" else 0.0 for gate in self.gates], hidden)
        if bias.data is not None:
            bias = b.constant((np.asarray(bias.data) + further).astype(bias.dtype), base=bias)
        elif self.forget_bias:
            bias = b.add(bias, b.constant(further, bias.dtype))
        return unsqueeze(b, bias, [0])

    def step(self, b: Builder, sums: Tensor, cs: Tensor) -> list[Tensor]:
        """The results of a step with the weighted inputs `[batch, 4 * hidden]` and the former cell state."""

        def through(x: Tensor, state: Tensor, k: int) -> Tensor:
            return b.add(x, b.mul(state, unsqueeze(b, self.peepholes[k], [0]))) if self.peepholes else x

        part = dict(zip(self.gates, b.split(sums, axis=1, ratios=[1, 1, 1, 1]), strict=True))
        i = b.sigmoid(through(part["i"], cs, 0))
        f = b.sigmoid(through(part["f"], cs, 1))
        ci = b.tanh(part["c"])
        new = b.add(b.mul(ci, i), b.mul(f, cs))
        if self.clip:
            new = b.clamp(new, -self.clip, self.clip)
        co = b.tanh(new)
        o = b.sigmoid(through(part["o"], new, 2))
        return [i, new, f, o, ci, co, b.mul(o, co)]


@to_nnef("tf", "LSTMBlockCell")
def lstm_block_cell(
    b: Builder,
    x: Tensor,
    cs: Tensor,
    h: Tensor,
    w: Tensor,
    wci: Tensor,
    wcf: Tensor,
    wco: Tensor,
    bias: Tensor,
    *,
    forget_bias: float = 1.0,
    cell_clip: float = 3.0,
    use_peephole: bool = False,
) -> list[Tensor]:
    """LSTMBlockCell: a step."""
    lstm = _Lstm.of("icfo", forget_bias, cell_clip, use_peephole, wci, wcf, wco)
    return lstm.step(b, b.add(b.matmul(b.concat([x, h], axis=1), w), lstm.bias(b, bias)), cs)


@to_nnef("tf", "BlockLSTM")
def block_lstm(
    b: Builder,
    steps: Int,
    x: Tensor,
    cs: Tensor,
    h: Tensor,
    w: Tensor,
    wci: Tensor,
    wcf: Tensor,
    wco: Tensor,
    bias: Tensor,
    *,
    forget_bias: float = 1.0,
    cell_clip: float = 3.0,
    use_peephole: bool = False,
) -> list[Tensor | None]:
    """BlockLSTM: all steps, the first axis of x."""
    lstm = _Lstm.of("icfo", forget_bias, cell_clip, use_peephole, wci, wcf, wco)
    return _layer(b, lstm, steps, x, cs, h, w, bias)


@to_nnef("tf", "BlockLSTMV2")
def block_lstm_2(
    b: Builder,
    steps: Int,
    x: Tensor,
    cs: Tensor,
    h: Tensor,
    w: Tensor,
    wci: Tensor,
    wcf: Tensor,
    wco: Tensor,
    bias: Tensor,
    *,
    cell_clip: float = 0.0,
    use_peephole: bool = False,
) -> list[Tensor | None]:
    """BlockLSTMV2: another order of gates, and no bias of its own for the forget gate."""
    return _layer(b, _Lstm.of("ifco", 0.0, cell_clip, use_peephole, wci, wcf, wco), steps, x, cs, h, w, bias)


def _layer(
    b: Builder, lstm: _Lstm, steps: int, x: Tensor, cs: Tensor, h: Tensor, w: Tensor, bias: Tensor
) -> list[Tensor | None]:
    """The results of all steps; what follows is zero, as TensorFlow has it for cs and h and leaves open for others."""
    length = shape(x)[0]
    steps = min(steps, length)
    if steps < 1:
        return [b.constant(filled([length, *shape(h)], 0, x.dtype))] * _RESULTS
    x = slice_axes(b, x, [0], [steps], [0], [1])
    only_hidden = not any(b.wanted[:_HIDDEN])
    constant = w.data is not None and bias.data is not None
    if only_hidden and constant and not (lstm.peepholes or lstm.clip or b.standard_only):
        results: list[Tensor | None] = [*[None] * _HIDDEN, _whole_layer(b, lstm, steps, x, cs, h, w, bias)]
    else:
        results = _steps(b, lstm, steps, x, cs, h, w, bias)
    if steps == length:
        return results
    rest = b.constant(filled([length - steps, *shape(h)], 0, x.dtype))
    return [None if y is None else joined(b, [y, rest], 0) for y in results]


def _whole_layer(
    b: Builder, lstm: _Lstm, steps: int, x: Tensor, cs: Tensor, h: Tensor, w: Tensor, bias: Tensor
) -> Tensor:
    """The hidden states of all steps by `lstm_layer`, with the weights in its order: a row per item of a gate."""
    hidden = shape(h)[1]
    rows = [row for gate in "iofc" for row in np.arange(hidden) + lstm.gates.index(gate) * hidden]
    weights: Any = np.asarray(w.data).T[rows]
    biases: Any = np.asarray(lstm.bias(b, bias).data)[:, rows]
    width = shape(x)[2]
    y, _, _ = b.lstm_layer(
        x,
        b.constant(weights[None, :, :width], base=w),
        b.constant(weights[None, :, width:], base=w),
        b.constant(np.concatenate([biases, np.zeros_like(biases)], axis=1), base=bias),
        unsqueeze(b, h, [0]),
        unsqueeze(b, cs, [0]),
        steps=steps,
    )
    return squeeze(b, y, [1])


def _steps(
    b: Builder, lstm: _Lstm, steps: int, x: Tensor, cs: Tensor, h: Tensor, w: Tensor, bias: Tensor
) -> list[Tensor | None]:
    """The results step by step. The products with x are one."""
    b.steps.take(steps)
    width = shape(x)[2]
    own, recurrent = (slice_axes(b, w, [begin], [end], [0], [1]) for begin, end in ((0, width), (width, shape(w)[0])))
    projected = b.add(b.matmul(x, unsqueeze(b, own, [0])), unsqueeze(b, lstm.bias(b, bias), [0]))
    sums = b.unstack(projected, axis=0) if steps > 1 else [squeeze(b, projected, [0])]
    results: list[list[Tensor]] = []
    for part in sums:
        results.append(lstm.step(b, b.add(part, b.matmul(h, recurrent)), cs))
        cs, h = results[-1][1], results[-1][_HIDDEN]
    return [unsqueeze(b, ys[0], [0]) if steps == 1 else b.stack(list(ys), axis=0) for ys in zip(*results, strict=True)]


@to_nnef("tf", "GRUBlockCell")
def gru_block_cell(
    b: Builder, x: Tensor, h: Tensor, w_ru: Tensor, w_c: Tensor, b_ru: Tensor, b_c: Tensor
) -> list[Tensor]:
    """GRUBlockCell: r, u, c and the hidden state u * h + (1 - u) * c."""
    gates = b.add(b.matmul(b.concat([x, h], axis=1), w_ru), unsqueeze(b, b_ru, [0]))
    r, u = b.split(b.sigmoid(gates), axis=1, ratios=[1, 1])
    c = b.tanh(b.add(b.matmul(b.concat([x, b.mul(r, h)], axis=1), w_c), unsqueeze(b, b_c, [0])))
    return [r, u, c, b.add(b.mul(u, h), b.mul(b.sub(1.0, u), c))]
