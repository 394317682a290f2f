"""What a conversion to NNEF makes of each operator of a model, also of a model that does not convert as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import ConversionError
from ...model import Graph, Operation
from ...model.graph import Shape, Tensor
from .refusal import first_result
from .to_nnef import ConverterToNNEF

LATER = "depends on an operator that does not convert"


@dataclass(frozen=True)
class Trial:
    """The outcome for the operators and tensors of a graph, by name; that of an operator is that of its first result
    that has a name.

    made: the NNEF operations that an operator became; none if it was computed or merged into another one, or if nothing
    needs it.
    reasons: why an operator does not convert. shapes, types: of the tensors, as far as they were found; types are those
    of the source, where it declares them.
    """

    made: Mapping[str, Sequence[Operation]]
    reasons: Mapping[str, str]
    shapes: Mapping[str, Shape]
    types: Mapping[str, type]


def try_conversion(converter: ConverterToNNEF, graph: Graph) -> Trial:
    """Converts the graph as far as it gets. ConversionError if it does not even begin, as for inputs of open shape."""
    converter._made = {}
    try:
        converter(graph)
    except ConversionError:
        if not converter._made:
            raise
    later = {first_result(op): LATER for op in converter._made if any(t in converter._unknown for t in op.outputs)}
    refused = {refusal.output: refusal.reason for refusal in converter._refused}
    pairs = [
        (source.name, target)
        for source, target in converter._tensors.items()
        if isinstance(target, Tensor) and source.name and source.graph is converter._source
    ]
    return Trial(
        made={first_result(op): [x for x in made if x.graph is not None] for op, made in converter._made.items()},
        reasons={**later, **refused},
        shapes={name: target.shape for name, target in pairs if target.shape is not None},
        types={name: target.dtype for name, target in pairs if target.dtype is not None},
    )
