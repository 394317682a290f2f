"""From an ONNX message to a Graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...dialects.onnx.types import NEWEST_OPSET, STRING
from ...errors import FormatError
from ...model.facts import OnnxFacts
from ...model.graph import Graph, Operation, Tensor
from ..protobuf import Message
from .attributes import attribute_value
from .order import describe, normal_domain, sort_graph, sparse_name
from .shapes import declared_types, set_input_shapes, symbols
from .storage import Storage
from .tensors import to_array, to_dense


def build_graph(model: Message, storage: Storage, input_shapes: Mapping[str, Sequence[Any]] | None = None) -> Graph:
    """The Graph of a model without functions. The model is changed on the way: nodes sorted, input shapes set.

    storage: the bytes that the skeleton refers to. Raises FormatError and, for input shapes, UsageError.
    """
    if "graph" not in model:
        raise FormatError("not an ONNX model: there is no graph in it")
    opset = _opset(model)
    sort_graph(model["graph"])
    named = symbols(model["graph"])
    if input_shapes:
        set_input_shapes(model["graph"], input_shapes)
    graph = _Builder(storage).graph(model["graph"], ())
    facts = OnnxFacts(
        opset=opset,
        ir_version=model["ir_version"],
        producer=model["producer_name"],
        producer_version=model["producer_version"],
        doc=model["doc_string"],
        metadata_props={entry["key"]: entry["value"] for entry in model["metadata_props"]},
        symbolic=_open_symbols(graph, named),
    )
    graph.metadata.update(vars(facts))
    return graph


def _opset(model: Message) -> dict[str, int]:
    """Domain -> version; 1 for files of the first format version, which do not tell."""
    opset = {normal_domain(entry["domain"]): entry["version"] for entry in model["opset_import"]} or {"": 1}
    version = opset.get("", 1)
    if version > NEWEST_OPSET:
        raise FormatError(
            f"the model has operator set version {version}; versions up to {NEWEST_OPSET} are known",
            hint="a newer version of nnef_tools may know it, or export the model for an older operator set",
        )
    if version < 1:
        raise FormatError(f"operator set version {version} does not exist")
    return opset


def _open_symbols(graph: Graph, named: Mapping[str, list[int | str | None]]) -> dict[str, list[int | str | None]]:
    """The named extents that are still unknown, in shapes where there are some."""
    result: dict[str, list[int | str | None]] = {}
    if not named:
        return result
    for tensor in graph.tensors:
        dims = named.get(tensor.name or "")
        if dims is not None and tensor.shape is not None and len(dims) == len(tensor.shape):
            extents = [dim if extent is None else extent for dim, extent in zip(dims, tensor.shape, strict=True)]
            if any(isinstance(extent, str) for extent in extents):
                result[tensor.name or ""] = extents
    return result


class _Builder:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def graph(self, message: Message, outer: tuple[dict[str, Tensor], ...]) -> Graph:
        """outer: name -> tensor of the enclosing graphs, the innermost last. The nodes must be sorted."""
        graph = Graph(message["name"] or None)
        tensors: dict[str, Tensor] = {}
        scopes = (*outer, tensors)
        types = declared_types(message)

        def value(name: str) -> Tensor:
            dtype, shape = types.get(name, (None, None))
            tensors[name] = tensor = Tensor(graph, name, shape, dtype)
            return tensor

        self._constants(message, graph, tensors)
        inputs = [value(item["name"]) for item in message["input"] if item["name"] not in tensors]
        missing: list[Tensor] = []
        for node in message["node"]:
            self._operation(node, graph, scopes, value, missing)
        graph.inputs = inputs
        graph.outputs = [_lookup(item["name"], scopes) for item in message["output"]]
        _annotate(message, tensors)
        return graph

    def _constants(self, message: Message, graph: Graph, tensors: dict[str, Tensor]) -> None:
        for tensor in message["initializer"]:
            data, name = to_array(tensor, self._storage), tensor["name"]
            tensors[name] = Tensor(graph, name, data.shape, _data_class(data, tensor["data_type"]), data)
        for sparse in message["sparse_initializer"]:
            data, name = to_dense(sparse, self._storage), sparse_name(sparse)
            tensors[name] = Tensor(graph, name, data.shape, _data_class(data, sparse["values"]["data_type"]), data)

    def _operation(
        self,
        node: Message,
        graph: Graph,
        scopes: tuple[dict[str, Tensor], ...],
        value: Callable[[str], Tensor],
        missing: list[Tensor],
    ) -> None:
        names = _without_trailing(node["input"])
        if "" in names and not missing:
            missing.append(Tensor(graph, "", (), np.float32, np.zeros((), np.float32)))
        inputs = [_lookup(name, scopes) if name else missing[0] for name in names]
        attribs = self._attributes(node, scopes) if "attribute" in node else {}
        # An omitted output is a tensor of its own, since a tensor has one producer.
        outputs = [value(name) if name else Tensor(graph, "") for name in _without_trailing(node["output"])]
        domain = normal_domain(node.get("domain", ""))
        type = node["op_type"]
        Operation(graph, type, node.get("name") or None, attribs, tuple(inputs), tuple(outputs), domain=domain)
        if type == "Constant" and domain == "" and outputs:
            _set_constant(outputs[0], attribs, describe(node))

    def _attributes(self, node: Message, scopes: tuple[dict[str, Tensor], ...]) -> dict[str, Any]:
        attribs: dict[str, Any] = {}
        for attribute in node["attribute"]:
            name = attribute["name"]
            if not name or name in attribs:
                raise FormatError(f"attribute name '{name}' is empty or given twice", where=describe(node))
            try:
                attribs[name] = attribute_value(attribute, self._storage, lambda g: self.graph(g, scopes))
            except FormatError as error:
                where = f"{describe(node)}, {error.where or f'attribute {name}'}"
                raise FormatError(error.message, where=where, hint=error.hint) from error
        return attribs


def _lookup(name: str, scopes: tuple[dict[str, Tensor], ...]) -> Tensor:
    """The tensor of that name in the innermost graph that has one."""
    for scope in reversed(scopes):
        if name in scope:
            return scope[name]
    raise AssertionError(f"'{name}' is not defined in a sorted graph")


def _without_trailing(names: Sequence[str]) -> Sequence[str]:
    """The names without the empty ones at the end."""
    count = len(names)
    while count and not names[count - 1]:
        count -= 1
    return names if count == len(names) else names[:count]


def _data_class(data: np.ndarray[Any, Any], data_type: int) -> type:
    return np.str_ if data_type == STRING else data.dtype.type


# Attribute of Constant -> the class of its items; None if the value is an array already.
_CONSTANTS: dict[str, type | None] = {
    "value": None,
    "sparse_value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_string": np.object_,
    "value_strings": np.object_,
}


def _set_constant(tensor: Tensor, attribs: dict[str, Any], where: str) -> None:
    given = [name for name in attribs if name in _CONSTANTS]
    if len(given) != 1:
        raise FormatError(f"Constant needs one value, it has {len(given)}", where=where)
    value, item_class = attribs[given[0]], _CONSTANTS[given[0]]
    try:
        data = np.asarray(value) if item_class is None else np.array(value, item_class)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"attribute '{given[0]}' has a wrong type: {error}", where=where) from error
    data.flags.writeable = False
    tensor.data = data
    tensor.shape = data.shape
    tensor.dtype = np.str_ if data.dtype == np.object_ else data.dtype


def _annotate(message: Message, tensors: dict[str, Tensor]) -> None:
    """Quantization annotations: parameter -> value of the tensor that it names, on the annotated tensor."""
    for annotation in message["quantization_annotation"]:
        tensor = tensors.get(annotation["tensor_name"])
        if tensor is None:  # a tool has removed the tensor and left the annotation
            continue
        quant: dict[str, Any] = {}
        for entry in annotation["quant_parameter_tensor_names"]:
            parameter = tensors.get(entry["value"])
            if parameter is None or parameter.data is None:
                raise FormatError(
                    f"quantization parameter {entry['key']} is '{entry['value']}', which is not a constant",
                    where=f"tensor '{annotation['tensor_name']}'",
                )
            quant[entry["key"]] = parameter.data
        tensor.quant = quant
