"""What the operations of a picture cost, by what `inspect` and `gmac` count."""

from __future__ import annotations

from ...model import Graph, Operation
from ..opening import SizedModel
from .page import Cost


def costs_of(graph: Graph, model: SizedModel) -> dict[Operation, Cost]:
    """The MACs of each operation of a graph, and the bytes of its results, as far as they are known.

    model: the same file, opened with extents for its inputs. Nothing is known if the graph has other operations, since
    some were decomposed.
    """
    counted = list(model.graph.operations)
    if [op.type for op in counted] != [op.type for op in graph.operations]:
        return {}
    macs = {} if model.problem else model.count.macs
    costs = {}
    for operation, other in zip(graph.operations, counted, strict=True):
        cost = macs.get(other)
        sizes = [model.size_of(tensor) for tensor in other.outputs]
        costs[operation] = Cost(
            None if cost is None or cost.reason else cost.count,
            None if None in sizes else sum(size or 0 for size in sizes),
        )
    return costs
