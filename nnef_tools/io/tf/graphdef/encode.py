"""From a Graph to GraphDef messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ....dialects.tf.node_names import Names, valid_name
from ....dialects.tf.operators import Operator, find_operator
from ....dialects.tf.signature import type_attributes
from ....dialects.tf.types import dtype_number
from ....errors import FormatError
from ....model.facts import graph_def_versions
from ....model.graph import Graph, Operation, Tensor
from ...protobuf import Message
from .attributes import Func, attribute_message
from .build import COMPOSITE, PREFIX, SUFFIX
from .resolve import INPUTS, first_result_only
from .schema import SCHEMA
from .tensors import Shape, tensor_message

# Versions of TensorFlow 2.15. Older programs accept graphs of newer ones if these use nothing new.
_PRODUCER, _MIN_CONSUMER = 1645, 12


def encode_graph(graph: Graph, annotate_shapes: bool = False) -> list[Message]:
    """GraphDef messages that make one when their bytes are joined: a node each, then the library and the version.

    annotate_shapes: write the attribute `_output_shapes` for all nodes. Raises FormatError for what cannot be written.
    """
    library = _Library(annotate_shapes)
    nodes = _MainEncoder(graph, library).nodes()
    messages = [SCHEMA["GraphDef"](node=[node]) for node in nodes]
    if library.functions:
        functions = SCHEMA["FunctionDefLibrary"](function=library.functions)
        messages.append(SCHEMA["GraphDef"](library=functions))
    versions = graph_def_versions(graph.metadata)
    version = SCHEMA["VersionDef"](
        producer=versions.get("producer") or _PRODUCER, min_consumer=versions.get("min_consumer", _MIN_CONSUMER)
    )
    return [*messages, SCHEMA["GraphDef"](versions=version)]


class _Library:
    """The functions that nested graphs become."""

    def __init__(self, annotate_shapes: bool) -> None:
        self.annotate_shapes = annotate_shapes
        self.functions: list[Message] = []
        self.names = Names()

    def add(self, graph: Graph, where: str) -> Func:
        name = self.names.take((graph.name or "body").replace(":", "_"))
        _FunctionEncoder(graph, self, name, where).add()
        return Func(name, {})


class _Encoder:
    """Makes node messages; subclasses say how a node refers to a result of another one."""

    def __init__(self, graph: Graph, library: _Library) -> None:
        self.graph = graph
        self.operations = _needed(graph)
        self.library = library
        self.references: dict[Tensor, str] = {}

    def reference(self, name: str, op: Operation, index: int) -> str:
        raise NotImplementedError

    def enter(self, op: Operation, name: str) -> None:
        """Notes the names by which the results of an operation are referred to."""
        self.references.update({output: self.reference(name, op, k) for k, output in enumerate(op.outputs)})

    def node(self, op: Operation, name: str) -> Message:
        where = f"{op.type} '{name}'"
        inputs = [self._input(tensor, where) for tensor in op.inputs]
        try:
            node_type, attribs = self._attributes(op)
        except FormatError as error:
            raise FormatError(error.message, where=where, hint=error.hint) from error
        return SCHEMA["NodeDef"](name=name, op=node_type, input=inputs, attr=attribs)

    def _input(self, tensor: Tensor, where: str) -> str:
        if tensor not in self.references:
            raise FormatError(f"tensor '{tensor!r}' has neither a producer nor a value", where=where)
        return self.references[tensor]

    def _attributes(self, op: Operation) -> tuple[str, dict[str, Message]]:
        assert op.type is not None
        if op.custom:
            return COMPOSITE, self._with_shapes(op, _composite_attributes(op))
        operator = find_operator(op.type)
        values = {**type_attributes(op), **{key: value for key, value in op.attribs.items() if value is not None}}
        if op.type == "Const":
            return op.type, self._with_shapes(op, _const_attributes(op, values))
        result = {}
        for key, value in values.items():
            attribute = operator.attributes.get(key) if operator is not None else None
            kind = attribute.kind if attribute is not None else None
            try:
                result[key] = attribute_message(self._without_graphs(value, op), kind)
            except FormatError as error:
                raise FormatError(f"attribute '{key}': {error.message}", hint=error.hint) from error
        _check_complete(operator, result)
        return op.type, self._with_shapes(op, result)

    def _without_graphs(self, value: Any, op: Operation) -> Any:
        if isinstance(value, Graph):
            return self.library.add(value, f"{op.type} '{op.name}'")
        if isinstance(value, list) and any(isinstance(item, Graph) for item in value):
            return [self._without_graphs(item, op) for item in value]
        return value

    def _with_shapes(self, op: Operation, attribs: dict[str, Message]) -> dict[str, Message]:
        if self.library.annotate_shapes or op.custom:
            attribs.update(_shapes(*(output.shape for output in op.outputs), *_unused_shapes(op)))
        return attribs

    def _const_node(self, tensor: Tensor, name: str) -> Message:
        node = _const_node(tensor, name)
        if self.library.annotate_shapes:
            node["attr"].update(_shapes(np.shape(tensor.data)))
        return node


class _MainEncoder(_Encoder):
    def nodes(self) -> list[Message]:
        graph = self.graph
        renamed = _needs_identity(graph)
        identities = {tensor: valid_name(tensor.name) for tensor in renamed if tensor.name}
        # An input that is also an output keeps its name as an input.
        for tensor in graph.inputs:
            identities.pop(tensor, None)
        names = Names()
        final = {tensor: names.take(name) for tensor, name in identities.items()}
        placeholders = [(tensor, names.take(tensor.name)) for tensor in graph.inputs if not tensor.has_producer]
        # Names of inputs and outputs come first, so that they stay.
        bound = {*graph.inputs, *graph.outputs}
        ops = sorted(self.operations, key=lambda op: not any(output in bound for output in op.outputs))
        op_names = {op: names.take(self._wanted_name(op, final)) for op in ops}

        messages = [self._placeholder(tensor, name) for tensor, name in placeholders]
        messages += [self._constant(tensor, names) for tensor in self._constants()]
        for op in self.operations:
            self.enter(op, op_names[op])
        by_op = {op: self.node(op, op_names[op]) for op in self.operations}
        ends: dict[int, Message] = {}
        for tensor in renamed:
            name = final.get(tensor) or names.take(f"{valid_name(tensor.name or 'output')}/output")
            ends[id(tensor)] = self._identity(tensor, name)
        return messages + _in_output_order(graph, by_op, ends)

    def reference(self, name: str, op: Operation, index: int) -> str:
        return name if index == 0 else f"{name}:{index}"

    def _wanted_name(self, op: Operation, final: Mapping[Tensor, str]) -> str:
        first = op.outputs[0] if len(op.outputs) else None
        if first is not None and first.name and first not in final:
            return first.name
        if op.name and valid_name(op.name) not in final.values():
            return op.name
        return f"{first.name}/{op.type}" if first is not None and first.name else str(op.type)

    def _constants(self) -> list[Tensor]:
        used = dict.fromkeys(tensor for op in self.operations for tensor in op.inputs)
        used.update(dict.fromkeys(self.graph.outputs))
        return [tensor for tensor in used if tensor.data is not None and not tensor.has_producer]

    def _constant(self, tensor: Tensor, names: Names) -> Message:
        name = names.take(tensor.name or "Const")
        self.references[tensor] = name
        return self._const_node(tensor, name)

    def _placeholder(self, tensor: Tensor, name: str) -> Message:
        self.references[tensor] = name
        if tensor.dtype is None:
            raise FormatError("the data type of the graph input is not known", where=f"tensor '{name}'")
        attr = {
            "dtype": attribute_message(tensor.dtype, "type"),
            "shape": attribute_message(tensor.shape, "shape"),
        }
        if self.library.annotate_shapes:
            attr.update(_shapes(tensor.shape))
        return SCHEMA["NodeDef"](name=name, op="Placeholder", attr=attr)

    def _identity(self, tensor: Tensor, name: str) -> Message:
        attr = {"T": attribute_message(_known_type(tensor), "type")}
        if self.library.annotate_shapes:
            attr.update(_shapes(tensor.shape))
        return SCHEMA["NodeDef"](name=name, op="Identity", input=[self._input(tensor, f"output '{name}'")], attr=attr)


class _FunctionEncoder(_Encoder):
    """A nested graph as a function. Constants of enclosing graphs are copied into it."""

    def __init__(self, graph: Graph, library: _Library, name: str, where: str) -> None:
        super().__init__(graph, library)
        self._name = name
        self._where = where
        self._names = Names()
        self._extra: list[Message] = []

    def add(self) -> None:
        graph, arg = self.graph, SCHEMA["ArgDef"]
        where = f"{self._where}, function '{self._name}'"
        inputs = [arg(name=f"arg{k}", type=dtype_number(_known_type(t))) for k, t in enumerate(graph.inputs)]
        for k, tensor in enumerate(graph.inputs):
            self.references[tensor] = self._names.take(f"arg{k}")
        op_names = {op: self._names.take(op.name or str(op.type)) for op in self.operations}
        for op in self.operations:
            self.enter(op, op_names[op])
        nodes = [self.node(op, op_names[op]) for op in self.operations]
        results = {f"result{k}": self._input(tensor, where) for k, tensor in enumerate(graph.outputs)}
        outputs = [arg(name=f"result{k}", type=dtype_number(_known_type(t))) for k, t in enumerate(graph.outputs)]
        signature = SCHEMA["OpDef"](name=self._name, input_arg=inputs, output_arg=outputs)
        self.library.functions.append(
            SCHEMA["FunctionDef"](signature=signature, node_def=[*self._extra, *nodes], ret=results)
        )

    def reference(self, name: str, op: Operation, index: int) -> str:
        operator = find_operator(COMPOSITE if op.custom else op.type or "")
        if operator is None:
            return f"{name}:output:{index}"
        group, position = operator.output_name(index, {**type_attributes(op), **op.attribs})
        return f"{name}:{group}:{position}"

    def _input(self, tensor: Tensor, where: str) -> str:
        if tensor not in self.references and tensor.data is not None:
            name = self._names.take(tensor.name or "Const")
            self._extra.append(self._const_node(tensor, name))
            self.references[tensor] = f"{name}:output:0"
        if tensor not in self.references:
            raise FormatError(f"'{tensor!r}' is used, but not given to the function", where=where)
        return self.references[tensor]


def _needed(graph: Graph) -> list[Operation]:
    """The operations that outputs need, and the inputs; others would be taken for outputs when the file is read."""
    if not len(graph.outputs):
        return list(graph.operations)
    found = {tensor.producer for tensor in graph.inputs if tensor.has_producer}
    pending = [tensor.producer for tensor in graph.outputs]
    while pending:
        op = pending.pop()
        if op is not None and op not in found:
            found.add(op)
            pending += [tensor.producer for tensor in op.inputs]
    return [op for op in graph.operations if op in found]


def _in_output_order(graph: Graph, by_op: Mapping[Operation, Message], ends: Mapping[int, Message]) -> list[Message]:
    """The nodes, with those that make outputs at the end and in the order of the outputs."""
    chosen: dict[int, Message] = {}
    for tensor in graph.outputs:
        producer = tensor.producer
        end = ends.get(id(tensor))
        message = by_op[producer] if end is None and producer is not None else ends[id(tensor)]
        chosen.setdefault(id(message), message)
    last = list(chosen.values())
    in_place = [message for message in [*by_op.values(), *ends.values()] if id(message) in chosen]
    if [id(message) for message in in_place] == [id(message) for message in last]:
        return [*by_op.values(), *ends.values()]
    return [message for message in by_op.values() if id(message) not in chosen] + last


def _shapes(*shapes: Shape | None) -> dict[str, Message]:
    """The attribute with the shapes of the results of a node."""
    return {"_output_shapes": attribute_message(list(shapes), "list(shape)")}


def _unused_shapes(op: Operation) -> list[None]:
    """Unknown shapes of the results that the operator has but the operation lacks, since nothing uses them."""
    operator = None if op.custom else find_operator(op.type or "")
    if operator is None or any(output.is_list or output.count is not None for output in operator.outputs):
        return []
    return [None] * (len(operator.outputs) - len(op.outputs))


def _known_type(tensor: Tensor) -> Any:
    if tensor.dtype is None:
        raise FormatError(f"the data type of tensor '{tensor!r}' is not known")
    return tensor.dtype


def _const_node(tensor: Tensor, name: str) -> Message:
    value = tensor_message(tensor.data, tensor.dtype)
    attr = {"dtype": SCHEMA["AttrValue"](type=value["dtype"]), "value": SCHEMA["AttrValue"](tensor=value)}
    return SCHEMA["NodeDef"](name=name, op="Const", attr=attr)


def _const_attributes(op: Operation, values: Mapping[str, Any]) -> dict[str, Message]:
    data = values.get("value", op.output.data)
    if data is None:
        raise FormatError("the constant has no value")
    dtype = values.get("dtype", None if isinstance(data, (np.ndarray, np.generic)) else op.output.dtype)
    value = tensor_message(data, dtype)
    return {
        **{
            key: attribute_message(other)
            for key, other in values.items()
            if key not in ("value", "dtype", "_output_shapes")
        },
        "dtype": SCHEMA["AttrValue"](type=value["dtype"]),
        "value": SCHEMA["AttrValue"](tensor=value),
    }


def _composite_attributes(op: Operation) -> dict[str, Message]:
    """A custom operation as a call of a Python function: its attributes are marked by their names."""
    values: dict[str, Any] = {}
    for key, value in op.attribs.items():
        if value is None:
            continue
        try:
            values[f"{PREFIX}{key}{SUFFIX}"] = attribute_message(value)
        except FormatError as error:
            raise FormatError(f"attribute '{key}': {error.message}", hint=error.hint) from error
    return {
        **values,
        "token": attribute_message(op.type, "string"),
        "Tin": attribute_message([_known_type(tensor) for tensor in op.inputs], "list(type)"),
        "Tout": attribute_message([_known_type(tensor) for tensor in op.outputs], "list(type)"),
    }


def _check_complete(operator: Operator | None, given: Iterable[str]) -> None:
    if operator is not None:
        missing = [
            name for name, attribute in operator.attributes.items() if not attribute.has_default and name not in given
        ]
        if missing:
            raise FormatError(f"attribute '{missing[0]}' is not given")


def _needs_identity(graph: Graph) -> list[Tensor]:
    """Outputs of the graph that need a node of their own, so that readers of the file find them.

    In a file, the outputs are the results of nodes none of whose results is used.
    """
    outputs = set(graph.outputs)
    found = []
    for tensor in dict.fromkeys(graph.outputs):
        op = tensor.producer
        if op is None or op.type in (*INPUTS, "Const"):
            found.append(tensor)
            continue
        results = op.outputs[:1] if first_result_only(op.type) else op.outputs
        if any(result.has_consumer or result not in outputs for result in results) or not _named_after_op(tensor, op):
            found.append(tensor)
    return found


def _named_after_op(tensor: Tensor, op: Operation) -> bool:
    """Will the tensor have its own name? It follows from that of the node, which is named after the first result."""
    index = next(k for k, output in enumerate(op.outputs) if output is tensor)
    if index == 0:
        return True
    first = op.outputs[0].name
    return not tensor.name or (bool(first) and tensor.name == f"{valid_name(first or '')}:{index}")
