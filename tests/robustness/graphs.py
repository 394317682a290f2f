"""Damage to graphs in memory: what a program could do to one by mistake."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnef_tools.model import Graph, Operation
from nnef_tools.ops.registry import operations

VALUES: list[Any] = [0, -1, 3, 0.5, True, "constant", "x", "reflect", [], [0], [-1], [0, 0], [3, 1, 1], [1, 1, 1, 1],
                     [(1, 1), (1, 1)], [(0, 0)] * 4, [(-9, 0)] * 4, None, {}]  # fmt: skip


def damaged_graph(graph: Graph, rng: np.random.Generator) -> Graph:
    """The graph itself, with one or two changes to types, attributes or operands of its operations."""
    for _ in range(rng.integers(1, 3)):
        op = graph.operations[rng.integers(len(graph.operations))]
        kind = rng.integers(6)
        if kind < 3 and op.attribs:
            _change_attribute(op, rng)
        elif kind == 3:
            names = sorted(operations())
            op.type = names[rng.integers(len(names))]
        elif kind == 4 and op.inputs:
            _change_operands(op, graph, rng)
        elif kind == 5:
            op.attribs[("surplus", "axes", "dtype")[rng.integers(3)]] = VALUES[rng.integers(len(VALUES))]
    return graph


def _change_attribute(op: Operation, rng: np.random.Generator) -> None:
    key = list(op.attribs)[rng.integers(len(op.attribs))]
    value = op.attribs[key]
    if rng.integers(4) == 0:
        del op.attribs[key]
    elif isinstance(value, list) and value and rng.integers(2):
        op.attribs[key] = [*value[:-1], (0, -1, 7)[rng.integers(3)]]
    else:
        op.attribs[key] = VALUES[rng.integers(len(VALUES))]


def _change_operands(op: Operation, graph: Graph, rng: np.random.Generator) -> None:
    operands = list(op.inputs)
    place, other = int(rng.integers(len(operands))), graph.tensors[rng.integers(len(graph.tensors))]
    kind = rng.integers(3)
    if kind == 0:
        operands[place] = other
    elif kind == 1:
        del operands[place]
    else:
        operands.append(other)
    op.inputs = tuple(operands) if isinstance(op.inputs, tuple) else operands
