"""Variables that a program assigns, which freezing cannot make constants of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ....errors import FormatError
from .graph_edit import control_names, data_inputs, node_name, with_nodes

_ASSIGNING = ("Assign", "ResourceApply", "ResourceSparseApply", "ResourceScatter", "ResourceStridedSliceAssign",
              "ResourceCountUpTo", "RngReadAndSkip", "RngSkip", "StatefulRandom", "StatefulUniform", "StatefulStandard",
              "StatefulTruncated", "NonDeterministicInts")  # fmt: skip
_PASSING = ("Identity", "IdentityN")
_SKIPPED = {"If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1}
"""How many inputs of an operator with functions are not arguments of these."""

_HINT = (
    "convert the TensorFlow Lite form of the model, which keeps variables from run to run "
    "(converter.experimental_enable_resource_variables = True), or --output-names of what does not depend on it"
)


def assigned_inputs(graph_def: Any) -> set[str]:
    """The placeholders of variables that nodes assign, in the graph itself or in functions that it calls."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    known: dict[str, set[int]] = {}
    return _assigned(graph_def.node, functions, known) & {node.name for node in graph_def.node}


def _assigned(nodes: Iterable[Any], functions: Mapping[str, Any], known: dict[str, set[int]]) -> set[str]:
    """Names of the nodes, or of arguments, that nodes assign."""
    by_name = {node.name: node for node in nodes}
    found = set()
    for node in by_name.values():
        given = data_inputs(node)
        if node.op.startswith(_ASSIGNING) and given:
            found.add(_source(given[0], by_name))
        for name in _called(node):
            positions = _assigned_arguments(name, functions, known)
            arguments = given[_SKIPPED.get(node.op, 0) :]
            found.update(_source(arguments[k], by_name) for k in positions if k < len(arguments))
    return found


def _assigned_arguments(name: str, functions: Mapping[str, Any], known: dict[str, set[int]]) -> set[int]:
    """The positions of the arguments that a function assigns."""
    if name not in known:
        known[name] = set()  # of a function that calls itself
        function = functions.get(name)
        if function is not None:
            found = _assigned(function.node_def, functions, known)
            known[name] = {k for k, argument in enumerate(function.signature.input_arg) if argument.name in found}
    return known[name]


def _called(node: Any) -> list[str]:
    """The functions that a node runs."""
    values = node.attr.values()
    names = [value.func.name for value in values if value.HasField("func")]
    return [node.op, *names, *(func.name for value in values for func in value.list.func)]


def _source(name: str, by_name: Mapping[str, Any]) -> str:
    """The node that a value comes from, behind those that pass it on."""
    seen: set[str] = set()
    while name in by_name and by_name[name].op in _PASSING and name not in seen:
        seen.add(name)
        name = data_inputs(by_name[name])[0]
    return name


def leave_as_inputs(function: Any) -> dict[str, str]:
    """Takes variables that a traced function assigns out of those that freezing makes constants of.

    Returns the names of their placeholders, which become inputs, and of the variables.
    """
    assigned = assigned_inputs(function.graph.as_graph_def())
    handles = {
        id(outer): node_name(inner.name)
        for outer, inner in function.graph.captures
        if node_name(inner.name) in assigned
    }
    variables = list(function.graph.variables)
    function.graph.variables = [v for v in variables if id(v.handle) not in handles]
    return {handles[id(v.handle)]: v.name.partition(":")[0] for v in variables if id(v.handle) in handles}


def without_waiting(graph_def: Any, outputs: Iterable[str], assigned: Mapping[str, str]) -> Any:
    """A copy in which no node waits for assignments. FormatError if outputs depend on a variable that is assigned.

    assigned: placeholders of such variables, and the names of these.
    """
    nodes = {node.name: node for node in graph_def.node}
    reached = _reached(outputs, nodes)
    callers = [nodes[name] for name in reached if _called(nodes[name])[1:]]
    inside = {_source(name, nodes) for node in callers for name in data_inputs(node)}
    for name in assigned.keys() & reached:
        where = " in a loop or on a condition" if name in inside else ""
        raise FormatError(
            f"variable '{assigned[name]}' is assigned{where} by the model, and its outputs depend on that: they would "
            "change from run to run, but a frozen graph has no state",
            hint=_HINT,
        )
    later = _dependents(assigned, reached, graph_def.node)
    result = with_nodes(graph_def, graph_def.node)
    for node in result.node:
        if node.name in reached and not later.isdisjoint(control_names(node)):
            kept = [text for text in node.input if not (text.startswith("^") and node_name(text) in later)]
            del node.input[:]
            node.input.extend(kept)
    return result


def assignments(graph_def: Any) -> list[str]:
    """The nodes that assign a variable."""
    return [node.name for node in graph_def.node if node.op.startswith(_ASSIGNING)]


def _dependents(starts: Iterable[str], reached: set[str], nodes: Iterable[Any]) -> set[str]:
    """The nodes that get values from the starts or wait for such nodes, without those that are reached otherwise."""
    followers: dict[str, list[str]] = {}
    for node in nodes:
        for text in node.input:
            followers.setdefault(node_name(text), []).append(node.name)
    found: set[str] = set()
    pending = list(starts)
    while pending:
        name = pending.pop()
        if name not in found and name not in reached:
            found.add(name)
            pending += followers.get(name, ())
    return found


def _reached(outputs: Iterable[str], nodes: Mapping[str, Any]) -> set[str]:
    """The nodes that outputs get values from."""
    found: set[str] = set()
    pending = list(outputs)
    while pending:
        name = pending.pop()
        if name not in found and name in nodes:
            found.add(name)
            pending += data_inputs(nodes[name])
    return found
