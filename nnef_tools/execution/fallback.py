"""An executor that changes to another backend when a model turns out not to run in the first one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..budget import current, within
from ..errors import ConversionError, FormatError
from .executor import Array, EngineError, Executor, Observer, TensorInfo


class FallbackExecutor:
    """Runs a model in the first executor until that fails, then in the one that `make_next` makes, with a note why.

    If it fails there too, the model or the inputs are at fault, as for an index out of range: that error is raised, and
    the next run begins with the first executor again.
    """

    def __init__(self, first: Executor, make_next: Callable[[str], Executor]) -> None:
        self._current = first
        self._has_run = False
        self._make_next: Callable[[str], Executor] | None = make_next
        self._budget = current()

    @property
    def backend(self) -> str:
        """See `Executor.backend`."""
        return self._current.backend

    @property
    def device(self) -> str:
        """See `Executor.device`."""
        return self._current.device

    @property
    def note(self) -> str:
        """See `Executor.note`."""
        return self._current.note

    @property
    def has_state(self) -> bool:
        """See `Executor.has_state`."""
        return self._current.has_state

    def reset(self) -> None:
        """See `Executor.reset`."""
        self._current.reset()
        self._has_run = False

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See `Executor.inputs`."""
        return self._current.inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See `Executor.outputs`."""
        return self._current.outputs

    @property
    def tensor_names(self) -> Sequence[str]:
        """See `Executor.tensor_names`."""
        return self._current.tensor_names

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        try:
            results = self._current.run(inputs, output_names=output_names, observe=observe)
            self._has_run = True
            return results
        except (EngineError, ConversionError, FormatError) as error:  # the last two when inner tensors are asked for
            if self._make_next is None or (self._has_run and self.has_state):  # the state would be lost
                raise
            with within(self._budget):
                following = self._make_next(error.message)
        results = following.run(inputs, output_names=output_names, observe=observe)
        self._current, self._make_next = following, None
        return results
