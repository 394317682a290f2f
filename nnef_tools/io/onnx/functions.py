"""Bodies of the standard ONNX operators that are defined as functions of others.

Imports onnx at the top: import this module lazily.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TypeProto, ValueInfoProto

from ...dialects.onnx.types import find_data_type
from ...model.graph import Graph, Operation, Tensor
from .build import build_graph
from .inline import Inliner, subgraphs
from .schema import parse_model
from .shapes import Shape
from .storage import Storage

Type = tuple[type | None, Shape | None]


def expand(op: Operation, opset: Mapping[str, int], types: Sequence[Type] | None = None) -> Graph | None:
    """The body of an operator as a Graph in the ONNX dialect; None if it is not defined as a function.

    op: an operation of an ONNX Graph. opset: domain -> version of its model. types: of the inputs (they decide which
    body it is), by default those that the graph tells. The inputs of the result correspond to those of `op` by
    position (a missing one is a tensor that nothing uses), likewise the outputs; attributes and their defaults are put
    in.
    `metadata['opset']` are the versions that the body is written for, which may be others than the model's.
    """
    types = [(tensor.dtype, tensor.shape) for tensor in op.inputs] if types is None else types
    inputs = [TypeProto() if _is_missing(t) else _type(*known) for t, known in zip(op.inputs, types, strict=True)]
    body = _body(op, opset, inputs)
    if body is None:
        return None
    function, node = body
    if len(node.input) > len(function.input) or len(node.output) > len(function.output):
        return None
    model = ModelProto(ir_version=onnx.IR_VERSION, opset_import=function.opset_import)
    model.graph.name = function.name
    model.graph.input.extend(ValueInfoProto(name=f"input{k}", type=type) for k, type in enumerate(inputs))
    for name, tensor in zip(node.output, op.outputs, strict=True):
        model.graph.output.append(ValueInfoProto(name=name, type=_type(tensor.dtype, tensor.shape)))
    inliner = Inliner((), {entry.domain: entry.version for entry in function.opset_import})
    inliner.reserve(model.graph)
    model.graph.node.extend(_needed(inliner.expand(function, node), node.output))
    return build_graph(parse_model(model.SerializeToString()), Storage(np.empty(0, np.uint8)))


def _body(
    op: Operation, opset: Mapping[str, int], inputs: Sequence[TypeProto]
) -> tuple[FunctionProto, NodeProto] | None:
    """The function and a call of it that stands for the operation."""
    version = opset.get(op.domain)
    if version is None or op.type is None or any(isinstance(value, Graph) for value in op.attribs.values()):
        return None
    try:
        schema: Any = onnx.defs.get_schema(op.type, version, op.domain)
    except onnx.defs.SchemaError:
        return None
    node = _node(op, schema)
    if node is None:
        return None
    if schema.has_function:
        function_version = _best(schema.function_opset_versions, version)
        return FunctionProto.FromString(schema.get_function_with_opset_version(function_version)), node
    if schema.has_context_dependent_function:
        function_version = _best(schema.context_dependent_function_opset_versions, version)
        types = [type.SerializeToString() for type in inputs]
        try:
            data = schema.get_context_dependent_function_with_opset_version(
                function_version, node.SerializeToString(), types
            )
        except (ValueError, RuntimeError):
            return None  # a node that the schema does not allow, such as one without a required attribute
        return (FunctionProto.FromString(data), node) if data else None  # none for these types and attributes
    return None


def _best(versions: Sequence[int], version: int) -> int:
    """The newest body not above the version of the model. All mean the same, so else the oldest will do."""
    return max((v for v in versions if v <= version), default=min(versions))


def _node(op: Operation, schema: Any) -> NodeProto | None:
    """A node with the inputs, outputs and attributes of the operation, and the schema's defaults of the others."""
    node = NodeProto(op_type=op.type, domain=op.domain, name=op.type)
    node.input.extend("" if _is_missing(tensor) else f"input{k}" for k, tensor in enumerate(op.inputs))
    node.output.extend(f"output{k}" for k in range(len(op.outputs)))
    for name, attribute in schema.attributes.items():
        if name in op.attribs:
            try:
                node.attribute.append(_attribute(name, op.attribs[name], attribute.type.value))
            except (TypeError, ValueError, AssertionError):  # the last one for kinds that it knows nothing of
                return None  # not what the schema says, which is reported where the attribute is used
        elif attribute.default_value.name:
            node.attribute.append(attribute.default_value)
    return node


def _attribute(name: str, value: Any, kind: int) -> AttributeProto:
    if isinstance(value, np.ndarray):
        value = onnx.numpy_helper.from_array(value)
    elif isinstance(value, list):
        value = [onnx.numpy_helper.from_array(item) if isinstance(item, np.ndarray) else item for item in value]
    return onnx.helper.make_attribute(name, value, attr_type=kind)


def _is_missing(tensor: Tensor) -> bool:
    return tensor.name == "" and not tensor.has_producer


def _type(dtype: type | None, shape: Shape | None) -> TypeProto:
    """The type of a tensor; an empty message if its element type is unknown."""
    data_type = None if dtype is None else find_data_type(dtype)
    return TypeProto() if data_type is None else onnx.helper.make_tensor_type_proto(data_type, shape)


def _needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes that the outputs depend on."""
    names = set(outputs)
    result = []
    for node in reversed(nodes):
        if names.intersection(node.output):
            names.update(_used(node))
            result.append(node)
    return result[::-1]


def _used(node: NodeProto) -> Iterator[str]:
    """All names that a node and the graphs in it use."""
    yield from node.input
    for graph in subgraphs(node):
        yield from (value.name for value in graph.output)
        for inner in graph.node:
            yield from _used(inner)
