"""Runs toy models, by numpy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..io.toy import Reader
from .executor import Array, Observer
from .feeds.inputs import check_inputs, tensor_info

OPERATORS: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigm": lambda x: np.asarray(1 / (1 + np.exp(-x))),
    "mul": np.multiply,
}


class ToyExecutor:
    """An `Executor` for a toy file."""

    backend = "toy"
    device = "cpu"
    note = ""
    has_state = False

    def __init__(self, model: str | os.PathLike[str]) -> None:
        self._graph = Reader()(os.fspath(model))
        self.inputs = [tensor_info(t) for t in self._graph.inputs]
        self.outputs = [tensor_info(t) for t in self._graph.outputs]
        self.tensor_names = [str(t.name) for t in self._graph.tensors]

    def reset(self) -> None:
        """See `Executor.reset`."""

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        arrays = check_inputs(self.inputs, inputs)
        values = dict(zip([info.name for info in self.inputs], arrays, strict=True))
        for op in self._graph.operations:
            name = str(op.output.name)
            values[name] = OPERATORS[str(op.type)](*(values[str(t.name)] for t in op.inputs))
            if observe is not None:
                observe(name, values[name])
        return {name: values[name] for name in output_names or [info.name for info in self.outputs]}
