"""Inputs and outputs that pass from run to run, as variables that are updated; see `dialects.onnx.state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ....dialects.onnx.state import KEY, METADATA_PROPS, read_states
from ....errors import ConversionError, shape_text
from ....model import Graph, Tensor
from ...building.nnef import Builder
from ...building.quantized import Array


class Connected(NamedTuple):
    """An input of the source and the output that gives its next value, with the label and first value in NNEF."""

    input: Tensor
    output: Tensor
    label: str
    initial: Array


def connected(graph: Graph) -> list[Connected]:
    """The states that the metadata of the source describe. ConversionError if one does not fit the graph."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    found = []
    for state in read_states(graph.metadata.get(METADATA_PROPS, {})):
        if state.input not in inputs or state.output not in outputs:
            continue  # they are not connected any more
        tensor = inputs[state.input]
        shape, known = state.initial.shape, tensor.shape or ()
        if len(known) != len(shape) or any(a not in (None, b) for a, b in zip(known, shape, strict=True)):
            raise ConversionError(f"input '{tensor.name}' has another shape than its state, {shape_text(shape)}")
        initial = state.initial.astype(tensor.dtype or state.initial.dtype)
        found.append(Connected(tensor, outputs[state.output], state.label, initial))
    return found


def update_state(b: Builder, state: Tensor, value: Tensor, label: str) -> None:
    """The update of a state. ConversionError if the new value has another shape or type."""
    if state.shape != value.shape or state.dtype is not value.dtype:
        shapes = f"{shape_text(state.shape)} to {shape_text(value.shape)}"
        raise ConversionError(f"state '{label}' changes its shape or type, {shapes}")
    b.update(state, value)


def without_states(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the NNEF graph, whose variables are the states."""
    props = {key: value for key, value in dict(metadata.get(METADATA_PROPS) or {}).items() if key != KEY}
    return {**metadata, METADATA_PROPS: props} if METADATA_PROPS in metadata else dict(metadata)
