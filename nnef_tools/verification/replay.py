"""Repeats a run of a model with a state, which depends on the runs before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..execution.executor import Array, Executor, Observer, TensorInfo


class Replay:
    """An executor that makes the same runs from the beginning before each run, so that it always starts alike."""

    has_state = False

    def __init__(self, executor: Executor, before: Sequence[Mapping[str, Array]]) -> None:
        self._executor = executor
        self._before = before
        self.backend = executor.backend
        self.device = executor.device
        self.note = executor.note

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See `Executor.inputs`."""
        return self._executor.inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See `Executor.outputs`."""
        return self._executor.outputs

    @property
    def tensor_names(self) -> Sequence[str]:
        """See `Executor.tensor_names`."""
        return self._executor.tensor_names

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
        self._executor.reset()
        for earlier in self._before:
            self._executor.run(earlier)
        return self._executor.run(inputs, output_names=output_names, observe=observe)


def replaying(executor: Executor, before: Sequence[Mapping[str, Array]]) -> Executor:
    """An executor whose runs follow these earlier ones; the same one if its runs do not depend on each other."""
    return Replay(executor, before) if executor.has_state else executor
