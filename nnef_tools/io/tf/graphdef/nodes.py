"""Nodes of a GraphDef, with the functions of its library expanded where they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ....dialects.tf.operators import find_operator
from ....dialects.tf.types import dtype_class
from ....errors import FormatError
from ...protobuf import Message
from .attributes import Func, Placeholder, attribute_values

# A few lines can describe any number of nodes, by functions that call others several times.
MAX_NODES = 300_000
_MAX_CALL_DEPTH = 64

# The output `index` of the node `name`.
Ref = tuple[str, int]

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


@dataclass
class Node:
    """inputs: outputs of other nodes. control: names of nodes that must run before."""

    name: str
    op: str
    inputs: list[Ref]
    control: list[str]
    attribs: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.op} '{self.name}'"


@dataclass
class Body:
    """Nodes with inputs and outputs. arguments: references with a name of their own, the inputs.

    inner: names of the nodes that come from functions.
    """

    nodes: list[Node]
    arguments: list[Ref] = field(default_factory=list)
    results: list[Ref] = field(default_factory=list)
    result_names: list[str] = field(default_factory=list)
    argument_attribs: list[dict[str, Any]] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)


def parse_node(message: Message) -> tuple[Node, list[str]]:
    """A node without its data inputs, and the text of these."""
    name = message["name"]
    op = message["op"]
    if not name or not op:
        raise FormatError(f"a node has no {'name' if not name else 'operator'}", where=f"{op} '{name}'")
    try:
        attribs = attribute_values(message["attr"])
    except FormatError as error:
        raise FormatError(error.message, where=f"{op} '{name}', {error.where}", hint=error.hint) from error
    inputs = [text for text in message["input"] if not text.startswith("^")]
    control = [text[1:].partition(":")[0] for text in message["input"] if text.startswith("^")]
    return Node(name, op, [], control, attribs), inputs


class Library:
    """The functions of a GraphDef, which `expand` puts in where they are called."""

    def __init__(self, functions: Iterable[Message]) -> None:
        self._functions: dict[str, Message] = {}
        for function in functions:
            signature = function["signature"]
            if signature is not None:
                self._functions[signature["name"]] = function
        self._parsed: dict[str, list[tuple[Node, list[str]]]] = {}
        self._count = 0

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def function(self, name: str) -> Message | None:
        """The message of a function, None if there is none of that name."""
        return self._functions.get(name)

    def main(self, messages: Iterable[Message]) -> Body:
        """The nodes of the graph itself, with functions put in."""
        parsed = [parse_node(message) for message in messages]
        for node, inputs in parsed:
            node.inputs = [_graph_reference(text, node) for text in inputs]
        nodes = [node for node, _ in parsed]
        _check_names(nodes)
        nodes = self._with_results(nodes)
        own = {node.name for node in nodes}
        body = self._expanded(Body(nodes), ())
        body.inner = {node.name for node in body.nodes} - own
        return body

    def _with_results(self, nodes: list[Node]) -> list[Node]:
        """The nodes, with one for each result of a call that makes outputs, since the call itself goes away."""
        used = {ref[0] for node in nodes for ref in node.inputs}
        result = []
        for node in nodes:
            result.append(node)
            func = self._called(node) if node.name not in used else None
            if func is not None and func.name in self._functions:
                count = len(self._functions[func.name]["signature"]["output_arg"])
                names = [f"{node.name}:{k}" if k else node.name for k in range(count)]
                result += [Node(name, "Identity", [(node.name, k)], [], {}) for k, name in enumerate(names)]
        return result

    def instance(self, func: Func, where: str, prefix: str = "", path: tuple[str, ...] = ()) -> Body:
        """The nodes of a function, with functions that it calls put in. prefix: of all names."""
        if func.name not in self._functions:
            raise FormatError(f"the function '{func.name}' is not in the library", where=where)
        if func.name in path:
            raise FormatError(f"the function '{func.name}' calls itself", where=where)
        if len(path) >= _MAX_CALL_DEPTH:
            raise FormatError(f"functions call each other more than {_MAX_CALL_DEPTH} deep", where=where)
        return self._expanded(self._specialized(func, prefix), (*path, func.name))

    def _specialized(self, func: Func, prefix: str) -> Body:
        """A copy of a function's nodes, with its attributes put in and names resolved."""
        message = self._functions[func.name]
        if func.name not in self._parsed:
            self._parsed[func.name] = [parse_node(node) for node in message["node_def"]]
            _check_names([node for node, _ in self._parsed[func.name]])
        parsed = self._parsed[func.name]
        self._count += len(parsed)
        if self._count > MAX_NODES:
            raise FormatError(f"the graph has more than {MAX_NODES} nodes when its functions are put in")
        signature = message["signature"]
        attribs = {**_defaults(signature), **func.attrs}
        nodes = {node.name: node for node, _ in parsed}
        copies = {
            name: Node(
                prefix + name,
                node.op,
                [],
                [prefix + other for other in node.control],
                {key: _substituted(value, attribs) for key, value in node.attribs.items()},
            )
            for name, node in nodes.items()
        }
        names = [argument["name"] for argument in signature["input_arg"]]
        arguments = {name: (f"{prefix}{name}", -1 - k) for k, name in enumerate(names)}

        def resolve(text: str, where: str) -> Ref:
            if text in arguments:
                return arguments[text]
            name, _, rest = text.partition(":")
            if name not in copies:
                raise FormatError(f"'{text}' is not defined in function '{func.name}'", where=where)
            return copies[name].name, self._output_index(copies[name], rest)

        for node, inputs in parsed:
            copies[node.name].inputs = [resolve(text, str(node)) for text in inputs]
        returned = message["ret"]
        result_names = [result["name"] for result in signature["output_arg"]]
        for name in result_names:
            if name not in returned:
                raise FormatError(f"function '{func.name}' does not return its result '{name}'")
        results = [resolve(returned[name], f"function '{func.name}'") for name in result_names]
        argument_attribs = [
            attribute_values(entry["attr"]) if (entry := message["arg_attr"].get(k)) is not None else {}
            for k in range(len(names))
        ]
        for given, argument in zip(argument_attribs, signature["input_arg"], strict=True):
            given["dtype"] = _argument_type(argument, attribs)
        return Body(list(copies.values()), list(arguments.values()), results, result_names, argument_attribs)

    def _output_index(self, node: Node, text: str) -> int:
        """The position of an output that is given as `group:index`, `group` or `index`."""
        group, _, number = text.partition(":")
        if not number and (not group or group.isdigit()):
            return _index(group, node) if group else 0
        index = _index(number, node) if number else 0
        if node.op in self._functions:
            names = [result["name"] for result in self._functions[node.op]["signature"]["output_arg"]]
            if group not in names:
                raise FormatError(f"function '{node.op}' has no result '{group}'", where=str(node))
            return names.index(group) + index
        operator = find_operator(node.op)
        if operator is None:
            return index
        return operator.output_index(group, index, operator.with_defaults(node.attribs))

    def _expanded(self, body: Body, path: tuple[str, ...]) -> Body:
        """The body with the functions put in that its nodes call."""
        nodes: list[Node] = []
        replaced: dict[Ref, Ref] = {}
        for node in body.nodes:
            func = self._called(node)
            if func is None:
                nodes.append(node)
                continue
            inner = self.instance(func, str(node), f"{node.name}/", path)
            if len(inner.arguments) != len(node.inputs):
                raise FormatError(
                    f"function '{func.name}' has {len(inner.arguments)} arguments, but is given {len(node.inputs)}",
                    where=str(node),
                )
            replaced.update(zip(inner.arguments, node.inputs, strict=True))
            replaced.update({(node.name, k): ref for k, ref in enumerate(inner.results)})
            nodes += inner.nodes
        if replaced:
            for node in nodes:
                node.inputs = [final_reference(ref, replaced) for ref in node.inputs]
            body = Body(
                nodes,
                body.arguments,
                [final_reference(ref, replaced) for ref in body.results],
                body.result_names,
                body.argument_attribs,
            )
            _check_names(nodes)
        return body

    def _called(self, node: Node) -> Func | None:
        """The function that a node does nothing but call."""
        if node.op in self._functions:
            return Func(node.op, node.attribs)
        if node.op in CALLS:
            func = node.attribs.get("f")
            if not isinstance(func, Func):
                raise FormatError("the function to call is not given", where=str(node))
            return func
        return None


