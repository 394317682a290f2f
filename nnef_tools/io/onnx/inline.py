"""Calls of functions replaced by their bodies: model-local functions, and the bodies of standard operators.

Imports onnx at the top: import this module lazily.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from ...errors import FormatError
from .order import node_label, normal_domain

MAX_DEPTH = 100

# Bytes that calls may expand to, with a share for each node: functions that call each other twice grow without end.
MAX_COST = 100_000_000
_NODE_COST = 500


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def inline_functions(model: ModelProto) -> None:
    """Replaces all calls of model-local functions, recursively and also in nested graphs, in place.

    Raises FormatError if functions call each other in a circle, or are written for another operator set version in
    which their operators differ.
    """
    if not model.functions:
        return
    inliner = Inliner(model.functions, {normal_domain(entry.domain): entry.version for entry in model.opset_import})
    inliner.reserve(model.graph)
    inliner.inline_graph(model.graph)
    for domain, version in inliner.opset.items():
        if not any(normal_domain(entry.domain) == domain for entry in model.opset_import):
            model.opset_import.add(domain=domain, version=version)
    del model.functions[:]


class Inliner:
    """functions: the known ones. opset: versions of the graph that they are put into; domains are added as needed."""

    def __init__(self, functions: Iterable[FunctionProto], opset: Mapping[str, int]) -> None:
        self.functions = {(normal_domain(f.domain), f.name, f.overload): f for f in functions}
        self.opset = dict(opset)
        self._taken: set[str] = set()
        self._cost = 0
        self._depth = 0
        self._calls = 0

    def reserve(self, graph: GraphProto) -> None:
        """Keeps the names of a graph from being given to others."""
        self._taken.update(value.name for value in graph.input)
        self._taken.update(tensor.name for tensor in graph.initializer)
        self._taken.update(tensor.values.name for tensor in graph.sparse_initializer)
        for node in graph.node:
            self._taken.update(node.output)
            for nested in subgraphs(node):
                self.reserve(nested)

    def inline_graph(self, graph: GraphProto) -> None:
        nodes: list[NodeProto] = []
        for node in graph.node:
            for nested in subgraphs(node):
                self.inline_graph(nested)
            nodes.extend(self._resolved(node))
        copies = GraphProto(node=nodes)
        del graph.node[:]
        graph.node.extend(copies.node)

    def _resolved(self, node: NodeProto) -> list[NodeProto]:
        """The node itself, or the body of the function that it calls."""
        self._cost += node.ByteSize() + _NODE_COST
        if self._cost > MAX_COST:
            raise FormatError("the model's functions expand to far too many nodes", where=_describe(node)[:200])
        function = self.functions.get((normal_domain(node.domain), node.op_type, node.overload))
        return [node] if function is None else self.expand(function, node)

    def expand(self, function: FunctionProto, node: NodeProto) -> list[NodeProto]:
        """The nodes of a function, bound to inputs, outputs and attributes of the node that calls it."""
        self._check_opset(function, node)
        if len(node.input) > len(function.input) or len(node.output) > len(function.output):
            raise FormatError(f"call of function '{function.name}' with too many arguments", where=_describe(node))
        self._enter(node)
        self._calls += 1
        prefix = f"{node.name or function.name}"[-100:] + f"_{self._calls}/"
        names = dict.fromkeys(function.input, "") | dict(zip(function.input, node.input, strict=False))
        result: list[NodeProto] = []
        for formal, actual in zip(function.output, node.output, strict=False):
            if actual and formal in names:  # an input is handed through
                result.append(NodeProto(op_type="Identity", input=[names[formal]], output=[actual], name=prefix))
            elif actual:
                names[formal] = actual
        attributes = {attribute.name: attribute for attribute in function.attribute_proto}
        attributes |= {attribute.name: attribute for attribute in node.attribute}
        for body in function.node:
            result.extend(self._resolved(self._bound(body, names, attributes, prefix)))
        self._depth -= 1
        return result

    def _bound(
        self, body: NodeProto, names: dict[str, str], attributes: Mapping[str, AttributeProto], prefix: str
    ) -> NodeProto:
        """A copy of a node of a function; `names`, from the function's names to ours, grows."""
        node = NodeProto(op_type=body.op_type, domain=body.domain, overload=body.overload, name=prefix + body.name)
        node.input.extend(self._name(name, names, prefix) for name in body.input)
        node.output.extend(self._name(name, names, prefix) for name in body.output)
        for attribute in body.attribute:
            value = attributes.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
            if value is not None:  # else it is not given in the call, and has no default
                bound = node.attribute.add()
                bound.CopyFrom(value)
                bound.name = attribute.name
                if value is attribute:  # a graph that the caller passes in has the caller's names
                    self._bind_graphs(bound, names, attributes, prefix)
        return node

    def _bind_graphs(
        self,
        attribute: AttributeProto,
        names: dict[str, str],
        attributes: Mapping[str, AttributeProto],
        prefix: str,
    ) -> None:
        graphs = [attribute.g] if attribute.HasField("g") else []
        for graph in [*graphs, *attribute.graphs]:
            inner = dict(names)
            for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
                tensor.name = inner[tensor.name] = self._fresh(prefix + tensor.name)
            initializers = {tensor.name for tensor in graph.initializer}
            for value in graph.input:
                if inner.get(value.name) not in initializers:
                    inner[value.name] = self._fresh(prefix + value.name)
                value.name = inner[value.name]
            for name in [name for node in graph.node for name in node.output if name]:
                inner[name] = self._fresh(prefix + name)
            del graph.value_info[:]
            del graph.quantization_annotation[:]
            nodes: list[NodeProto] = []
            for node in graph.node:
                self._enter(node)
                nodes.extend(self._resolved(self._bound(node, inner, attributes, prefix)))
                self._depth -= 1
            del graph.node[:]
            graph.node.extend(nodes)
            for value in graph.output:
                value.name = self._name(value.name, inner, prefix)

    def _name(self, name: str, names: dict[str, str], prefix: str) -> str:
        if name and name not in names:
            names[name] = self._fresh(prefix + name)
        return names[name] if name else ""

    def _fresh(self, name: str) -> str:
        unique, k = name, 0
        while unique in self._taken:
            k += 1
            unique = f"{name}_{k}"
        self._taken.add(unique)
        return unique

    def _enter(self, node: NodeProto) -> None:
        if self._depth >= MAX_DEPTH:
            raise FormatError("a function calls itself, or functions nest too deep", where=_describe(node)[:200])
        self._depth += 1

    def _check_opset(self, function: FunctionProto, node: NodeProto) -> None:
        """A node has no version of its own, so the body must mean the same under the versions of the graph."""
        for entry in function.opset_import:
            domain = normal_domain(entry.domain)
            version = self.opset.setdefault(domain, entry.version)
            if version == entry.version:
                continue
            for body in function.node:
                if normal_domain(body.domain) != domain:
                    continue
                if _since(body.op_type, entry.version, domain) != _since(body.op_type, version, domain):
                    raise FormatError(
                        f"function '{function.name}' uses {body.op_type} of operator set version {entry.version}, "
                        f"which differs from the model's version {version}",
                        where=_describe(node),
                        hint="onnx.inliner.inline_local_functions(model, convert_version=True) may convert it",
                    )


def _describe(node: NodeProto) -> str:
    return node_label(node.op_type, node.name, node.output)


def _since(op_type: str, version: int, domain: str) -> int | None:
    try:
        return int(onnx.defs.get_schema(op_type, version, domain).since_version)
    except onnx.defs.SchemaError:
        return None
