"""Removal of transposes from TensorFlow graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ...dialects.tf.complete import complete_graph, name_nodes
from ...dialects.tf.operators import Operator, find_operator
from ...model import Graph, Operation, Tensor
from ...model.utils import place_operations
from ..layout import Choice, Port, minimize_transposes, places_of_transposes
from ..layout.permutations import Perm
from ..passes import Pass, PassResult, run_pass
from .layout_rules import RULES, Rule
from .parameters import Parameters

Array = np.ndarray[Any, np.dtype[Any]]


def remove_transposes(graph: Graph) -> int:
    """Cancels transposes, merges them, and moves them through other operations and into constants.

    Transposes stay at graph outputs and at operations whose axes are fixed, such as convolutions, but there are never
    more of them than before, and they do not move more items.
    """
    dialect = GraphDefDialect(graph)
    parameters = Parameters(graph, lambda type: type == "Transpose" or type in RULES, dialect)
    count = minimize_transposes(graph, dialect)
    parameters.put_back()
    if count:
        complete_graph(graph)
        place_operations(graph)
        name_nodes(graph)
    return count


def run_layout(graph: Graph) -> PassResult:
    """Runs `remove_transposes` by itself, as after the conversion of a format that has channels second."""
    return run_pass(graph, LAYOUT)


def remaining_transposes(graph: Graph) -> list[str]:
    """The places of the transposes in a graph, a text for each."""
    dialect = GraphDefDialect(graph)
    parameters = Parameters(graph, lambda type: type == "Transpose", dialect)
    places = places_of_transposes(graph, dialect)
    parameters.put_back()
    return places


LAYOUT = Pass("remove-transposes", remove_transposes)


class GraphDefDialect:
    """Implements `layout.Dialect` for graphs whose parameters are attributes.

    transpose, reshape: the names of these operators. rules: operator -> rule.
    """

    transpose: ClassVar[str] = "Transpose"
    reshape: ClassVar[str] = "Reshape"
    rules: ClassVar[Mapping[str, Rule]] = RULES

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def transposition(self, operation: Operation) -> Perm | None:
        perm = operation.attribs.get("perm")
        if operation.type != self.transpose or operation.custom or not isinstance(perm, list):
            return None
        if any(tensor.rank != len(perm) for tensor in (operation.inputs[0], *operation.outputs)):  # files seldom tell
            return None
        return tuple(axis % len(perm) for axis in perm)

    def can_follow(self, operation: Operation) -> bool:
        return operation.type in self.rules and not operation.custom

    def choices(self, operation: Operation, port: Port, layout: Perm, current: Choice) -> Iterable[Choice]:
        tensors = (*operation.inputs, *operation.outputs)
        if not self.can_follow(operation) or any(t.shape is None or None in t.shape for t in tensors):
            return ()
        return self.rules[operation.type or ""](operation, port, layout, current, self.value)

    def value(self, tensor: Tensor) -> Array | None:
        constant = tensor.data is not None and all(op.type == "Const" for op in tensor.producers)
        return np.asarray(tensor.data) if constant else None

    def add_constant(self, data: Array, like: Tensor) -> Tensor:
        return self.new_constant(data)

    def new_constant(self, data: Array) -> Tensor:
        """A constant of its own; operations must be sorted afterwards."""
        tensor = Tensor(self._graph, shape=data.shape, dtype=data.dtype.type, data=data)
        attribs = {"dtype": data.dtype.type, "value": data}
        Operation(self._graph, type="Const", attribs=attribs, inputs=[], outputs=[tensor])
        return tensor

    def signature(self, operation: Operation) -> Operator | None:
        """The signature of an operator, in which parameters have names."""
        return find_operator(operation.type or "")

    def set_constant(self, tensor: Tensor, data: Array) -> None:
        tensor.data, tensor.shape = data, data.shape
        if tensor.producer is not None:
            tensor.producer.attribs = {**tensor.producer.attribs, "value": data}

    def become_constant(self, operation: Operation, data: Array) -> None:
        result = operation.outputs[0]
        operation.type, operation.inputs = "Const", []
        operation.attribs = {"dtype": data.dtype.type, "value": data}
        result.data, result.shape = data, data.shape

    def add_transpose(self, source: Tensor, perm: Perm, result: Tensor) -> None:
        self._add(self.transpose, source, result, perm=list(perm))

    def add_reshape(self, source: Tensor, result: Tensor) -> None:
        self._add(self.reshape, source, result, shape=list(result.shape or ()))

    def add_copy(self, source: Tensor, result: Tensor) -> None:
        self._add("Identity", source, result)

    def _add(self, type: str, source: Tensor, result: Tensor, **attribs: Any) -> None:
        result.dtype = source.dtype
        Operation(self._graph, type=type, attribs=attribs, inputs=[source], outputs=[result])
