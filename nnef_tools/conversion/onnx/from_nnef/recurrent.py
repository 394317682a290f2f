"""NNEF to ONNX: recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....model import Tensor
from ...building.quantized import QuantizedArray
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape


def _unless_zero(x: Tensor) -> Tensor | None:
    """A bias or an initial state, which ONNX leaves out where it is zero."""
    known = x.data is not None and not isinstance(x.data, QuantizedArray)
    return None if known and not np.any(np.asarray(x.data)) else x


def _attributes(r: Tensor, reverse: bool, bidirectional: bool) -> dict[str, Any]:
    direction = "bidirectional" if bidirectional else "reverse" if reverse else None
    return {"hidden_size": shape(r)[2], "direction": direction}


@from_nnef("onnx", "lstm_layer")
def lstm_layer(
    b: OnnxBuilder,
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
) -> tuple[Tensor, ...]:
    """lstm_layer -> LSTM."""
    given = (_unless_zero(bias), None, _unless_zero(h), _unless_zero(c))
    results: tuple[Tensor, ...] = b.LSTM(x, w, r, *given, outputs=3, **_attributes(r, reverse, bidirectional))
    return results


@from_nnef("onnx", "gru_layer")
def gru_layer(
    b: OnnxBuilder,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    h: Tensor,
    *,
    steps: int,
    reverse: bool,
    bidirectional: bool,
    linear_before_reset: bool,
) -> tuple[Tensor, ...]:
    """gru_layer -> GRU."""
    attribs = {**_attributes(r, reverse, bidirectional), "linear_before_reset": 1 if linear_before_reset else None}
    results: tuple[Tensor, ...] = b.GRU(x, w, r, _unless_zero(bias), None, _unless_zero(h), outputs=2, **attribs)
    return results


@from_nnef("onnx", "rnn_layer")
def rnn_layer(
    b: OnnxBuilder,
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
) -> tuple[Tensor, ...]:
    """rnn_layer -> RNN."""
    activations = ["Relu"] * shape(r)[0] if rectified else None
    attribs = {**_attributes(r, reverse, bidirectional), "activations": activations}
    results: tuple[Tensor, ...] = b.RNN(x, w, r, _unless_zero(bias), None, _unless_zero(h), outputs=2, **attribs)
    return results
