"""From a Graph of the ONNX dialect to an ONNX message.

Imports onnx at the top: import this module lazily.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TypeProto, ValueInfoProto

from ...dialects.onnx.types import ELEMENT_TYPES
from ...errors import FormatError
from ...model.facts import OnnxFacts
from ...model.graph import Graph, Operation, Tensor
from .encode import Array, data_type, tensor_message

CUSTOM_DOMAIN = "nnef"
"""Domain of operators that have no domain of their own and that nobody defines in the default domain."""

RUNTIME_OPERATORS = frozenset({
    "Affine", "Crop", "DynamicSlice", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh",
    "SimplifiedLayerNormalization",
})  # fmt: skip
"""Operators that onnxruntime has in the default domain, though the onnx package does not define them."""

DEFAULT_OPSET = 21

# Since this version of the file format, initializers need not be inputs of the graph.
_FREE_INITIALIZERS = 4

_PLURAL = {"FLOAT": "FLOATS", "INT": "INTS", "STRING": "STRINGS", "TENSOR": "TENSORS", "GRAPH": "GRAPHS",
           "TYPE_PROTO": "TYPE_PROTOS"}  # fmt: skip
_SINGULAR = {plural: single for single, plural in _PLURAL.items()}
_FIELDS = {"FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "TYPE_PROTO": "tp", "FLOATS": "floats",
           "INTS": "ints", "STRINGS": "strings", "TENSORS": "tensors", "GRAPHS": "graphs",
           "TYPE_PROTOS": "type_protos"}  # fmt: skip
_CODES = {kind: AttributeProto.AttributeType.Value(kind) for kind in _FIELDS}


class ModelMessage:
    """A model message without the initializers of its main graph; these are kept beside it: name -> array, in order.

    ir_version, opset_version: of the file format and of the default domain; by default what the graph says, else
    fitting ones. describe_results: note the types of intermediate results. typed: inputs and outputs must have types.
    Raises FormatError if the graph cannot be an ONNX model.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        producer_version: str = "",
        ir_version: int | None = None,
        opset_version: int | None = None,
        describe_results: bool = True,
        typed: bool = True,
    ) -> None:
        self._describe_results = describe_results
        self._typed = typed
        facts = OnnxFacts.of(graph.metadata)
        self.opset = _opset(facts.opset, opset_version)
        self._types: set[int] = set()
        self._symbolic = facts.symbolic
        self.initializers: dict[str, Array] = {}
        self.model = ModelProto(producer_name="nnef-tools", producer_version=producer_version)
        self.model.doc_string = facts.doc
        for key, value in facts.metadata_props.items():
            self.model.metadata_props.append(StringStringEntryProto(key=key, value=value))
        self._fill(self.model.graph, graph, main=True)
        self.model.opset_import.extend(onnx.helper.make_opsetid(domain, v) for domain, v in sorted(self.opset.items()))
        needed = self._needed_version()
        self.model.ir_version = ir_version or max(needed, facts.ir_version)

    def _needed_version(self) -> int:
        imports = self.model.opset_import
        versions = [ELEMENT_TYPES[code].ir_version for code in self._types]
        versions.append(onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True))
        return max([*versions, _FREE_INITIALIZERS])

    def _fill(self, message: GraphProto, graph: Graph, *, main: bool) -> None:
        if not graph.is_sorted():
            raise FormatError("the operations of the graph are not sorted", hint="call graph.sort() first")
        message.name = graph.name or ("graph" if main else "body")
        for op in graph.operations:
            self._fill_node(message.node.add(), op)
        message.input.extend(self._value(t, required=main and self._typed) for t in graph.inputs)
        message.output.extend(self._value(t, required=main and self._typed) for t in graph.outputs)
        bound = {*graph.inputs, *graph.outputs}
        constants = [t for t in graph.tensors if t.data is not None and not t.has_producer and t.name]
        for tensor in constants:
            self._initializer(message, tensor, main)
        if self._describe_results:
            results = (t for op in graph.operations for t in op.outputs)
            known = (t for t in results if t.name and t not in bound and t.dtype is not None)
            message.value_info.extend(self._value(t, required=False) for t in known)
        for tensor in graph.tensors:
            if tensor.quant:
                self._annotate(message, tensor)

    def _initializer(self, message: GraphProto, tensor: Tensor, main: bool) -> None:
        array = np.asarray(tensor.data)
        name = _name(tensor)
        self._types.add(data_type(array.dtype, f"tensor '{name}'"))
        if main:
            self.initializers[name] = array
        else:
            message.initializer.append(tensor_message(name, array))

    # values

    def _value(self, tensor: Tensor, *, required: bool) -> ValueInfoProto:
        message = ValueInfoProto(name=_name(tensor))
        if tensor.dtype is None:
            if required:
                raise FormatError(f"the data type of tensor '{tensor.name}' is not known, or it is not a tensor")
            return message
        kind = message.type.tensor_type
        kind.elem_type = data_type(tensor.dtype, f"tensor '{tensor.name}'")
        self._types.add(kind.elem_type)
        if tensor.shape is not None:
            named = self._symbolic.get(tensor.name or "", ())
            kind.shape.SetInParent()
            for k, extent in enumerate(tensor.shape):
                dim = kind.shape.dim.add()
                if extent is not None:
                    dim.dim_value = extent
                elif k < len(named) and isinstance(named[k], str):
                    dim.dim_param = named[k]
        return message

    def _annotate(self, message: GraphProto, tensor: Tensor) -> None:
        """Writes quantization parameters of ONNX: names of constants. Those of NNEF are operators by now."""
        quant = tensor.quant or {}
        if "op-name" in quant:
            raise FormatError(
                f"tensor '{tensor.name}' has the quantization '{quant['op-name']}' of NNEF, not an annotation of ONNX"
            )
        annotation = message.quantization_annotation.add(tensor_name=_name(tensor))
        for key, value in quant.items():
            name = f"{tensor.name}_{key.lower()}"
            annotation.quant_parameter_tensor_names.append(StringStringEntryProto(key=key, value=name))
            if name not in self.initializers:
                self.initializers[name] = np.asarray(value)

    # nodes

    def _fill_node(self, message: NodeProto, op: Operation) -> None:
        domain = op.domain
        declared = _declared(str(op.type), self.opset.get(domain), domain)
        if declared is None and not domain and op.type not in RUNTIME_OPERATORS:
            domain = CUSTOM_DOMAIN
        self.opset.setdefault(domain, 1)
        message.op_type = op.type or ""
        message.domain = domain
        if op.name:
            message.name = op.name
        inputs = [_argument(t) for t in op.inputs]
        while inputs and not inputs[-1]:
            inputs.pop()
        message.input.extend(inputs)
        message.output.extend([_argument(t) for t in op.outputs])
        for key, value in op.attribs.items():
            if value is not None:
                self._fill_attribute(message.attribute.add(), key, value, op, declared or {})

    def _fill_attribute(
        self, message: AttributeProto, key: str, value: Any, op: Operation, declared: Mapping[str, str]
    ) -> None:
        if op.type == "Constant" and key == "sparse_value":
            key = "value"  # the reader made it dense
        kind = declared.get(key) or _kind(value)
        if kind is None or kind not in _FIELDS:
            raise FormatError(
                f"attribute '{key}' has a value that ONNX has no type for: {value!r}", where=_describe(op)
            )
        message.name = key
        message.type = _CODES[kind]
        try:
            self._set(message, kind, value)
        except (TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"attribute '{key}' = {value!r} is no {kind}: {error}", where=_describe(op)) from error

    def _set(self, message: AttributeProto, kind: str, value: Any) -> None:
        field = _FIELDS[kind]
        if kind in _SINGULAR:
            getattr(message, field).extend([self._encoded(_SINGULAR[kind], item) for item in value])
        elif field in ("f", "i", "s"):
            setattr(message, field, self._encoded(kind, value))
        else:
            getattr(message, field).CopyFrom(self._encoded(kind, value))

    def _encoded(self, kind: str, value: Any) -> Any:
        if kind == "FLOAT":
            return float(value)
        if kind == "INT":
            return data_type(value) if isinstance(value, type) else int(value)
        if kind == "STRING":
            return value if isinstance(value, bytes) else str(value).encode()
        if kind == "TENSOR":
            array = np.asarray(value)
            self._types.add(data_type(array.dtype))
            return tensor_message("", array)
        if kind == "GRAPH":
            nested = GraphProto()
            self._fill(nested, value, main=False)
            return nested
        return value


