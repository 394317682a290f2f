"""Brings an NNEF graph into a form whose integer kernels lose less."""

from __future__ import annotations

import numpy as np

from ..model import Graph, Operation
from ..optimization.nnef.editor import Editor


def mean_for_whole_pools(graph: Graph) -> int:
    """Makes means of average pools over all of the spatial extents, in place; returns their number.

    The result of a pool has the scale of its input, that of a mean its own, which is finer.
    """
    count = 0
    for op in graph.operations:
        if op.type == "avg_pool" and _is_whole(op):
            axes = list(range(2, op.input.rank or 0))
            op.type, op.attribs = "mean_reduce", {"axes": axes}
            count += 1
    return count


def multiply_for_divide(graph: Graph) -> int:
    """Makes products of divisions by constants, in place, as codes have no division; returns their number."""
    editor = Editor(graph)
    count = 0
    for op in graph.operations:
        if op.type != "div" or op.output.dtype is not np.float32:
            continue
        divisor = editor.value(op.inputs[1])
        if divisor is None or not np.all(np.abs(divisor) > np.finfo(np.float32).tiny):
            continue
        factor = np.reciprocal(divisor.astype(np.float32))
        if not np.all(factor):  # of infinity
            continue
        op.type = "mul"
        op.inputs = (op.inputs[0], editor.new_constant(factor, None))
        count += 1
    return editor.finish(count)


def _is_whole(op: Operation) -> bool:
    """Does the only window cover just the extents behind batch and channels?"""
    shape, result = op.input.shape, op.output.shape
    if shape is None or result is None or len(shape) < 3 or None in shape:
        return False
    padding = op.attribs.get("padding") or []
    dilation = op.attribs.get("dilation") or [1]
    return (
        list(op.attribs.get("size") or []) == [1, 1, *shape[2:]]
        and list(result) == [*shape[:2], *[1] * (len(shape) - 2)]
        and all(tuple(item) == (0, 0) for item in padding)
        and all(item == 1 for item in dilation)
    )
