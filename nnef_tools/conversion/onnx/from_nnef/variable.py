"""NNEF to ONNX: variables that are updated, as inputs and outputs; see `dialects.onnx.state`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....dialects.onnx.state import KEY, METADATA_PROPS, NEXT, State, write_states
from ....errors import Unsupported
from ....model import Operation, Tensor
from ...building.target import Array
from ...engine.rules import from_nnef
from ...maths.quantization import real_values
from ..building import OnnxBuilder


@dataclass
class StateTensors:
    """A variable and its update in NNEF; in ONNX: input, its value as it is quantized, output, first value."""

    variable: Tensor
    update: Operation
    input: Tensor
    quantized: Tensor
    initial: Array
    output: Tensor | None = None

    @property
    def label(self) -> str:
        """The label of the variable."""
        assert self.variable.producer is not None
        return str(self.variable.producer.attribs["label"])


@from_nnef("onnx", "update")
def update(b: OnnxBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: the new value, which is an output of the model, too."""
    return value


def first_value(variable: Tensor, class_of: Callable[[Any], type]) -> Array:
    """What the variable holds before the first run, in the class to compute with. Unsupported without data."""
    if variable.data is None:
        raise Unsupported(f"variable '{variable.name}' has no data")
    data = np.asarray(variable.data)
    real = real_values(data, variable.quant) if variable.quant else data
    return real.astype(class_of(real.dtype), copy=False)


def state_names(states: Sequence[StateTensors]) -> dict[Tensor, str]:
    """The names of inputs and outputs: the label of the variable, and that with `_next` behind it."""
    inputs = {state.input: state.label for state in states}
    return inputs | {state.output: state.label + NEXT for state in states if state.output is not None}


def with_states(metadata: Mapping[str, Any], states: Sequence[StateTensors]) -> dict[str, Any]:
    """The metadata of the ONNX graph with its states, and without those of a model that it may come from."""
    props = {key: value for key, value in dict(metadata.get(METADATA_PROPS) or {}).items() if key != KEY}
    if states:
        items = [
            State(s.label, str(s.input.name), str(s.output.name), s.initial) for s in states if s.output is not None
        ]
        props[KEY] = write_states(items)
    result = {key: value for key, value in metadata.items() if key != METADATA_PROPS}
    return {**result, METADATA_PROPS: props} if props or METADATA_PROPS in metadata else result
