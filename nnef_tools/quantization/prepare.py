"""Brings an NNEF graph into a form whose integer kernels lose less."""

from __future__ import annotations

from ..model import Graph, Operation


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
