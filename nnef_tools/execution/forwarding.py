"""The base of executors that pass on to another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .executor import Array, Executor, Observer, TensorInfo


class ForwardingExecutor:
    """An `Executor` that does what another one does."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @property
    def backend(self) -> str:
        """See `Executor.backend`."""
        return self._executor.backend

    @property
    def device(self) -> str:
        """See `Executor.device`."""
        return self._executor.device

    @property
    def note(self) -> str:
        """See `Executor.note`."""
        return self._executor.note

    @property
    def has_state(self) -> bool:
        """See `Executor.has_state`."""
        return self._executor.has_state

    def reset(self) -> None:
        """See `Executor.reset`."""
        self._executor.reset()

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

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        return self._executor.run(inputs, output_names=output_names, observe=observe)
