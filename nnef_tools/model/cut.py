"""Cutting a part out of a graph."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from .facts import merged_tensors
from .graph import Graph, Operation, Tensor
from .state import effects_on
from .utils import remove_unreachable

_INPUT_TYPES = ("external", "Placeholder")
"""Operations that only stand for an input of the graph, in the dialects that have such."""


def cut(graph: Graph, input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None) -> None:
    """Keeps, in place, only what leads from the named tensors to the named tensors, which become inputs and outputs.

    What changes variables that these depend on stays, too.

    None keeps the present inputs or outputs. UsageError if a name is not in the graph, is that of a constant, or if
    the outputs need an input that is not named.
    """
    if input_names is None and output_names is None:
        return
    if output_names is not None:
        graph.outputs = _find(graph, output_names)
    if input_names is not None:
        inputs = _find(graph, input_names)
        constants = [tensor.name for tensor in inputs if tensor.is_constant]
        if constants:
            raise UsageError(f"constants cannot be inputs: {_quoted(constants)}")
        for tensor in inputs:
            for producer in tensor.producers:
                if producer.inputs:
                    _detach(producer, tensor)
        graph.inputs = inputs
    remove_unreachable(graph, keep=effects_on(graph, graph.outputs))
    _check_inputs(graph)


def _find(graph: Graph, names: Sequence[str]) -> list[Tensor]:
    by_name: dict[str | None, Tensor] = {}
    for tensor in graph.tensors:
        by_name.setdefault(tensor.name, tensor)
    for alias, name in merged_tensors(graph.metadata).items():
        if name in by_name:
            by_name.setdefault(alias, by_name[name])
    missing = [name for name in names if name not in by_name]
    if missing:
        from difflib import get_close_matches  # many modules, for what is rare

        near = sorted({match for name in missing for match in get_close_matches(name, filter(None, by_name), n=2)})
        hint = f"similar names are {_quoted(near)}" if near else None
        raise UsageError(f"could not find tensor(s) in the graph: {_quoted(missing)}", hint=hint)
    return [by_name[name] for name in names]


def _detach(producer: Operation, tensor: Tensor) -> None:
    """Makes the operation produce an unused tensor instead; it goes away unless another of its results is needed."""
    graph = tensor.graph
    assert graph is not None
    spare = Tensor(graph, shape=tensor.shape, dtype=tensor.dtype)
    outputs = [spare if output is tensor else output for output in producer.outputs]
    producer.outputs = tuple(outputs) if isinstance(producer.outputs, tuple) else outputs


def _check_inputs(graph: Graph) -> None:
    needed = dict.fromkeys(tensor for operation in graph.operations for tensor in operation.inputs)
    needed.update(dict.fromkeys(graph.outputs))
    missing = [tensor.name for tensor in needed if _is_open(tensor) and tensor not in graph.inputs]
    if missing:
        raise UsageError(
            f"the outputs need more inputs than those named: {_quoted(missing)}", hint="add them to --input-names"
        )


def _is_open(tensor: Tensor) -> bool:
    """Does the tensor get its value from outside?"""
    return not tensor.is_constant and all(producer.type in _INPUT_TYPES for producer in tensor.producers)


def _quoted(names: Sequence[str | None]) -> str:
    return ", ".join(f"'{name}'" for name in names)
