"""NNEF to TensorFlow Lite: variables that are updated, as resource variables.

As TensorFlow's converter writes them: a subgraph that CALL_ONCE runs before everything else assigns the first values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....model import Graph, Operation, Tensor
from ...building.quantized import Array, QuantizedArray
from ...engine.rules import from_nnef
from ..building import TfliteBuilder
from .quantization import lite_quant


@dataclass(frozen=True)
class State:
    """A variable of TensorFlow Lite. handle: its VAR_HANDLE. stored: its value when a run begins, as it is stored.

    initial: its value before the first run, plain or codes.
    """

    label: str
    handle: Tensor
    stored: Tensor
    initial: Array


@from_nnef("tflite", "update")
def update(b: TfliteBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: the new value; the converter assigns it to the variable."""
    return value


def read_state(graph: Graph, label: str, initial: Array | QuantizedArray) -> State:
    """Adds the operators that read a variable."""
    codes = initial.codes if isinstance(initial, QuantizedArray) else initial
    handle = _handle(graph, label)
    stored = Tensor(graph, shape=codes.shape, dtype=codes.dtype.type)
    if isinstance(initial, QuantizedArray):
        stored.quant = lite_quant(initial)
    Operation(graph, type="READ_VARIABLE", inputs=(handle,), outputs=(stored,))
    return State(label, handle, stored, codes)


def assign(graph: Graph, handle: Tensor, value: Tensor) -> None:
    """Adds the operator that gives a variable its value for the next run."""
    Operation(graph, type="ASSIGN_VARIABLE", inputs=(handle, value), outputs=())


def initialize_states(graph: Graph, states: Sequence[State]) -> None:
    """Adds the operator that gives variables their values before the first run, in the types that they have by now."""
    if not states:
        return
    first = Graph("NoOp")
    for k, state in enumerate(states):
        data = state.initial.astype(state.stored.dtype, copy=False)
        value = Tensor(first, f"initial_value_{k}", data.shape, data.dtype.type, data, quant=state.stored.quant)
        assign(first, _handle(first, state.label, f"variable_{k}"), value)
    Operation(graph, type="CALL_ONCE", attribs={"init_subgraph": first}, inputs=(), outputs=())
    graph.move_operation(len(graph.operations) - 1, 0)


def _handle(graph: Graph, label: str, name: str | None = None) -> Tensor:
    handle = Tensor(graph, name, (), np.void)
    Operation(graph, type="VAR_HANDLE", attribs={"container": "", "shared_name": label}, inputs=(), outputs=(handle,))
    return handle
