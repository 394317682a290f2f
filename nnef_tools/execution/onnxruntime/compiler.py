"""Compiles NNEF models for onnxruntime: converts them to ONNX in memory, and leaves weights where they are.

Imports the conversion and onnx; imported only where a model has to be compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...conversion.onnx.from_nnef.converter import Converter
from ...io.nnef.labels import label_file
from ...io.onnx.writer import MAX_EMBEDDED_BYTES, Layout, build_message
from ...model import Graph, Tensor
from ...model.facts import with_tensor_facts
from ...model.widths import double_facts
from ...ops.inference import infer_graph
from ..executor import Array
from ..feeds.inputs import tensor_info
from ..kernels.plan import SOURCES
from ..sizes import ask_tensors
from .compiled import CompiledModel, Weight

_SMALL_FILE = 1 << 16
"""The size of a weight in bytes up to which a copy is cheaper than a reference to its file."""
_MAX_COMPUTED = 1 << 26
"""The size in bytes up to which weights that are not as in the files become part of the ONNX model."""


def prepare(graph: Graph) -> Graph:
    """The graph with all shapes, and without facts other than widths, so that the names of the NNEF graph stay.

    LimitError if it has tensors beyond the budget.
    """
    graph.metadata = with_tensor_facts(graph.metadata, double_facts(graph))
    if any(tensor.shape is None or None in tensor.shape for tensor in _results(graph)):
        infer_graph(graph, allow_unknown=True)
    ask_tensors(graph)
    return graph


def compile_graph(graph: Graph, results: Sequence[Tensor], *, from_files: bool) -> CompiledModel:
    """Compiles a model that computes these tensors of a prepared graph.

    from_files: are the variables of the graph as in the files of their labels? Then only large ones stay outside.
    ConversionError or FormatError if there is no such ONNX model.
    """
    outputs = graph.outputs
    graph.outputs = list(results)
    try:
        message = build_message(Converter()(graph), describe_results=False)
    finally:
        graph.outputs = outputs
    files = _files(graph) if from_files else {}
    weights = {name: Weight(a, files.get(_place(a), "")) for name, a in message.initializers.items() if _is_large(a)}
    if from_files:
        filed = {name: weight for name, weight in weights.items() if weight.file and weight.array.nbytes > _SMALL_FILE}
        if sum(weight.array.nbytes for name, weight in weights.items() if name not in filed) <= _MAX_COMPUTED:
            weights = filed
    model = Layout(message, dict.fromkeys(weights, ("weights", 0))).to_bytes()
    return CompiledModel(model, weights, [tensor_info(t) for t in graph.inputs], [tensor_info(t) for t in results])


def _files(graph: Graph) -> dict[tuple[int, int, str], str]:
    """Place in memory -> file of the variable there."""
    variables = [op for op in graph.operations if op.type == "variable"]
    return {_place(op.output.data): label_file(op.attribs["label"]) for op in variables if op.output.data is not None}


def _place(array: Array) -> tuple[int, int, str]:
    """A key that is equal for arrays with the same memory and the same order of items."""
    layout = array.dtype.str if array.flags.c_contiguous else "strided"
    return array.__array_interface__["data"][0], array.nbytes, layout


def _is_large(array: Array) -> bool:
    """Can the array be passed to onnxruntime separately, and does that pay?"""
    return array.nbytes > MAX_EMBEDDED_BYTES and array.dtype.kind in "fiub" and array.dtype.isnative


def _results(graph: Graph) -> list[Tensor]:
    return [tensor for op in graph.operations if op.type not in SOURCES for tensor in op.outputs]
