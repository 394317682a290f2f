"""ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .format import Dialect, Format, Runtime, operation_types

if TYPE_CHECKING:
    from ..model import Graph


def _owns(graph: Graph) -> bool:
    """Does a graph hold ONNX operators: does no operation declare an input, and are all operator names capitalized?"""
    types = operation_types(graph)
    undeclared = bool(graph.inputs) and not any(tensor.has_producer for tensor in graph.inputs)
    return undeclared and bool(types) and all(type[0].isupper() for type in types if type)


ONNX = Dialect(
    name="onnx",
    title="ONNX",
    owns=_owns,
    to_nnef="conversion.onnx_to_nnef:Converter",
    from_nnef="conversion.nnef_to_onnx:Converter",
    optimizer="optimization.onnx_optimizer:Optimizer",
    optimizer_options=frozenset({"custom_optimizers"}),
    complete_shapes="io.onnx.inference:complete_shapes",
)

FORMATS = (
    Format(
        name="onnx",
        title="ONNX",
        dialect=ONNX,
        suffixes=(".onnx",),
        extra="onnx",
        reader="io.onnx:Reader",
        writer="io.onnx:Writer",
        writer_options=frozenset({"external_data"}),
        runtimes=(Runtime("onnxruntime", "ONNX", "execution.onnxruntime.onnx:OnnxExecutor", devices=True),),
    ),
)
