"""An executor that changes to another backend when a model turns out not to run in the first one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..budget import current, within
from ..errors import ConversionError, FormatError
from .executor import Array, EngineError, Executor, Observer
from .forwarding import ForwardingExecutor


class FallbackExecutor(ForwardingExecutor):
    """Runs a model in the first executor until that fails, then in the one that `make_next` makes, with a note why.

    If it fails there too, the model or the inputs are at fault, as for an index out of range: that error is raised, and
    the next run begins with the first executor again.
    """

    def __init__(self, first: Executor, make_next: Callable[[str], Executor]) -> None:
        super().__init__(first)
        self._has_run = False
        self._make_next: Callable[[str], Executor] | None = make_next
        self._budget = current()

    def reset(self) -> None:
        """See `Executor.reset`."""
        super().reset()
        self._has_run = False

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        try:
            results = super().run(inputs, output_names=output_names, observe=observe)
            self._has_run = True
            return results
        except (EngineError, ConversionError, FormatError) as error:  # the last two when inner tensors are asked for
            if self._make_next is None or (self._has_run and self.has_state):  # the state would be lost
                raise
            with within(self._budget):
                following = self._make_next(error.message)
        results = following.run(inputs, output_names=output_names, observe=observe)
        self._executor, self._make_next = following, None
        return results
