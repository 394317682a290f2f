"""RNN, GRU and LSTM: operations of their own (`rnn_layer`, `gru_layer`, `lstm_layer`), or unrolled in unusual forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ...maths.generated import filled
from ..common import shape, transpose, unsqueeze
from .recurrent_unrolled import Cell, GruCell, LstmCell, RnnCell, cell_functions, one_direction, unrolled_layer


def _hidden(x: Tensor, r: Tensor, declared: int | None) -> int:
    """The size of the hidden state, which the recurrent weights `[directions, rows, hidden]` tell."""
    for name, tensor in (("X", x), ("R", r)):
        if len(shape(tensor)) != 3:
            raise InvalidOperator(f"{name} has shape {shape(tensor)}, but must have 3 axes")
    hidden = shape(r)[2]
    if declared not in (None, hidden):
        raise Unsupported(f"hidden_size = {declared}, but the recurrent weights have shape {shape(r)}")
    return hidden


def _functions(activations: Sequence[str] | None, default: Sequence[str], w: Tensor) -> list[str]:
    """The names of the activations of all directions."""
    return [name.lower() for name in activations or [*default] * shape(w)[0]]


def _is_plain(b: Builder, x: Tensor, lengths: Tensor | None, direction: str, layout: int, clip: float | None) -> bool:
    """Can the layer be one operation, apart from its activations? All sequences must have all steps."""
    if b.standard_only or clip is not None or direction not in ("forward", "reverse", "bidirectional"):
        return False
    steps = shape(x)[1 if layout else 0]
    value = None if lengths is None else b.value(lengths)
    return steps > 0 and (lengths is None or (value is not None and bool(np.all(value == steps))))


def _whole_layer(
    b: Builder,
    name: str,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None,
    initial: Sequence[Tensor | None],
    direction: str,
    layout: int,
    **attribs: Any,
) -> list[Tensor]:
    """The layer as an operation of that name: Y and the final states. What is left out is zero."""
    if layout:
        x = transpose(b, x, [1, 0, 2])
        initial = [None if s is None else transpose(b, s, [1, 0, 2]) for s in initial]
    directions, rows, hidden = shape(r)
    steps, batch, _ = shape(x)
    zero = b.constant(filled([directions, batch, hidden], 0, x.dtype))
    results = b.op(
        name,
        x,
        w,
        r,
        b.constant(filled([directions, 2 * rows], 0, x.dtype)) if bias is None else bias,
        *(zero if state is None else state for state in initial),
        steps=steps,
        reverse=direction == "reverse",
        bidirectional=direction == "bidirectional",
        **attribs,
    )
    if not layout:
        return list(results)
    return [transpose(b, results[0], [2, 0, 1, 3]), *(transpose(b, s, [1, 0, 2]) for s in results[1:])]


@to_nnef("onnx", "RNN")
def rnn(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    activations: list[str] | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    clip: float | None = None,
    output_sequence: int = 0,
) -> list[Tensor]:
    """RNN. output_sequence (version 1) only tells whether the first result is there; so for GRU and LSTM."""
    hidden = _hidden(x, r, hidden_size)
    names = _functions(activations, ["tanh"], w)
    usual = names in (["tanh"] * shape(w)[0], ["relu"] * shape(w)[0])
    if usual and _is_plain(b, x, sequence_lens, direction, layout, clip):
        return _whole_layer(b, "rnn_layer", x, w, r, bias, [initial_h], direction, layout, rectified="relu" in names)
    functions = cell_functions(b, activations, ["tanh"], shape(w)[0], activation_alpha, activation_beta)

    def make(k: int, rk: Tensor, bk: Tensor | None) -> Cell:
        return RnnCell(b, functions[k], clip, hidden, rk, bk)

    return unrolled_layer(b, x, make, w, r, bias, sequence_lens, [initial_h], direction, layout)


@to_nnef("onnx", "GRU")
def gru(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    linear_before_reset: int = 0,
    activations: list[str] | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    clip: float | None = None,
    output_sequence: int = 0,
) -> list[Tensor]:
    """GRU."""
    hidden = _hidden(x, r, hidden_size)
    default = ["sigmoid", "tanh"]
    usual = _functions(activations, default, w) == default * shape(w)[0]
    if usual and _is_plain(b, x, sequence_lens, direction, layout, clip):
        linear = bool(linear_before_reset)
        return _whole_layer(b, "gru_layer", x, w, r, bias, [initial_h], direction, layout, linear_before_reset=linear)
    functions = cell_functions(b, activations, default, shape(w)[0], activation_alpha, activation_beta)

    def make(k: int, rk: Tensor, bk: Tensor | None) -> Cell:
        return GruCell(b, functions[k], clip, hidden, rk, bk)

    return unrolled_layer(
        b, x, make, w, r, bias, sequence_lens, [initial_h], direction, layout, bool(linear_before_reset)
    )


@to_nnef("onnx", "LSTM")
def lstm(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    peepholes: Tensor | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    input_forget: int = 0,
    activations: list[str] | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    clip: float | None = None,
    output_sequence: int = 0,
) -> list[Tensor]:
    """LSTM."""
    hidden = _hidden(x, r, hidden_size)
    default = ["sigmoid", "tanh", "tanh"]
    usual = peepholes is None and not input_forget and _functions(activations, default, w) == default * shape(w)[0]
    if usual and _is_plain(b, x, sequence_lens, direction, layout, clip):
        return _whole_layer(b, "lstm_layer", x, w, r, bias, [initial_h, initial_c], direction, layout)
    functions = cell_functions(b, activations, default, shape(w)[0], activation_alpha, activation_beta)

    def make(k: int, rk: Tensor, bk: Tensor | None) -> Cell:
        cell = LstmCell(b, functions[k], clip, hidden, rk, bk, input_forget=bool(input_forget))
        if peepholes is not None:
            cell.peepholes = cell.gates(unsqueeze(b, one_direction(b, peepholes, k), [0]))
        return cell

    return unrolled_layer(b, x, make, w, r, bias, sequence_lens, [initial_h, initial_c], direction, layout)
