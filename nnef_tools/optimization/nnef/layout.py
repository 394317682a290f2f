"""Removal of transposes from NNEF graphs."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np

from ...model import Graph, Operation, Tensor
from ..layout import Choice, Port, minimize_transposes, places_of_transposes
from ..layout.permutations import Perm
from ..passes import Pass, PassResult, run_pass
from .editor import Array, Editor, add_operation, attributes
from .layout_rules import RULES


def remove_transposes(graph: Graph) -> int:
    """Cancels transposes, merges them, and moves them through other operations and into constants.

    Transposes stay at graph outputs and at operations whose axes are fixed, but there are never more of them than
    before, and they do not move more items. Constants are permuted as views of their data. Unknown operations and
    tensors of unknown rank are left as they are.
    """
    _quantize_sources(graph)
    total = 0
    while count := minimize_transposes(graph, _Dialect(graph)):
        total += count
    return total


def _quantize_sources(graph: Graph) -> None:
    """Moves the quantization of a transposed result to the source of the transpose, if that has no other use."""
    interface = {*graph.inputs, *graph.outputs}
    for operation in graph.operations:
        if operation.type == "transpose" and operation.output.quant and _is_uniform(operation.output.quant):
            source = operation.inputs[0]
            if not source.quant and not source.is_constant and source.consumer is operation and source not in interface:
                source.quant = copy.deepcopy(operation.output.quant)


def run_layout(graph: Graph) -> PassResult:
    """Runs `remove_transposes` by itself, as after the conversion of a format that has channels last."""
    return run_pass(graph, LAYOUT)


def remaining_transposes(graph: Graph) -> list[str]:
    """The places of the transposes in a graph, a text for each."""
    return places_of_transposes(graph, _Dialect(graph))


LAYOUT = Pass("remove-transposes", remove_transposes)


class _Dialect:
    """Implements `layout.Dialect`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._editor = Editor(graph)
        self._values: dict[Tensor, Array | None] = {}

    def transposition(self, operation: Operation) -> Perm | None:
        if operation.type != "transpose" or operation.inputs[0].rank is None or not self._is_plain(operation):
            return None
        axes = attributes(operation)["axes"]
        return (*axes, *range(len(axes), operation.inputs[0].rank))

    def _is_plain(self, operation: Operation) -> bool:
        """Does the transpose change no values, by a quantization of the result that the source does not have?"""
        result = operation.output.quant or {}
        return not result or (_is_uniform(result) and result == operation.inputs[0].quant)

    def can_follow(self, operation: Operation) -> bool:
        return operation.type in RULES

    def choices(self, operation: Operation, port: Port, layout: Perm, current: Choice) -> Iterable[Choice]:
        rule = RULES.get(operation.type or "")
        tensors = (*operation.inputs, *operation.outputs)
        if rule is None or any(tensor.shape is None or not _is_uniform(tensor.quant) for tensor in tensors):
            return ()
        return rule(operation, port, layout, current, self.value)

    def value(self, tensor: Tensor) -> Array | None:
        if tensor not in self._values:
            self._values[tensor] = self._find_value(tensor)
        return self._values[tensor]

    def _find_value(self, tensor: Tensor) -> Array | None:
        if not tensor.quant:
            return self._editor.value(tensor)
        if not _is_uniform(tensor.quant) or not isinstance(tensor.data, np.ndarray):
            return None
        return None if self._editor.is_updated(tensor) else tensor.data

    def add_constant(self, data: Array, like: Tensor) -> Tensor:
        label = like.producer.attribs.get("label") if like.producer is not None else None
        result = self._editor.new_constant(data, label or like.name)
        if like.quant and result.producer is not None and like.producer is not None:
            result.quant = copy.deepcopy(like.quant)
            result.producer.attribs["dtype"] = like.producer.attribs["dtype"]
        self._values.pop(result, None)
        return result

    def set_constant(self, tensor: Tensor, data: Array) -> None:
        self._editor.replace_constant(tensor, data)
        self._values.pop(tensor, None)

    def become_constant(self, operation: Operation, data: Array) -> None:
        self._editor.become_constant(operation, data)

    def add_transpose(self, source: Tensor, perm: Perm, result: Tensor) -> None:
        add_operation(self._graph, "transpose", source, result, axes=list(perm))

    def add_reshape(self, source: Tensor, result: Tensor) -> None:
        shape = list(result.shape or ())
        for k, (old, new) in enumerate(zip(source.shape or (), shape, strict=False)):
            if old != new:
                break
            shape[k] = 0  # 0 copies the extent
        add_operation(self._graph, "reshape", source, result, shape=shape, axis_start=0, axis_count=-1)

    def add_copy(self, source: Tensor, result: Tensor) -> None:
        add_operation(self._graph, "copy", source, result)


def _is_uniform(quant: dict[str, object] | None) -> bool:
    """Are all items quantized with the same parameters?"""
    return all(np.ndim(np.asarray(value)) == 0 for value in (quant or {}).values())
