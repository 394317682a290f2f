"""From a GraphDef message to a Graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ....dialects.tf.operators import Operator, find_operator
from ....errors import FormatError, UsageError
from ....model.facts import TensorFlowFacts
from ....model.graph import Graph, Operation, Tensor
from ...protobuf import Message
from .attributes import Func, is_of_kind
from .conditionals import inside_control_flow, raise_control_flow
from .effects import described, effect_names, effects_of
from .nodes import Body, Library, Node, Ref
from .resolve import INPUTS, Resolution, find_outputs, resolve, tensor_name

InputShapes = Mapping[str, Sequence[Any]]

# Before this version of the producer, an unknown shape of a placeholder was written as that of a scalar.
UNKNOWN_SHAPE_PRODUCER = 24

_MAX_NESTING = 50

# Marks around the names of attributes of a composite in a PyFunc node.
COMPOSITE = "PyFunc"
PREFIX, SUFFIX = "_$", "$_"

_NUMPY_FUNCTION = re.compile(r"pyfunc_\d+")
"""The token that TensorFlow gives a Python function of its own (`tf.numpy_function`)."""


def build_graph(
    message: Message, input_shapes: InputShapes | None = None, outputs: Sequence[str] | None = None
) -> tuple[Graph, list[str]]:
    """The Graph of a GraphDef, and warnings. outputs: names of the nodes that make them, if that is known.

    Raises FormatError and, for impossible input shapes, UsageError.
    """
    versions = message["versions"]
    producer = versions["producer"] if versions is not None else message["version"]
    library = message["library"]
    builder = _Builder(Library(library["function"] if library is not None else ()), producer)
    graph, aliases = builder.main(message["node"], outputs)
    if input_shapes:
        set_input_shapes(graph, input_shapes)
    min_consumer = versions["min_consumer"] if versions is not None else 0
    facts = TensorFlowFacts({"producer": producer, "min_consumer": min_consumer}, aliases)
    graph.metadata.update(vars(facts))
    warning = described(builder.effects)
    return graph, [warning] if warning else []


class _Builder:
    def __init__(self, library: Library, producer: int) -> None:
        self._library = library
        self._producer = producer
        self._depth = 0
        self.effects: list[Node] = []

    def main(self, messages: Sequence[Message], wanted: Sequence[str] | None = None) -> tuple[Graph, dict[str, str]]:
        """The graph, and its aliases. wanted: names of the nodes that make the outputs, by default unused ones."""
        body = self._library.main(messages)
        if not body.nodes:
            raise FormatError("not a TensorFlow graph: there are no nodes in it")
        _fill_defaults(body.nodes)
        excluded, hidden = effect_names(body.nodes, self._library)
        named = {*excluded, *hidden}
        hidden.update(inside_control_flow(body.nodes), body.inner)
        before = body.nodes
        nodes = raise_control_flow(before)
        counts = _ResultCounts(nodes)
        if wanted is None:
            outputs = find_outputs(nodes, counts, excluded, hidden)
        else:
            outputs = [(name, 0) for name in wanted]
        self.effects += effects_of(before, named - {name for name, _ in outputs})
        resolution = resolve(nodes, outputs)
        if not resolution.outputs:
            raise FormatError("the graph has no outputs: each result is used by a node")
        graph, tensors = self._graph(resolution, counts, {}, ())
        graph.inputs = [tensors[node.name, 0] for node in resolution.nodes if node.op in INPUTS]
        graph.outputs = [_lookup(ref, tensors, "an output") for ref in resolution.outputs]
        for ref, name in resolution.names.items():
            tensors[ref].name = name
        aliases: dict[str, str] = {
            tensor_name(ref): str(tensors[source].name)
            for ref, source in resolution.passed.items()
            if source in tensors and tensors[source].name != tensor_name(ref)
        } | {tensor_name(ref): name for ref, name in resolution.names.items()}
        return graph, aliases

    def nested(self, body: Body, path: tuple[str, ...]) -> Graph:
        """The graph of a function: its inputs have no producers."""
        if self._depth >= _MAX_NESTING:
            raise FormatError(f"loops and branches are nested more than {_MAX_NESTING} deep")
        self._depth += 1
        graph = self._nested(body, path)
        self._depth -= 1
        return graph

    def _nested(self, body: Body, path: tuple[str, ...]) -> Graph:
        _fill_defaults(body.nodes)
        nodes = raise_control_flow(body.nodes)
        counts = _ResultCounts(nodes)
        self.effects += effects_of(body.nodes, ())
        resolution = resolve(nodes, body.results, of_function=True)
        graph = Graph(path[-1] if path else None)
        arguments = {}
        for ref, attribs in zip(body.arguments, body.argument_attribs, strict=True):
            shapes = attribs.get("_output_shapes")
            shape = shapes[0] if isinstance(shapes, list) and len(shapes) == 1 else None
            arguments[ref] = Tensor(graph, ref[0], shape, attribs.get("dtype"))
        graph, tensors = self._graph(resolution, counts, dict(arguments), path, graph)
        graph.inputs = list(arguments.values())
        graph.outputs = [_lookup(ref, tensors, graph.name or "") for ref in resolution.outputs]
        return graph

    def _graph(
        self,
        resolution: Resolution,
        counts: _ResultCounts,
        tensors: dict[Ref, Tensor],
        path: tuple[str, ...],
        graph: Graph | None = None,
    ) -> tuple[Graph, dict[Ref, Tensor]]:
        graph = graph or Graph()
        outputs = {}
        for node in resolution.nodes:
            outputs[node.name] = self._results(graph, node, counts(node))
            tensors.update({(node.name, k): tensor for k, tensor in enumerate(outputs[node.name])})
        for node in resolution.nodes:
            inputs = [_lookup(ref, tensors, str(node)) for ref in node.inputs]
            attribs = {name: self._with_graphs(value, node, path) for name, value in node.attribs.items()}
            op_type, custom = node.op, False
            token = attribs.get("token")
            if node.op == COMPOSITE and isinstance(token, str) and not _NUMPY_FUNCTION.fullmatch(token):
                op_type, custom = token, True
                attribs = {
                    name[len(PREFIX) : -len(SUFFIX)]: value
                    for name, value in attribs.items()
                    if name.startswith(PREFIX) and name.endswith(SUFFIX)
                }
            Operation(graph, op_type, node.name, attribs, inputs, outputs[node.name], custom)
        if not graph.sort():
            raise FormatError("the nodes depend on each other in a cycle")
        return graph, tensors

    def _results(self, graph: Graph, node: Node, count: int) -> list[Tensor]:
        types = _result_types(node)
        shapes = node.attribs.get("_output_shapes")
        data = None
        if not isinstance(shapes, list) or not all(is_of_kind(shape, "shape") for shape in shapes):
            shapes = []
        if node.op == "Const":
            data = node.attribs.get("value")
            if data is None:
                raise FormatError("the constant has no value", where=str(node))
            shapes = [data.shape]
        elif node.op in INPUTS and not (shapes and shapes[0] is not None):
            shape = node.attribs.get("shape")
            unknown = shape == () and self._producer < UNKNOWN_SHAPE_PRODUCER
            shapes = [shape if isinstance(shape, tuple) and not unknown else None]
        return [
            Tensor(
                graph,
                tensor_name((node.name, k)),
                shapes[k] if k < len(shapes) else None,
                types[k] if k < len(types) else None,
                data if k == 0 else None,
            )
            for k in range(count)
        ]

    def _with_graphs(self, value: Any, node: Node, path: tuple[str, ...]) -> Any:
        """The value of an attribute, with the bodies of loops and branches as graphs."""
        if isinstance(value, Body):
            return self.nested(value, path)
        if node.op in _WITH_BODIES:
            if isinstance(value, Func):
                return self.nested(self._library.instance(value, str(node), path=path), (*path, value.name))
            if isinstance(value, list) and any(isinstance(item, (Body, Func)) for item in value):
                return [self._with_graphs(item, node, path) for item in value]
        return value


_WITH_BODIES = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")


class _ResultCounts:
    """Tells how many results a node has: by its signature, else by its shapes and by which results are used."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._used: dict[str, int] = {}
        for node in nodes:
            for name, index in node.inputs:
                self._used[name] = max(self._used.get(name, 0), index + 1)

    def __call__(self, node: Node) -> int:
        operator = find_operator(node.op)
        if operator is not None:
            return len(operator.output_types(node.attribs))
        shapes = node.attribs.get("_output_shapes")
        return max(len(shapes) if isinstance(shapes, list) else 1, self._used.get(node.name, 0))


