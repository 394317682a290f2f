"""Names of tensors in NNEF graphs that follow the model that the graph was made from."""

from __future__ import annotations

from collections.abc import Iterable

from ...io.nnef.labels import FreshLabels
from ...language.names import FreshNames, sanitize_identifier
from ...model import Graph, Tensor
from ...model.utils import generate_missing_tensor_names_from_op_type


def keep_source_names(graph: Graph, origins: Iterable[tuple[Tensor, Tensor]], reserved: Iterable[str]) -> None:
    """Names each tensor after the first of its origins, as a unique identifier; numbers tensors without origin.

    origins: pairs of source and target tensor, the most important first. reserved: names that no tensor may have, such
    as those of operations. The label of a variable, which is the path of its file, is the unchanged name.
    """
    wanted: dict[Tensor, str] = {}
    for source, target in origins:
        if source.name:
            wanted.setdefault(target, source.name)
    names = FreshNames(reserved)
    for tensor in graph.tensors:
        tensor.name = None
    for tensor, name in wanted.items():
        if tensor.graph is graph and tensor.has_producer:
            tensor.name = names.distinct(sanitize_identifier(name))
    generate_missing_tensor_names_from_op_type(graph)
    labels = FreshLabels()
    for op in graph.operations:
        if op.type == "variable":
            op.attribs["label"] = labels(op.name or wanted.get(op.output) or op.output.name)
