"""Runs of a model of which some inputs always have the same value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .executor import Array, Executor, Observer, TensorInfo
from .forwarding import ForwardingExecutor


class FixedInputs(ForwardingExecutor):
    """An `Executor` that gives inputs of another one their values, so that it does not have them itself."""

    def __init__(self, executor: Executor, values: Mapping[str, Array]) -> None:
        super().__init__(executor)
        self._values = values

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See `Executor.inputs`."""
        return [info for info in self._executor.inputs if info.name not in self._values]

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        return self._executor.run({**self._values, **inputs}, output_names=output_names, observe=observe)
