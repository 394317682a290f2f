"""`Interpreter`: runs NNEF models in torch, on numpy arrays. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import UsageError
from ...execution.codes import taking_codes
from ...execution.executor import Array
from ...execution.kernels.executor import GraphExecutor
from ...execution.kernels.loading import load_graph
from ...execution.kernels.torch import TorchKernels, find_operator
from ...execution.results.statistics import Statistics, StatisticsCollector
from ...model import Tensor
from ...model.dtypes import nnef_dtype


@dataclass(frozen=True)
class TensorDetails:
    """A tensor of the model. dtype: 'scalar', 'integer' or 'logical'. dtype and shape are None if not known."""

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None


class Interpreter:
    """Runs a model any number of times.

    model: folder, archive, Graph or `nnef.Graph`. device: of torch, by default 'cuda' if there is one. decomposed:
    operations to run by their definitions. custom_operators: operation -> function of torch tensors.
    """

    def __init__(
        self,
        model: Any,
        device: str | None = None,
        decomposed: Collection[str] | None = None,
        custom_operators: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        operators = dict(custom_operators or {})
        self._graph = load_graph(model, lambda name: operators.get(name) or find_operator(name), decomposed)
        kernels = TorchKernels.for_graph(self._graph, device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._executor = taking_codes(GraphExecutor(self._graph, kernels, operators))

    def __call__(
        self, inputs: Sequence[Array], output_names: Sequence[str] | None = None, collect_statistics: bool = False
    ) -> dict[str, Array] | tuple[dict[str, Array], dict[str, Statistics]]:
        """Runs the model on arrays in the order of its inputs, and returns values by name.

        output_names: any tensors, by default the outputs. collect_statistics: return statistics of all tensors too.
        UsageError, ExecutionError.
        """
        infos = self._executor.inputs
        if len(inputs) != len(infos):
            raise UsageError(f"the model has {len(infos)} inputs, {len(inputs)} are given")
        named = {info.name: array for info, array in zip(infos, inputs, strict=True)}
        collector = StatisticsCollector() if collect_statistics else None
        outputs = self._executor.run(named, output_names=output_names, observe=collector)
        return outputs if collector is None else (outputs, collector.statistics)

    def input_details(self) -> list[TensorDetails]:
        """The inputs, in order."""
        return [_details(tensor) for tensor in self._graph.inputs]

    def output_details(self) -> list[TensorDetails]:
        """The outputs, in order."""
        return [_details(tensor) for tensor in self._graph.outputs]

    def tensor_details(self) -> list[TensorDetails]:
        """All named tensors."""
        return [_details(tensor) for tensor in self._graph.tensors if tensor.name]


def _details(tensor: Tensor) -> TensorDetails:
    dtype = nnef_dtype(tensor.dtype) if tensor.dtype is not None else None
    return TensorDetails(tensor.name or "", dtype, tensor.shape)
