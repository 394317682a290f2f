"""The executor of a Graph of the NNEF dialect, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from ...budget import current, within
from ...model import Graph
from ...model.copying import copy_graph
from ...ops.inference import infer_graph
from ...ops.library import Library
from ..executor import Array, Observer
from ..feeds.inputs import check_inputs, tensor_info
from ..sizes import ask_tensors
from .constants import constant_data
from .loading import expand_missing
from .plan import Kernels, Operator, Plan


class GraphExecutor:
    """An `Executor` for a Graph of the NNEF dialect. Updated variables keep their new values for the next run.

    It runs under the budget in which it was made: LimitError if the graph has tensors beyond that. expand: replace
    operations without a function by the bodies of their fragments, in the graph.
    """

    def __init__(
        self,
        graph: Graph,
        kernels: Kernels,
        custom_operators: Mapping[str, Operator] | None = None,
        *,
        note: str = "",
        expand: bool = False,
    ) -> None:
        if expand:
            operators, count = custom_operators or {}, len(graph.operations)
            expand_missing(graph, lambda name: operators.get(name) or kernels.operator(name))
            if len(graph.operations) != count:
                expanded = copy_graph(graph)
                infer_graph(expanded, library=Library.of(graph, foreign=operators), allow_unknown=True)
                ask_tensors(expanded)
        self._budget = current()
        self.note = note
        self._kernels = kernels
        ask_tensors(graph)
        self._plan = Plan(graph, kernels, custom_operators)
        # functions of others may write to their arguments
        to_constant = kernels.from_numpy if custom_operators else kernels.constant
        self._constants: MutableMapping[int, Any] = {
            slot: to_constant(constant_data(tensor)) for slot, tensor in self._plan.constants
        }
        self._first = {slot: value for slot, value in self._constants.items() if slot in self._plan.updated}
        self.has_state = bool(self._first)
        self.backend = kernels.name
        self.device = kernels.device
        self.inputs = [tensor_info(tensor) for tensor in graph.inputs]
        self.outputs = [tensor_info(tensor) for tensor in graph.outputs]
        self.tensor_names = self._plan.tensor_names

    def reset(self) -> None:
        """See `Executor.reset`."""
        self._constants.update(self._first)

    def run(
        self,
        inputs: Mapping[str, Array],
        *,
        output_names: Sequence[str] | None = None,
        observe: Observer | None = None,
    ) -> dict[str, Array]:
        """See `Executor.run`."""
        names = [output.name for output in self.outputs] if output_names is None else list(output_names)
        slots = [self._plan.find(name) for name in names]
        arrays = [self._kernels.from_numpy(array) for array in check_inputs(self.inputs, inputs)]
        to_numpy = self._kernels.to_numpy
        watch = None if observe is None else (lambda name, value: observe(name, to_numpy(value)))
        with self._kernels.context(), within(self._budget):
            values, changed = self._plan.run(arrays, self._constants, set(slots), watch)
        # copies, since a new value may be a view of an input
        self._constants.update({slot: self._kernels.from_numpy(to_numpy(x).copy()) for slot, x in changed.items()})
        results = {}
        for name, slot in zip(names, slots, strict=True):
            array = to_numpy(values[slot])
            # a view may share memory with a constant or input, which must not change if the caller writes to the result
            results[name] = array if array.flags.owndata else array.copy()
        return results
