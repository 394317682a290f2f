"""DynamicQuantizeLSTM of com.microsoft: input and states are quantized to 8 bits while the layer runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ...maths.generated import positions
from ..common import reshape, shape, transpose, unsqueeze
from .quant import dequantize_linear, dequantized, dynamic_quantize_linear
from .recurrent_unrolled import Cell, LstmCell, cell_functions, one_direction, unrolled_layer


@dataclass
class _QuantizedLstmCell(LstmCell):
    def times(self, h: Tensor | None, r: Tensor) -> Tensor | None:
        """The product of the states as DynamicQuantizeLinear leaves them."""
        return super().times(None if h is None else _rounded(self.b, h), r)


def _rounded(b: Builder, x: Tensor) -> Tensor:
    """x as DynamicQuantizeLinear and DequantizeLinear leave it."""
    return dequantized(b, *dynamic_quantize_linear(b, x)) if b.standard_only else b.dynamic_quantize(x)


def _reached(b: Builder, x: Tensor, lengths: Tensor) -> Tensor:
    """x [steps, batch, width], zero in the steps that no sequence has: they are not part of its range."""
    most = b.max_reduce(b.cast(lengths, np.float32), axes=[0])
    step = b.constant(positions(shape(x)[0], np.float32).reshape(-1, 1, 1))
    return b.select(b.lt(step, reshape(b, most, [])), x, 0.0)


def _weights(b: Builder, codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """[directions, rows, gates * hidden] of codes as real numbers, [directions, gates * hidden, rows].

    Scales and zero points: one for each direction, or for each of its gates.
    """
    turned = transpose(b, codes, [0, 2, 1])
    if len(shape(scale)) == 1:
        return dequantize_linear(b, turned, scale, zero_point, axis=0)
    if shape(turned)[0] == 1:
        return dequantize_linear(b, turned, b.squeeze(scale, axes=[0]), b.squeeze(zero_point, axes=[0]), axis=1)
    directions = range(shape(turned)[0])
    parts = [[one_direction(b, x, k) for x in (turned, scale, zero_point)] for k in directions]
    return b.stack([dequantize_linear(b, *part, axis=0) for part in parts], axis=0)


@to_nnef("onnx", "DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(
    b: Builder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None,
    sequence_lens: Tensor | None,
    initial_h: Tensor | None,
    initial_c: Tensor | None,
    peepholes: Tensor | None,
    w_scale: Tensor,
    w_zero_point: Tensor,
    r_scale: Tensor,
    r_zero_point: Tensor,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    input_forget: int = 0,
    activations: list[str] | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    clip: float | None = None,
) -> list[Tensor]:
    """DynamicQuantizeLSTM: LSTM, of which the input as a whole, and the states of each step, are quantized."""
    hidden = shape(r)[1]
    if hidden_size not in (None, hidden):
        raise Unsupported(f"hidden_size = {hidden_size}, but the recurrent weights have shape {shape(r)}")
    functions = cell_functions(
        b, activations, ["sigmoid", "tanh", "tanh"], shape(w)[0], activation_alpha, activation_beta
    )

    def make(k: int, rk: Tensor, bk: Tensor | None) -> Cell:
        cell = _QuantizedLstmCell(b, functions[k], clip, hidden, rk, bk, input_forget=bool(input_forget))
        if peepholes is not None:
            cell.peepholes = cell.gates(unsqueeze(b, one_direction(b, peepholes, k), [0]))
        return cell

    batch = shape(x)[1]
    if batch > 1:
        b.warnings[
            f"DynamicQuantizeLSTM: the states of {batch} sequences are quantized together, as onnxruntime does with "
            "one thread and sequences of equal lengths; with others its results differ by steps of the quantization"
        ] = None
    if sequence_lens is not None:
        x = _reached(b, x, sequence_lens)
    weights = _weights(b, w, w_scale, w_zero_point), _weights(b, r, r_scale, r_zero_point)
    initial = [initial_h, initial_c]
    return unrolled_layer(b, _rounded(b, x), make, *weights, bias, sequence_lens, initial, direction, 0)
