"""The optimizer of TensorFlow Lite graphs: removal of transposes, fusion, and the chains of plugins."""

from __future__ import annotations

from ..model import Graph
from ..model.utils import place_operations
from .custom import CustomOptimizers, custom_passes
from .passes import PassResult, run_pass
from .tflite.fusion import FUSION
from .tflite.integers import COMPUTE_WITH_CODES, DEQUANTIZE_WIDE_CONSTANTS, HYBRID
from .tflite.layout import LAYOUT


class Optimizer:
    """Rewrites a TensorFlow Lite graph in place; `results` lists the passes that changed something, with effects."""

    def __init__(self, custom_optimizers: CustomOptimizers | None = None, *, debug: bool = False) -> None:
        self._custom_passes = custom_passes(custom_optimizers)
        self._debug = debug
        self.results: list[PassResult] = []

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph:
        """Optimizes the graph and returns it. Each custom optimizer runs once.

        only_required: the integer operators of quantized models that have just been converted, only.
        """
        # codes of weights can follow the axes of what they are multiplied by once they are inputs of their operator
        is_converted = HYBRID in graph.metadata
        required = [COMPUTE_WITH_CODES, LAYOUT, COMPUTE_WITH_CODES, DEQUANTIZE_WIDE_CONSTANTS] if is_converted else []
        passes = required if only_required else [LAYOUT, FUSION, *required, *self._custom_passes]
        results = [run_pass(graph, item, debug=self._debug) for item in passes]
        if not only_required:
            place_operations(graph)
        self.results = [result for result in results if result.modified]
        return graph
