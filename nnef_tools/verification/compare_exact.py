"""Judges tensors that two models compute differently by float64: can rounding explain the difference?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ExecutionError, LimitError, NnefToolsError
from ..execution.executor import Array
from ..model import Graph
from ..ops.inference import infer_graph
from .compare_inputs import Given
from .compared_model import ComparedModel
from .exact import Exact, Judge, differences, largest, rounding_of
from .layout import fitting, moved

MOST_WEIGHTS = 1 << 28
"""The largest size of the weights, in bytes, of models that are computed in float64, which takes several times that."""


@dataclass(frozen=True)
class Distances:
    """The largest distances of a tensor in both models from float64. graph: the model whose graph was computed, A or B.

    rounding: the largest effect of rounding to float32 (see `exact`). explained: is that what A and B differ by?
    """

    a: float
    b: float
    rounding: float
    graph: str
    explained: bool

    @property
    def nearer(self) -> str:
        """Which model is nearer to float64, A or B; empty if both are as near."""
        return "" if self.a == self.b else "A" if self.a < self.b else "B"


class ExactTensors:
    """Computes tensors in float64, on the graph of the model that is NNEF, or of the first one, converted.

    note: why there is no computation, if there is none.
    """

    def __init__(self, a: ComparedModel, b: ComparedModel) -> None:
        self._side = 0 if a.is_nnef or not b.is_nnef else 1
        self._models = a, b
        self._judge: Judge | None = None
        self._names: Mapping[str, str] = {}
        self._inputs: list[str] = []
        self.note = ""

    def distances(
        self, given: Sequence[Given], values: Mapping[tuple[str, str], tuple[Array, Array]]
    ) -> dict[str, Distances]:
        """Name in A -> the distances of a tensor, as far as it can be computed.

        given: the inputs of the run, after those of the runs before, which count in models with a state. values: names
        in both models -> values in both, on the axes of B.
        """
        if self.note or not values:
            return {}
        try:
            judge = self._judge = self._judge or self._make_judge()
            names = {pair: self._names[pair[self._side]] for pair in values if pair[self._side] in self._names}
            runs = [dict(zip(self._inputs, (x.a, x.b)[self._side].values(), strict=True)) for x in given]
            found = judge.run(runs[-1], list(dict.fromkeys(names.values())), runs[:-1])
        except (NnefToolsError, MemoryError, ValueError) as error:
            self.note = f"not judged by float64: {error}".splitlines()[0]
            return {}
        results = {pair[0]: self._distances(found[name], *values[pair]) for pair, name in names.items()}
        return {name: result for name, result in results.items() if result is not None}

    def _make_judge(self) -> Judge:
        model = self._models[self._side]
        graph, self._names = self._graph(model)
        weights = sum(4 * (tensor.volume or 0) for tensor in graph.tensors if tensor.is_constant)
        if weights > MOST_WEIGHTS:
            raise LimitError(f"the weights have more than {MOST_WEIGHTS >> 20} MB")
        self._inputs = [str(tensor.name) for tensor in graph.inputs]
        ends = [tensor.dtype for item in self._models for part in item.interface for tensor in part]
        return Judge(graph, model.functions, rounding_of(ends))

    @staticmethod
    def _graph(model: ComparedModel) -> tuple[Graph, Mapping[str, str]]:
        """A graph in NNEF that may be changed, and tensor name -> name there."""
        if model.is_nnef:
            graph = model.read()
            infer_graph(graph, allow_unknown=True)
            return graph, {name: name for name in model.tensors}
        found = model.as_nnef
        if found is None:
            raise ExecutionError(f"{model.where} cannot be converted to NNEF")
        return found

    def _distances(self, exact: Exact, a: Array, b: Array) -> Distances | None:
        """The distances on the axes of the values, whichever they are."""
        moves = fitting(exact.value.shape, b.shape, is_same_layout=False)
        judged = [exact.moved(lambda value, move=move: moved(value, move)) for move in moves]  # type: ignore[misc]
        if not judged:
            return None
        best = min(judged, key=lambda item: min(largest(differences(value, item.value)) for value in (a, b)))
        errors = differences(a, best.value), differences(b, best.value)
        if a.dtype.kind in "biu" and b.dtype.kind in "biu":
            explained = not ((a != b) & ~best.unstable).any()
        else:
            explained = all(best.explains(item) for item in errors)
        rounding = float(np.nan_to_num(best.noise).max(initial=0.0))
        return Distances(largest(errors[0]), largest(errors[1]), rounding, "AB"[self._side], bool(explained))
