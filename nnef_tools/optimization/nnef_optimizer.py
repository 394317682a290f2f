"""The optimizer of NNEF graphs."""

from __future__ import annotations

from collections.abc import Callable

from ..model import Graph
from ..model.facts import keep_tensor_facts
from ..model.utils import generate_missing_tensor_names_from_op_type, generate_tensor_names_from_op_type
from .custom import CustomOptimizers, custom_passes
from .nnef.required import complete_interface
from .passes import PassResult, run_pass, run_passes


class Optimizer:
    """Optimizes an NNEF graph in place.

    keep_tensor_names: otherwise all tensors are renamed `<type><k>` in the end. custom_optimizers: dict from chains of
    operation types to functions (see `model.chains.replace_chain`); they run after the built-in passes, and all passes
    are repeated until nothing changes. dequantize: make quantized variables real ones first. debug: check each pass.

    `results` lists the passes of the last call that changed something, with their effects.
    """

    def __init__(
        self,
        keep_tensor_names: bool = True,
        custom_optimizers: CustomOptimizers | None = None,
        dequantize: bool = False,
        *,
        debug: bool = False,
    ) -> None:
        self._keep_tensor_names = keep_tensor_names
        self._custom_passes = custom_passes(custom_optimizers)
        self._dequantize = dequantize
        self._debug = debug
        self.results: list[PassResult] = []

    def __call__(self, graph: Graph, only_required: bool = False) -> Graph:
        """Optimizes the graph and returns it. only_required: only makes it valid (see `nnef.required`)."""
        self.results = []
        if not only_required:
            from .nnef.passes import DEQUANTIZE, PASSES  # most conversions need no pass

            if self._dequantize:
                result = run_pass(graph, DEQUANTIZE, debug=self._debug)
                self.results += [result] if result.modified else []
            self.results += run_passes(graph, [*PASSES, *self._custom_passes], debug=self._debug)
        complete_interface(graph)
        keep = only_required or self._keep_tensor_names
        _name(graph, generate_missing_tensor_names_from_op_type if keep else generate_tensor_names_from_op_type)
        return graph


def _name(graph: Graph, generate: Callable[[Graph], None]) -> None:
    """Generates names, and moves the facts along, so that they are not taken for those of other tensors."""
    names = {tensor: tensor.name for tensor in graph.tensors}
    generate(graph)
    keep_tensor_facts(graph.metadata, ((name, tensor.name) for tensor, name in names.items() if name and tensor.name))
