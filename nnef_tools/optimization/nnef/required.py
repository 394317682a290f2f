"""Changes that make an NNEF graph valid, whether or not it is optimized."""

from __future__ import annotations

from ...errors import ShapeError, shape_hint
from ...model import Graph, Tensor
from .editor import add_operation


def complete_interface(graph: Graph) -> None:
    """Makes each graph input the result of an `external`, and each graph output a tensor of its own.

    An input without producer gets an `external`. An output that is an input too, or that occurs twice, is replaced
    (the second time) by a `copy`. ShapeError if an input without producer has an unknown shape.
    """
    _add_externals(graph)
    _add_copies(graph)


def _add_externals(graph: Graph) -> None:
    missing = [tensor for tensor in graph.inputs if not tensor.has_producer]
    if not missing:
        return
    for tensor in missing:
        if tensor.volume is None:
            raise ShapeError(
                f"the shape of graph input '{tensor!r}' is not known",
                hint=shape_hint({str(tensor.name): tensor.shape}),
            )
        add_operation(graph, "external", (), tensor, shape=list(tensor.shape or ()))
    # some readers take the order of the inputs from that of the operations
    sources = dict.fromkeys(tensor.producers[0] for tensor in graph.inputs)
    graph.reorder([*sources, *(operation for operation in graph.operations if operation not in sources)])


def _add_copies(graph: Graph) -> None:
    taken = set(graph.inputs)
    outputs = []
    for tensor in graph.outputs:
        outputs.append(_copy(graph, tensor) if tensor in taken else tensor)
        taken.add(tensor)
    graph.outputs = outputs


def _copy(graph: Graph, tensor: Tensor) -> Tensor:
    result = Tensor(graph, None, tensor.shape, tensor.dtype)
    add_operation(graph, "copy", tensor, result)
    return result
