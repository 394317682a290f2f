"""Removal of transposes from TensorFlow Lite graphs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...dialects.tf.operators import Operator, find_operator
from ...dialects.tflite.bridges import bridges
from ...model import Graph, Operation, Tensor
from ...model.utils import place_operations
from ..layout import minimize_transposes, places_of_transposes
from ..passes import Pass, PassResult, run_pass
from ..tf.layout import Array, GraphDefDialect
from ..tf.parameters import Parameters
from .fusion import fuse
from .halves import store_halves
from .layout_rules import RULES

_SIGNATURES = {"RESHAPE": "Reshape", "STRIDED_SLICE": "StridedSlice", "MIRROR_PAD": "MirrorPad"}
"""Operators beside the bridges that have the inputs of TensorFlow's."""


def remove_transposes(graph: Graph) -> int:
    """Cancels transposes, merges them, and moves them through other operations and into constants.

    Transposes stay at graph outputs and at operations whose axes are fixed, such as convolutions, but there are never
    more of them than before, and they do not move more items.
    """
    dialect = _Dialect(graph)
    parameters = Parameters(graph, lambda type: type == dialect.transpose or type in RULES, dialect)
    count = minimize_transposes(graph, dialect)
    parameters.put_back()
    if count:
        place_operations(graph)
    return count


def run_layout(graph: Graph) -> PassResult:
    """Removes transposes, fuses and stores halves, as after the conversion of a format that has channels second."""
    return run_pass(graph, Pass("remove-transposes-and-fuse", _finish))


def _finish(graph: Graph) -> int:
    return remove_transposes(graph) + fuse(graph) + store_halves(graph)


def remaining_transposes(graph: Graph) -> list[str]:
    """The places of the transposes in a graph, a text for each."""
    dialect = _Dialect(graph)
    parameters = Parameters(graph, lambda type: type == dialect.transpose, dialect)
    places = places_of_transposes(graph, dialect)
    parameters.put_back()
    return places


LAYOUT = Pass("remove-transposes", remove_transposes)


class _Dialect(GraphDefDialect):
    """The same for TensorFlow Lite, where constants are not made by operations."""

    transpose: ClassVar[str] = "TRANSPOSE"
    reshape: ClassVar[str] = "RESHAPE"
    rules = RULES

    def signature(self, operation: Operation) -> Operator | None:
        type = operation.type or ""
        name = bridges()[type].type if type in bridges() else _SIGNATURES.get(type)
        return None if name is None else find_operator(name)

    def value(self, tensor: Tensor) -> Array | None:
        if tensor.has_producer or not (_is_uniform(tensor) or _is_matrix(tensor)):
            return None
        return super().value(tensor)

    def add_constant(self, data: Array, like: Tensor) -> Tensor:
        constant = self.new_constant(data)
        constant.quant = dict(like.quant or {})
        return constant

    def new_constant(self, data: Array) -> Tensor:
        return Tensor(self._graph, shape=data.shape, dtype=data.dtype.type, data=data)

    def become_constant(self, operation: Operation, data: Array) -> None:
        result = operation.outputs[0]
        self._graph.remove_operation(operation, unlink=True)
        result.data, result.shape = data, data.shape

    def add_copy(self, source: Tensor, result: Tensor) -> None:
        self.add_reshape(source, result)


def _is_uniform(tensor: Tensor) -> bool:
    """Are there no parameters of quantization for each channel?"""
    return np.ndim((tensor.quant or {}).get("scale", 0.0)) == 0


def _is_matrix(tensor: Tensor) -> bool:
    """Are the items weights of FULLY_CONNECTED, of which only the axis without channels is ever reordered?"""
    return all(op.type == "FULLY_CONNECTED" and tensor in op.inputs[1:2] for op in tensor.consumers)
