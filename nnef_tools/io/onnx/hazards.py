"""Nodes that crash or hang the process when onnx infers their shapes: its C++ code trusts them to be valid.

Found by mutation of the backend tests, with onnx 1.23. Imports onnx at the top: import this module lazily.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from .order import subgraphs


def is_hazardous(model: ModelProto) -> bool:
    """Is there a node that shape inference must not see?"""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    return any(_is_hazardous(node, versions, ranks) for node, ranks in _nodes(model.graph, {}))


def _nodes(graph: GraphProto, outer: Mapping[str, int]) -> Iterator[tuple[NodeProto, Mapping[str, int]]]:
    """All nodes, with the ranks that the model tells."""
    ranks = dict(outer)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            ranks[value.name] = len(value.type.tensor_type.shape.dim)
    ranks.update((tensor.name, len(tensor.dims)) for tensor in graph.initializer)
    for node in graph.node:
        yield node, ranks
        for inner in subgraphs(node):
            yield from _nodes(inner, ranks)


def _is_hazardous(node: NodeProto, versions: Mapping[str, int], ranks: Mapping[str, int]) -> bool:
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError:
        return False  # type inference skips it
    required = [k for k, formal in enumerate(schema.inputs) if formal.option.name == "Single"]
    if any(k >= len(node.input) or not node.input[k] for k in required):
        return True
    attributes = {attribute.name: attribute for attribute in node.attribute}
    for name, attribute in attributes.items():
        known = schema.attributes.get(name)
        if known is not None and attribute.type != known.type.value:
            return True
    if node.op_type == "Einsum":
        return re.fullmatch(rb"[A-Za-z., >-]*", attributes["equation"].s) is None if "equation" in attributes else True
    if node.op_type == "Split" and "num_outputs" in attributes:
        return bool(attributes["num_outputs"].i != len(node.output))
    if node.op_type == "LayerNormalization":
        axis = attributes["axis"].i if "axis" in attributes else -1
        rank = ranks.get(node.input[0])
        return bool(not -rank <= axis < rank) if rank is not None else axis not in (-1, 1)
    return False
