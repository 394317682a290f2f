"""The optimizer of TensorFlow graphs: completion, removal of transposes, and the chains of plugins."""

from __future__ import annotations

from ..dialects.tf.complete import complete_graph, name_nodes
from ..model import Graph
from ..model.utils import place_operations
from .custom import CustomOptimizers, custom_passes
from .passes import Pass, PassResult, run_pass
from .tf.layout import LAYOUT

REQUIRED = Pass("complete-graph", complete_graph)


class Optimizer:
    """Rewrites a TensorFlow graph in place; `results` lists the passes that changed something, with their effects."""

    def __init__(self, custom_optimizers: CustomOptimizers | None = None, *, debug: bool = False) -> None:
        self._custom_passes = custom_passes(custom_optimizers)
        self._debug = debug
        self.results: list[PassResult] = []

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph:
        """Optimizes the graph and returns it. Each custom optimizer runs once.

        only_required: only what a graph must have: Placeholder and Const operations for inputs and constants without
        producer, and the attributes that tell types. ShapeError if an input has no data type or unknown rank.
        """
        passes = [REQUIRED] if only_required else [REQUIRED, LAYOUT, *self._custom_passes]
        results = [run_pass(graph, item, debug=self._debug) for item in passes]
        if not only_required:
            # completes the operations that plugins made, too
            complete_graph(graph)
            place_operations(graph)
            name_nodes(graph)
        self.results = [result for result in results if result.modified]
        return graph
