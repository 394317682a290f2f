"""Gives outputs of a source whose number of rows depends on the data the room that they have when converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..execution.executor import Array, Executor, Observer
from ..execution.forwarding import ForwardingExecutor
from ..model.rows import CountedRows


class WithRoom(ForwardingExecutor):
    """An executor whose outputs have zeros behind their rows, and the numbers of rows as further outputs."""

    def __init__(self, executor: Executor, rows: Sequence[CountedRows]) -> None:
        super().__init__(executor)
        self._rows = rows
        self._counted = {item.number: item for item in reversed(rows)}

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        names = [info.name for info in self.outputs] if output_names is None else output_names
        wanted = dict.fromkeys(self._counted[name].output if name in self._counted else name for name in names)
        results = super().run(inputs, output_names=list(wanted), observe=observe)
        found = {name: self._padded(name, array) for name, array in results.items()}
        counts = {
            name: np.asarray(np.shape(results[item.output])[item.axis], np.int64)
            for name, item in self._counted.items()
            if name in names
        }
        return {**found, **counts}

    def _padded(self, name: str, array: Array) -> Array:
        array = np.asarray(array)
        for item in self._rows:
            if item.output == name and array.shape[item.axis] < item.extent:
                missing = item.extent - array.shape[item.axis]
                array = np.pad(array, [(0, missing if k == item.axis else 0) for k in range(array.ndim)])
        return array