def _result_types(node: Node) -> list[type | None]:
    operator = find_operator(node.op)
    if operator is not None:
        return operator.output_types(node.attribs)
    for name in _TYPES:
        types = node.attribs.get(name)
        if isinstance(types, list):
            return [item if isinstance(item, type) else None for item in types]
    dtype = node.attribs.get("dtype", node.attribs.get("T"))
    return [dtype if isinstance(dtype, type) else None]


_TYPES = ("component_types", "output_types", "Tout", "out_types", "dtypes")
"""Attributes of operators without a known signature that have the types of all results: of queues, iterators, .."""


def _fill_defaults(nodes: Sequence[Node]) -> None:
    """Adds default attributes. FormatError for values of a wrong kind, and if the number of results is not told."""
    for node in nodes:
        operator = find_operator(node.op)
        if operator is not None:
            _check_kinds(node, operator)
            node.attribs = operator.with_defaults(node.attribs)
            try:
                operator.output_types(node.attribs)
            except FormatError as error:
                raise FormatError(error.message, where=str(node)) from error


def _check_kinds(node: Node, operator: Operator) -> None:
    for name, value in node.attribs.items():
        attribute = operator.attributes.get(name)
        is_raised = isinstance(value, Body) or (isinstance(value, list) and any(isinstance(x, Body) for x in value))
        if attribute is not None and value is not None and not is_raised and not is_of_kind(value, attribute.kind):
            raise FormatError(f"attribute '{name}' has no value of type {attribute.kind}", where=str(node))


