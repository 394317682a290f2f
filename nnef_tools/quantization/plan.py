"""Which tensors of an NNEF graph get codes, so that integer kernels can run it; no numbers yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import UsageError
from ..language.lexer import nearest
from ..model import Graph, Operation, Tensor
from ..optimization.nnef.editor import Editor

SAME = (
    "reshape", "transpose", "squeeze", "unsqueeze", "slice", "split", "unstack", "pad", "tile", "copy", "max_pool",
    "avg_pool", "nearest_upsample", "nearest_downsample", "multilinear_upsample", "max_reduce", "min_reduce",
)  # fmt: skip
"""Operations whose results have the codes of their first input, as integer kernels want it."""

COMPUTING = (
    "conv", "deconv", "linear", "matmul", "add", "sub", "mul", "mean_reduce", "relu", "leaky_relu", "prelu", "elu",
    "sigmoid", "tanh", "softmax", "clamp", "min", "max", "concat", "stack",
)  # fmt: skip
"""Operations with kernels for codes whose results have codes of their own."""

WEIGHTED = ("conv", "deconv", "linear", "matmul")
"""Operations whose second input may be weights, and the third one a bias."""

_FUSED = ("conv", "deconv", "linear", "add", "sub", "mul")
"""Operations of which integer kernels compute an activation, too."""

_LIMITS = ((0.0, 6.0), (-1.0, 1.0))


@dataclass
class Plan:
    """The tensors that get codes, in the order of the graph, and the place where weights and others are read.

    operations: those that are to compute with codes. activations: inputs and results. fused: results that only an
    activation reads, and that are not rounded themselves. weights, biases, operands: constants, as arguments of
    operations.
    """

    operations: list[Operation] = field(default_factory=list)
    activations: list[Tensor] = field(default_factory=list)
    fused: list[Tensor] = field(default_factory=list)
    weights: list[tuple[Operation, int]] = field(default_factory=list)
    biases: list[tuple[Operation, int]] = field(default_factory=list)
    operands: list[tuple[Operation, int]] = field(default_factory=list)


def make_plan(graph: Graph, exclude: Collection[str] = ()) -> Plan:
    """The plan for a graph. exclude: types of operations, and tensors, whose operations compute with real numbers.

    UsageError for a name that is neither.
    """
    _check(graph, exclude)
    editor = Editor(graph)
    chosen = [op for op in graph.operations if _is_able(op) and not _is_named(op, exclude)]
    constants = {
        t for t in graph.tensors if _is_real(t) and (t.data is not None and t.dtype is not None)
        and not editor.is_updated(t)
    }  # fmt: skip
    states = {t for t in graph.tensors if editor.is_updated(t)}
    coded = _coded(chosen, constants, states)
    plan = Plan(operations=[op for op in chosen if any(t in coded for t in op.outputs)])
    fused = {op.output for op in plan.operations if _is_fused(graph, op, plan.operations)}
    for tensor in graph.tensors:
        if tensor in fused:
            plan.fused.append(tensor)
        elif tensor in coded:
            plan.activations.append(tensor)
    for op in plan.operations:
        for k, tensor in enumerate(op.inputs):
            if tensor not in constants:
                continue
            if op.type in WEIGHTED and k == 2:
                if tensor.rank and op.inputs[1] in constants:
                    plan.biases.append((op, k))
            elif op.type in WEIGHTED and k == 1 and tensor.rank:
                plan.weights.append((op, k))
            elif op.type in ("add", "sub", "mul", "min", "max", "concat", "stack", "matmul", "prelu"):
                plan.operands.append((op, k))
    return plan


def channel_axis(op: Operation) -> int | None:
    """The axis of the output channels of the weights of an operation; None if they have no such axis."""
    weights = op.inputs[1]
    rank = weights.rank or 0
    if op.type == "deconv":
        groups = op.attribs.get("groups", 1)
        return 1 if groups == 1 else None
    if op.type == "matmul":
        if rank != 2:
            return None
        return 0 if op.attribs.get("transposeB") else 1
    return 0 if rank else None


def _check(graph: Graph, exclude: Collection[str]) -> None:
    known = {str(op.type) for op in graph.operations} | {t.name for t in graph.tensors if t.name}
    for name in exclude:
        if name not in known:
            raise UsageError(
                f"--exclude: the model has no operation or tensor '{name}'",
                hint=nearest(name, known) or "operations are those of the NNEF model; `nnef-tools inspect` lists them",
            )


def _is_named(op: Operation, names: Collection[str]) -> bool:
    return op.type in names or any(t.name in names for t in op.outputs)


def _is_real(tensor: Tensor) -> bool:
    return tensor.dtype is np.float32 and not tensor.quant


def _is_able(op: Operation) -> bool:
    return (
        op.type in (*SAME, *COMPUTING)
        and bool(op.outputs)
        and all(t.dtype is np.float32 and not t.quant for t in op.outputs)
        and not any(t.quant for t in op.inputs)
        and not any(t.data is not None and not np.all(np.isfinite(t.data)) for t in op.inputs)  # masks of infinities
    )


def _coded(chosen: list[Operation], constants: set[Tensor], states: set[Tensor]) -> set[Tensor]:
    """The inputs and results of the operations that compute with codes.

    Those that only move values do if something else that reads or makes the values does.
    """
    coded: set[Tensor] = set()

    def tensors(op: Operation) -> Iterator[Tensor]:
        for t in (*op.inputs, *op.outputs):
            if _is_real(t) and t not in constants and t not in states:
                yield t

    for op in chosen:
        if op.type not in SAME:
            coded.update(tensors(op))
    moves = [op for op in chosen if op.type in SAME]
    for sweep in (moves, moves[::-1]):  # along the graph, then against it
        for op in sweep:
            found = list(tensors(op))
            if any(t in coded for t in found):
                coded.update(found)
    for op in moves:  # what the second one found
        found = list(tensors(op))
        if any(t in coded for t in found):
            coded.update(found)
    return coded


def _is_fused(graph: Graph, op: Operation, operations: Collection[Operation]) -> bool:
    """Is the result only for an activation that the kernel of the operation computes, too?"""
    if op.type not in _FUSED or op.output in graph.outputs or len(op.output.consumers) != 1:
        return False
    reader = op.output.consumers[0]
    if reader not in operations or reader.inputs[0] is not op.output:
        return False
    return reader.type == "relu" or (reader.type == "clamp" and _limits(reader) in _LIMITS)


def _limits(op: Operation) -> tuple[float, float] | None:
    values = [t.data for t in op.inputs[1:]]
    if len(values) != 2 or any(value is None or np.size(value) != 1 for value in values):
        return None
    low, high = (float(np.asarray(value).reshape(-1)[0]) for value in values)
    return low, high
