"""Recurrent operators: layers of NNEF where these compute the same, otherwise step by step.

Their states are variables, which keep their values from run to run, as LiteRT has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.quantized import QuantizedArray
from ...building.shapes import reshape, shape, squeeze, transpose, unsqueeze
from ...compose.slicing import slice_axes
from ...engine.rules import to_nnef
from ..common import activated

_Optional = Tensor | None

_NORMALIZATION_EPSILON = 1e-8


@dataclass(frozen=True)
class _Lstm:
    """The weights of an LSTM: for each of the gates input, forget, cell, output, or none of that kind.

    peepholes: from the cell state to the gates input, forget, output. Without weights of the input gate, it is one
    minus the forget gate.
    """

    inputs: Sequence[_Optional]
    recurrent: Sequence[_Optional]
    peepholes: Sequence[_Optional]
    biases: Sequence[_Optional]
    projection: _Optional
    projection_bias: _Optional
    norms: Sequence[_Optional]
    activation: str
    cell_clip: float
    projection_clip: float

    @classmethod
    def of(cls, xs: Sequence[_Optional], norms: Sequence[_Optional], activation: str, clips: Sequence[float]) -> _Lstm:
        """The LSTM for 17 inputs in the order of the operators. clips: of the cell state and of the projection."""
        return cls(xs[0:4], xs[4:8], xs[8:11], xs[11:15], xs[15], xs[16], norms, activation, *clips)

    @property
    def is_plain(self) -> bool:
        """Is it the LSTM of NNEF's `lstm_layer`?"""
        further = (*self.peepholes, *self.norms, self.projection, self.projection_bias)
        clips = max(self.cell_clip, self.projection_clip) > 0
        whole = all(item is not None for item in (*self.inputs, *self.recurrent, *self.biases))
        return whole and self.activation == "TANH" and not clips and all(item is None for item in further)

    def layer(self, b: Builder, x: Tensor, h: Tensor, c: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
        """`lstm_layer`: the hidden states `[T, N, H]`, and the last states."""
        order = (0, 3, 1, 2)  # input, output, forget, cell
        w, r, bias = (_joined(b, [items[k] for k in order]) for items in (self.inputs, self.recurrent, self.biases))
        y, hn, cn = b.lstm_layer(
            x,
            unsqueeze(b, w, [0]),
            unsqueeze(b, r, [0]),
            _with_zeros(b, bias),
            unsqueeze(b, h, [0]),
            unsqueeze(b, c, [0]),
            steps=shape(x)[0],
            reverse=reverse,
        )
        return squeeze(b, y, [1]), squeeze(b, hn, [0]), squeeze(b, cn, [0])

    def sums(self, b: Builder, x: Tensor) -> list[list[_Optional]]:
        """The weighted inputs of the gates for each step: `[N, H]`, with the bias unless it follows a normalization."""
        gates: list[list[_Optional]] = []
        for k, weights in enumerate(self.inputs):
            if weights is None:
                gates.append([None] * shape(x)[0])
                continue
            total = b.matmul(x, unsqueeze(b, weights, [0]), transposeB=True)
            bias = self.biases[k]
            if bias is not None and self.norms[k] is None:
                total = b.add(total, unsqueeze(b, bias, [0, 1]))
            gates.append(list(_steps(b, total)))
        return [list(items) for items in zip(*gates, strict=True)]

    def step(self, b: Builder, sums: Sequence[_Optional], h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The next states."""
        f = b.sigmoid(self._gate(b, 1, sums, h, self.peepholes[1], c))
        i = b.sub(1.0, f) if sums[0] is None else b.sigmoid(self._gate(b, 0, sums, h, self.peepholes[0], c))
        g = activated(b, self._gate(b, 2, sums, h, None, c), self.activation)
        c = _clipped(b, b.add(b.mul(f, c), b.mul(i, g)), self.cell_clip)
        o = b.sigmoid(self._gate(b, 3, sums, h, self.peepholes[2], c))
        h = b.mul(o, activated(b, c, self.activation))
        if self.projection is not None:
            h = b.matmul(h, self.projection, transposeB=True)
            if self.projection_bias is not None:
                h = b.add(h, unsqueeze(b, self.projection_bias, [0]))
            h = _clipped(b, h, self.projection_clip)
        return h, c

    def _gate(self, b: Builder, k: int, sums: Sequence[_Optional], h: Tensor, peephole: _Optional, c: Tensor) -> Tensor:
        """What a gate applies its function to."""
        total, weights, coefficients = sums[k], self.recurrent[k], self.norms[k]
        if total is None or weights is None:
            raise Unsupported("weights of a gate are missing")
        total = b.add(total, b.matmul(h, weights, transposeB=True))
        if peephole is not None:
            total = b.add(total, b.mul(c, unsqueeze(b, peephole, [0])))
        if coefficients is None:
            return total
        centered = b.sub(total, b.mean_reduce(total, axes=[1]))
        variance = b.mean_reduce(b.sqr(centered), axes=[1])
        scaled = b.mul(centered, b.rsqrt(b.add(variance, _NORMALIZATION_EPSILON)))
        total, bias = b.mul(scaled, unsqueeze(b, coefficients, [0])), self.biases[k]
        return total if bias is None else b.add(total, unsqueeze(b, bias, [0]))


def _joined(b: Builder, parts: Sequence[_Optional]) -> Tensor:
    """The parts along the first axis: a constant of plain ones, an operation that keeps the codes of quantized ones."""
    known = [part for part in parts if part is not None]
    if all(part.data is not None and not isinstance(part.data, QuantizedArray) for part in known):
        return b.constant(np.concatenate([np.asarray(part.data) for part in known]), base=known[0])
    return b.concat(known, axis=0)


def _with_zeros(b: Builder, bias: Tensor) -> Tensor:
    """`[1, 2 * rows]`: the bias of the input weights, and none of the recurrent ones."""
    zeros = np.zeros(shape(bias), np.float32)
    if bias.data is not None and not isinstance(bias.data, QuantizedArray):
        return b.constant(np.concatenate([np.asarray(bias.data), zeros])[None], base=bias)
    return unsqueeze(b, b.concat([bias, b.constant(zeros)], axis=0), [0])


def _clipped(b: Builder, x: Tensor, limit: float) -> Tensor:
    return b.clamp(x, -limit, limit) if limit > 0 else x


def _steps(b: Builder, x: Tensor) -> list[Tensor]:
    """The items along the first axis."""
    count = shape(x)[0]
    b.steps.take(count)
    return [squeeze(b, x, [0])] if count == 1 else b.unstack(x, axis=0)


def _stacked(b: Builder, xs: Sequence[Tensor]) -> Tensor:
    return unsqueeze(b, xs[0], [0]) if len(xs) == 1 else b.stack(list(xs), axis=0)


def _lstm(b: Builder, lstm: _Lstm, x: Tensor, h: _Optional, c: _Optional, reverse: bool = False) -> Tensor:
    """The hidden states `[T, N, H]` for an input `[T, N, I]`; the states, which are variables, are updated."""
    hidden, cell = _state(b, h), _state(b, c)
    _warn_of_rounding(b, x)
    if lstm.is_plain and not b.standard_only:
        y, last, memory = lstm.layer(b, x, hidden, cell, reverse)
    else:
        last, memory = hidden, cell
        found: list[Tensor] = []
        for sums in lstm.sums(b, x)[:: -1 if reverse else 1]:
            last, memory = lstm.step(b, sums, last, memory)
            found.append(last)
        y = _stacked(b, found[:: -1 if reverse else 1])
    b.update(hidden, last)
    b.update(cell, memory)
    return y


def _state(b: Builder, state: _Optional) -> Tensor:
    if state not in b.states or state is None:
        raise Unsupported("a state is not a variable of this operator alone")
    b.warnings["states of recurrent layers keep their values from run to run, as in LiteRT"] = None
    return state


def _warn_of_rounding(b: Builder, x: Tensor) -> None:
    if x.quant:
        text = "kernels of quantized recurrent layers round gates to 16 bits, here they are computed in real numbers"
        b.warnings[text] = None


def _time_first(b: Builder, x: Tensor, time_major: bool) -> Tensor:
    """`[N, T, I]` -> `[T, N, I]` and back, unless it is that already."""
    return x if time_major else transpose(b, x, [1, 0, 2])


@to_nnef("tflite", "LSTM")
def lstm_cell(
    b: Builder,
    *xs: Tensor,
    fused_activation_function: str = "NONE",
    cell_clip: float = 0.0,
    proj_clip: float = 0.0,
    kernel_type: str = "FULL",
    asymmetric_quantize_inputs: bool = False,
) -> list[_Optional]:
    """LSTM: a step, with states that are variables, or, of kind BASIC, inputs and outputs."""
    if kernel_type == "BASIC":
        if (fused_activation_function, cell_clip, proj_clip) != ("TANH", 0.0, 0.0):
            raise Unsupported("the BASIC kernel with another activation than TANH, or with clipping")
        return _basic(b, *xs)
    x, weights, h, c, norms = _lstm_inputs(xs)
    lstm = _Lstm.of(weights, norms, fused_activation_function, (cell_clip, proj_clip))
    return [squeeze(b, _lstm(b, lstm, unsqueeze(b, x, [0]), h, c), [0])]


def _lstm_inputs(
    xs: Sequence[_Optional],
) -> tuple[Tensor, Sequence[_Optional], _Optional, _Optional, Sequence[_Optional]]:
    """The input, the 17 weights, hidden and cell state, and 4 coefficients of normalizations, which may be absent."""
    if len(xs) not in (20, 24) or xs[0] is None:
        raise Unsupported(f"{len(xs)} inputs, expected 20 or 24")
    return xs[0], xs[1:18], xs[18], xs[19], xs[20:] or [None] * 4


def _basic(b: Builder, *xs: _Optional) -> list[_Optional]:
    """The BASIC kernel: h and c, and no value for what it uses as scratch."""
    if len(xs) != 5 or any(item is None for item in xs):
        raise Unsupported(f"the BASIC kernel with {len(xs)} inputs, expected 5")
    x, h, weights, bias, c = (item for item in xs if item is not None)
    _warn_of_rounding(b, x)
    sums = b.add(b.matmul(b.concat([x, h], axis=1), weights, transposeB=True), unsqueeze(b, bias, [0]))
    i, g, f, o = b.split(sums, axis=1, ratios=[1, 1, 1, 1])
    cell = b.add(b.mul(b.sigmoid(i), b.tanh(g)), b.mul(b.sigmoid(f), c))
    hidden = b.mul(b.sigmoid(o), b.tanh(cell))
    for state, value in ((h, hidden), (c, cell)):
        if state in b.states:
            b.update(state, value)
    return [hidden, cell, None, None]


@to_nnef("tflite", "UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm_sequence(
    b: Builder,
    *xs: Tensor,
    fused_activation_function: str = "NONE",
    cell_clip: float = 0.0,
    proj_clip: float = 0.0,
    time_major: bool = False,
    asymmetric_quantize_inputs: bool = False,
    diagonal_recurrent_tensors: bool = False,
) -> Tensor:
    """UNIDIRECTIONAL_SEQUENCE_LSTM -> lstm_layer, or its steps."""
    if diagonal_recurrent_tensors:
        raise Unsupported("diagonal_recurrent_tensors = true")
    x, weights, h, c, norms = _lstm_inputs(xs)
    lstm = _Lstm.of(weights, norms, fused_activation_function, (cell_clip, proj_clip))
    return _time_first(b, _lstm(b, lstm, _time_first(b, x, time_major), h, c), time_major)


@to_nnef("tflite", "BIDIRECTIONAL_SEQUENCE_LSTM")
def lstm_both_ways(
    b: Builder,
    *xs: Tensor,
    fused_activation_function: str = "NONE",
    cell_clip: float = 0.0,
    proj_clip: float = 0.0,
    merge_outputs: bool = False,
    time_major: bool = True,
    asymmetric_quantize_inputs: bool = False,
) -> list[Tensor]:
    """BIDIRECTIONAL_SEQUENCE_LSTM -> two of lstm_layer, or their steps."""
    if len(xs) != 48 or xs[0] is None:
        raise Unsupported(f"{len(xs)} inputs, expected 48")
    forth, back = _both_inputs(b, xs[0], xs[39], xs[40:48], time_major)
    options: Any = ([None] * 4, fused_activation_function, (cell_clip, proj_clip))
    results = [
        _lstm(b, _Lstm.of(xs[1:18], *options), forth, xs[35], xs[36]),
        _lstm(b, _Lstm.of(xs[18:35], *options), back, xs[37], xs[38], reverse=True),
    ]
    return _both_results(b, results, merge_outputs, time_major)


def _both_inputs(
    b: Builder, x: Tensor, auxiliary: _Optional, weights: Sequence[_Optional], time_major: bool
) -> tuple[Tensor, Tensor]:
    """The inputs of the two directions. The backward one reads the auxiliary input if that has no weights."""
    if any(item is not None for item in weights):
        raise Unsupported("weights of an auxiliary input")
    return _time_first(b, x, time_major), _time_first(b, x if auxiliary is None else auxiliary, time_major)


def _both_results(b: Builder, results: list[Tensor], merged: bool, time_major: bool) -> list[Tensor]:
    moved = [_time_first(b, y, time_major) for y in results]
    return [b.concat(moved, axis=2)] if merged else moved


@dataclass(frozen=True)
class _Rnn:
    """A simple recurrent cell: activation(x * inputs + h * recurrent + bias)."""

    inputs: Tensor
    recurrent: Tensor
    bias: Tensor
    activation: str

    def run(self, b: Builder, x: Tensor, h: _Optional, reverse: bool = False) -> Tensor:
        """The hidden states `[T, N, H]` for an input `[T, N, I]`; the state, which is a variable, is updated."""
        state = _state(b, h)
        _warn_of_rounding(b, x)
        if self.activation in ("TANH", "RELU") and not b.standard_only:
            y, last = b.rnn_layer(
                x,
                unsqueeze(b, self.inputs, [0]),
                unsqueeze(b, self.recurrent, [0]),
                _with_zeros(b, self.bias),
                unsqueeze(b, state, [0]),
                steps=shape(x)[0],
                reverse=reverse,
                rectified=self.activation == "RELU",
            )
            y, last = squeeze(b, y, [1]), squeeze(b, last, [0])
        else:
            own = b.matmul(x, unsqueeze(b, self.inputs, [0]), transposeB=True)
            last, found = state, []
            for part in _steps(b, b.add(own, unsqueeze(b, self.bias, [0, 1])))[:: -1 if reverse else 1]:
                total = b.add(part, b.matmul(last, self.recurrent, transposeB=True))
                last = activated(b, total, self.activation)
                found.append(last)
            y = _stacked(b, found[:: -1 if reverse else 1])
        b.update(state, last)
        return y


@to_nnef("tflite", "RNN")
def rnn_cell(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    *,
    fused_activation_function: str = "NONE",
    asymmetric_quantize_inputs: bool = False,
) -> Tensor:
    """RNN: a step."""
    cell = _Rnn(w, r, bias, fused_activation_function)
    return squeeze(b, cell.run(b, unsqueeze(b, x, [0]), h), [0])


@to_nnef("tflite", "UNIDIRECTIONAL_SEQUENCE_RNN")
def rnn_sequence(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    *,
    time_major: bool = False,
    fused_activation_function: str = "NONE",
    asymmetric_quantize_inputs: bool = False,
) -> Tensor:
    """UNIDIRECTIONAL_SEQUENCE_RNN -> rnn_layer, or its steps."""
    cell = _Rnn(w, r, bias, fused_activation_function)
    return _time_first(b, cell.run(b, _time_first(b, x, time_major), h), time_major)


@to_nnef("tflite", "BIDIRECTIONAL_SEQUENCE_RNN")
def rnn_both_ways(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    back_w: Tensor,
    back_r: Tensor,
    back_bias: Tensor,
    back_h: Tensor,
    auxiliary: Tensor | None = None,
    auxiliary_w: Tensor | None = None,
    auxiliary_back_w: Tensor | None = None,
    *,
    time_major: bool = False,
    fused_activation_function: str = "NONE",
    merge_outputs: bool = False,
    asymmetric_quantize_inputs: bool = False,
) -> list[Tensor]:
    """BIDIRECTIONAL_SEQUENCE_RNN -> two of rnn_layer, or their steps."""
    forth, back = _both_inputs(b, x, auxiliary, (auxiliary_w, auxiliary_back_w), time_major)
    cell = _Rnn(w, r, bias, fused_activation_function)
    results = [
        cell.run(b, forth, h),
        replace(cell, inputs=back_w, recurrent=back_r, bias=back_bias).run(b, back, back_h, reverse=True),
    ]
    return _both_results(b, results, merge_outputs, time_major)


@to_nnef("tflite", "SVDF")
def svdf(
    b: Builder,
    x: Tensor,
    features: Tensor,
    times: Tensor,
    bias: Tensor | None,
    state: Tensor,
    *,
    rank: int = 0,
    fused_activation_function: str = "NONE",
    asymmetric_quantize_inputs: bool = False,
) -> Tensor:
    """SVDF: a filter over the last products of the input with features, which are the state `[N, filters * memory]`."""
    variable = _state(b, state)
    (filters, memory), batch = shape(times), shape(x)[0]
    if rank < 1 or filters % rank:
        raise Unsupported(f"rank {rank} for {filters} filters")
    new = unsqueeze(b, b.matmul(x, features, transposeB=True), [2])
    if memory > 1:
        former = reshape(b, variable, [batch, filters, memory])
        new = b.concat([slice_axes(b, former, [1], [memory], [2], [1]), new], axis=2)
    kept = reshape(b, new, [batch, filters * memory])
    if variable.quant and not kept.quant:
        kept.quant = dict(variable.quant)
        new = reshape(b, kept, [batch, filters, memory])
    filtered = b.sum_reduce(b.mul(new, unsqueeze(b, times, [0])), axes=[2])
    total = squeeze(b, b.sum_reduce(reshape(b, filtered, [batch, filters // rank, rank]), axes=[2]), [2])
    b.update(variable, kept)
    if bias is not None:
        total = b.add(total, unsqueeze(b, bias, [0]))
    if x.quant:  # the integer kernel is limited by the range of the codes alone, whatever the function
        return total
    return activated(b, total, fused_activation_function)