def _lookup(ref: Ref, tensors: Mapping[Ref, Tensor], where: str) -> Tensor:
    if ref not in tensors:
        raise FormatError(f"there is no '{tensor_name(ref)}' in the graph", where=where)
    return tensors[ref]


def set_input_shapes(graph: Graph, input_shapes: InputShapes) -> None:
    """Sets the shapes of inputs, given by name with or without `:0`.

    Where that changes an extent that was known, shapes that follow from it are forgotten. Raises UsageError.
    """
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    changed: list[Tensor] = []
    for key, given in input_shapes.items():
        tensor = inputs.get(key.removesuffix(":0"))
        if tensor is None:
            raise UsageError(
                f"the graph has no input '{key}'", hint=f"inputs: {', '.join(str(name) for name in inputs)}"
            )
        shape = tuple(given)
        old = tensor.shape
        if not all(dim is None or (isinstance(dim, int) and dim >= 0) for dim in shape):
            raise UsageError(f"{list(shape)} is not a shape for input '{key}'")
        if old is not None and len(old) != len(shape):
            raise UsageError(f"input '{key}' has rank {len(old)}, it cannot get the shape {list(shape)}")
        if old is not None and any(a is not None and a != b for a, b in zip(old, shape, strict=True)):
            changed.append(tensor)
        tensor.shape = shape
        producer = tensor.producer
        if producer is not None:
            producer.attribs["shape"] = shape
            producer.attribs.pop("_output_shapes", None)
    _forget_shapes(changed)


def _forget_shapes(changed: list[Tensor]) -> None:
    seen: set[Operation] = set()
    while changed:
        for op in changed.pop().consumers:
            if op not in seen:
                seen.add(op)
                op.attribs.pop("_output_shapes", None)
                for tensor in op.outputs:
                    tensor.shape = None
                    changed.append(tensor)
