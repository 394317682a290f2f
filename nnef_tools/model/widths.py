"""Which tensors of an NNEF graph are float64, and whether a number can be written down.

NNEF's `scalar` has no width. What a model computes in float64 is told by the facts of its tensors
(`facts.tensor_facts`): inputs, variables and casts say where float64 comes in, and everything else follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .dtypes import is_float
from .facts import TensorFact, tensor_facts, with_tensor_facts
from .graph import Graph, Operation, Tensor

_FACT = "float64"
_SOURCES = ("external", "variable", "constant", "cast")
_INTEGER_MAX = 2**63 - 1


def is_literal(tensor: Tensor) -> bool:
    """Is the tensor a number that is written where it is used? Its width does not affect that of results."""
    return tensor.data is not None and not tensor.has_producer and tensor.shape == ()


def width_of(operands: Sequence[Tensor]) -> Callable[[Tensor], Any]:
    """A function operand -> class that counts for the width of the result of an operation; None for a real literal.

    If all reals are literals, their classes count.
    """
    literals = {tensor for tensor in operands if is_literal(tensor) and is_float(tensor.dtype)}
    others = any(tensor not in literals and is_float(tensor.dtype) for tensor in operands)
    return lambda tensor: None if others and tensor in literals else tensor.dtype


def is_double(operation: Operation) -> bool:
    """Is the operation computed in float64, because a result, or an operand that is not a literal, is?"""
    for tensor in (*operation.outputs, *operation.inputs):  # a loop: every operation is asked
        if tensor.dtype is np.float64 and not is_literal(tensor):
            return True
    return False


def has_doubles(graph: Graph) -> bool:
    """Is a part of the graph computed in float64? Variables alone do not tell: some tools store all of them so."""
    if facts_have_doubles(graph.metadata):
        return True
    return any(
        op.output.dtype is np.float64 if op.type == "external" else op.attribs.get("dtype") is np.float64
        for op in graph.operations
        if op.type in ("external", "cast")
    )


def facts_have_doubles(metadata: Mapping[str, Any]) -> bool:
    """Do the facts of a graph name a tensor that is float64?"""
    return any(map(_is_double, tensor_facts(metadata).values()))


def double_facts(graph: Graph) -> dict[str, TensorFact]:
    """The facts of the tensors that are known as float64, and of those where float64 comes into a graph that has it."""
    if not has_doubles(graph):
        return {}
    known = [name for name, fact in tensor_facts(graph.metadata).items() if _is_double(fact)]
    sources = [t for op in graph.operations if op.type in _SOURCES or _real_literals(op) for t in op.outputs]
    found = [tensor.name for tensor in sources if tensor.dtype is np.float64 and tensor.name]
    return {name: {"dtype": _FACT} for name in (*known, *found)}


def with_double_facts(graph: Graph) -> dict[str, Any]:
    """The metadata of a graph, with the facts of all tensors where float64 comes in."""
    found, known = double_facts(graph), tensor_facts(graph.metadata)
    if not found:
        return graph.metadata
    return with_tensor_facts(
        graph.metadata, {**known, **{name: {**known.get(name, {}), **found[name]} for name in found}}
    )


def mark_doubles(graph: Graph) -> None:
    """Gives inputs, constants and the results of casts the width that the facts of the graph say.

    Numbers that only meet each other become float32 unless the facts say otherwise.
    """
    facts = tensor_facts(graph.metadata)
    for op in graph.operations:
        double = any(_is_double(facts.get(tensor.name or "", {})) for tensor in op.outputs)
        if op.type in _SOURCES and double:
            if op.type in ("cast", "constant"):
                op.attribs["dtype"] = np.float64
            op.output.dtype = np.float64
        for literal in () if double else _real_literals(op):
            literal.data, literal.dtype = np.asarray(literal.data, np.float32), np.float32


def is_marked(graph: Graph) -> bool:
    """Do the inputs have the width that the facts of the graph say?"""
    facts = tensor_facts(graph.metadata)
    return all(tensor.dtype is np.float64 for tensor in graph.inputs if _is_double(facts.get(tensor.name or "", {})))


def has_literal(data: Any) -> bool:
    """Can the number be written down: is it finite, and of no more than 64 bits with sign if it is an integer?"""
    array = np.asarray(data)
    if array.dtype == np.uint64:
        return int(array) <= _INTEGER_MAX
    return bool(np.isfinite(array.astype(np.float64)))


def _real_literals(operation: Operation) -> list[Tensor]:
    """The real operands if all of them are literals."""
    reals = [tensor for tensor in operation.inputs if is_float(tensor.dtype)]
    return reals if all(map(is_literal, reals)) else []


def _is_double(fact: TensorFact) -> bool:
    return fact.get("dtype") == _FACT
