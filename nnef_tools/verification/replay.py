"""Repeats a run of a model with a state, which depends on the runs before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..execution.executor import Array, Executor, Observer
from ..execution.forwarding import ForwardingExecutor


class Replay(ForwardingExecutor):
    """An executor that makes the same runs from the beginning before each run, so that it always starts alike."""

    has_state = False

    def __init__(self, executor: Executor, before: Sequence[Mapping[str, Array]]) -> None:
        super().__init__(executor)
        self._before = before

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        self.reset()
        for earlier in self._before:
            super().run(earlier)
        return super().run(inputs, output_names=output_names, observe=observe)


def replaying(executor: Executor, before: Sequence[Mapping[str, Array]]) -> Executor:
    """An executor whose runs follow these earlier ones; the same one if its runs do not depend on each other."""
    return Replay(executor, before) if executor.has_state else executor