def _opset(known: Mapping[str, int], version: int | None) -> dict[str, int]:
    opset = dict(known)
    if version is not None and opset.get("", version) != version:
        raise FormatError(
            f"the operators of the graph are those of version {opset['']}, not {version}",
            hint="the version is chosen when a model is converted (--opset)",
        )
    opset.setdefault("", version or DEFAULT_OPSET)
    return opset


@cache
def _declared(type: str, version: int | None, domain: str) -> Mapping[str, str] | None:
    """Attribute -> type by the definition of an operator, None if the onnx package has none."""
    try:
        schema = None if version is None else onnx.defs.get_schema(type, version, domain)
    except onnx.defs.SchemaError:
        return None
    attributes: Mapping[str, Any] = {} if schema is None else schema.attributes
    return None if schema is None else {name: item.type.name for name, item in attributes.items()}


def _kind(value: Any) -> str | None:
    """The type of attribute for a Python value, None if there is none. An empty list counts as integers."""
    if isinstance(value, (list, tuple)):
        kinds = {_kind(item) for item in value}
        if kinds == {"INT", "FLOAT"}:
            kinds = {"FLOAT"}
        return _PLURAL.get(str(next(iter(kinds)))) if len(kinds) == 1 else None if kinds else "INTS"
    if isinstance(value, (bool, int, np.integer, np.bool_, type)):
        return "INT"
    if isinstance(value, (float, np.floating)):
        return "FLOAT"
    if isinstance(value, (str, bytes)):
        return "STRING"
    if isinstance(value, np.ndarray):
        return "TENSOR"
    if isinstance(value, Graph):
        return "GRAPH"
    return "TYPE_PROTO" if isinstance(value, TypeProto) else None


def _name(tensor: Tensor) -> str:
    if not tensor.name:
        raise FormatError("a tensor of the graph has no name", where=str(tensor))
    return tensor.name


def _argument(tensor: Tensor) -> str:
    """The name; empty for an argument that is left out."""
    return "" if tensor.name == "" else _name(tensor)


def _describe(op: Operation) -> str:
    return f"{op.type} '{op.name}'" if op.name else str(op.type)
