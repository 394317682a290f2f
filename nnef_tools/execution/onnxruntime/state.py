"""The state of models in onnxruntime, which has none of its own: values that pass from one run to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dialects.onnx.state import State, read_states
from ..executor import Array


def states_of(session: Any) -> list[State]:
    """The states of the model of a session, whose metadata describe them. FormatError if these are damaged."""
    found = read_states(session.get_modelmeta().custom_metadata_map)
    inputs = {item.name for item in session.get_inputs()}
    outputs = {item.name for item in session.get_outputs()}
    return [state for state in found if state.input in inputs and state.output in outputs]


class Memory:
    """The present values of states, by label, for all sessions of a model."""

    def __init__(self) -> None:
        self._values: dict[str, Array] = {}

    def clear(self) -> None:
        """Forgets all values, so that the first ones count again."""
        self._values.clear()

    def feeds(self, states: list[State]) -> dict[str, Array]:
        """The inputs of the next run."""
        return {state.input: self._values.get(state.label, state.initial) for state in states}

    def keep(self, states: list[State], results: Sequence[Array]) -> None:
        """Takes the values for the next run from this one. results: the outputs of the states, in their order."""
        self._values.update({state.label: value for state, value in zip(states, results, strict=True)})