def final_reference(ref: Ref, replaced: dict[Ref, Ref]) -> Ref:
    """What a reference stands for after all replacements, whose chains are shortened. FormatError for a cycle."""
    way = []
    while ref in replaced:
        way.append(ref)
        ref = replaced[ref]
        if len(way) > len(replaced):
            raise FormatError("the nodes depend on each other in a cycle", where=f"'{ref[0]}'")
    for passed in way:
        replaced[passed] = ref
    return ref


def _check_names(nodes: Iterable[Node]) -> None:
    seen: set[str] = set()
    for node in nodes:
        if node.name in seen:
            raise FormatError("two nodes have the same name", where=str(node))
        seen.add(node.name)


def _graph_reference(text: str, node: Node) -> Ref:
    name, _, index = text.partition(":")
    return name, _index(index, node) if index else 0


def _index(text: str, node: Node) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise FormatError(f"'{text[:40]}' is not the number of an output", where=str(node))
    return int(text)


def _defaults(signature: Message) -> dict[str, Any]:
    return attribute_values(
        {attr["name"]: attr["default_value"] for attr in signature["attr"] if attr["default_value"] is not None}
    )


def _substituted(value: Any, attribs: Mapping[str, Any]) -> Any:
    if isinstance(value, Placeholder):
        return attribs.get(value.name)
    if isinstance(value, Func):
        return Func(value.name, {key: _substituted(item, attribs) for key, item in value.attrs.items()})
    if isinstance(value, list):
        return [_substituted(item, attribs) for item in value]
    return value


def _argument_type(argument: Message, attribs: Mapping[str, Any]) -> Any:
    dtype = attribs.get(argument["type_attr"]) if argument["type_attr"] else dtype_class(argument["type"])
    return dtype if isinstance(dtype, type) else None
