"""The optimizer of ONNX graphs, which only applies the chains of plugins."""

from __future__ import annotations

from ..model import Graph
from ..model.utils import generate_missing_tensor_names_from_op_type
from .custom import CustomOptimizers, custom_passes
from .passes import PassResult, run_pass


class Optimizer:
    """Runs each custom optimizer once over an ONNX graph, in place; `results` lists what each of them did."""

    def __init__(self, custom_optimizers: CustomOptimizers | None = None, *, debug: bool = False) -> None:
        self._custom_passes = custom_passes(custom_optimizers)
        self._debug = debug
        self.results: list[PassResult] = []

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph:
        """Optimizes the graph and returns it. only_required: does nothing, since nothing is required of ONNX graphs."""
        self.results = []
        if not only_required:
            results = [run_pass(graph, item, debug=self._debug) for item in self._custom_passes]
            self.results = [result for result in results if result.modified]
            generate_missing_tensor_names_from_op_type(graph)
        return graph
