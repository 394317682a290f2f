"""Brings an NNEF graph into a form whose integer kernels lose less."""

from __future__ import annotations

import numpy as np

from ..execution.kernels.loading import expand_missing
from ..model import Graph, Operation, Tensor
from ..ops.inference import infer_graph
from ..optimization.nnef.editor import Editor

_COMPOUNDS = ("separable_conv", "separable_deconv")


def expand_separable(graph: Graph) -> None:
    """Replaces separable convolutions by the two of their bodies, in place."""
    if any(op.type in _COMPOUNDS for op in graph.operations):
        expand_missing(graph, lambda name: None if name in _COMPOUNDS else name)
        infer_graph(graph, allow_unknown=True)


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


def mean_for_sums(graph: Graph) -> int:
    """Makes means of sums, times the number of items, in place; returns their number. Codes have kernels for these."""
    editor = Editor(graph)
    count = 0
    for op in list(graph.operations):
        shape, axes = op.input.shape if op.type == "sum_reduce" else None, op.attribs.get("axes") or []
        if shape is None or any(shape[axis] is None for axis in axes) or op.output.dtype is not np.float32:
            continue
        items = float(np.prod([shape[axis] for axis in axes], dtype=np.float64))
        result, is_normalized = op.output, op.attribs.get("normalize")
        op.type, op.attribs = "mean_reduce", {"axes": list(axes)}
        if not is_normalized:
            op.outputs = Tensor(graph, None, result.shape, result.dtype)
            factor = editor.new_constant(np.array(items, np.float32))
            Operation(graph, "mul", inputs=(op.output, factor), outputs=result)
        count += 1
    if count:
        graph.sort()
    return editor.finish(count)


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
