"""Evaluation of what does not depend on inputs, by TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import FileError, FormatError
from .branches import CONTROL_FLOW, SWITCHES, dependent_on_control_flow, with_taken_branches
from .composites import INPUT_MARK, MARK
from .graph_edit import data_inputs, node_name, reachable, sinks, with_nodes
from .tensorflow import graph_def_class, require_tensorflow

_INPUTS = ("Placeholder", "PlaceholderV2", "_Arg")

# Types of tensors that a Const node cannot have, or that stand for something outside of the graph.
_NOT_CONSTANT = ("resource", "variant")


def set_input_shapes(graph_def: Any, shapes: Mapping[str, Sequence[int | None]]) -> Any:
    """A copy with other shapes of placeholders, given by name, and all shapes (`_output_shapes`) inferred anew.

    FileError (an OSError) for a name that is not a placeholder, and for a shape of another rank.
    """
    tf = require_tensorflow("to change the shapes of inputs")
    result = type(graph_def)()
    result.CopyFrom(graph_def)
    placeholders = {node.name: node for node in result.node if node.op in _INPUTS}
    for name, shape in shapes.items():
        node = placeholders.get(name.removesuffix(":0"))
        if node is None:
            raise FileError(f"the graph has no placeholder '{name}'", hint=f"placeholders: {', '.join(placeholders)}")
        old = tf.TensorShape(node.attr["shape"].shape)
        if old.rank is not None and old.rank != len(shape):
            raise FileError(f"placeholder '{name}' has rank {old.rank}, it cannot get the shape {tuple(shape)}")
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(list(shape)).as_proto())
    return with_inferred_shapes(result)


def with_inferred_shapes(graph_def: Any) -> Any:
    """A copy with the attribute `_output_shapes` of all nodes; PyFunc nodes keep theirs, as they tell nothing else."""
    kept = {node.name: node.attr["_output_shapes"] for node in graph_def.node if node.op == "PyFunc"}
    bare = with_nodes(graph_def, graph_def.node)
    for node in bare.node:
        if node.op != "PyFunc":
            node.attr.pop("_output_shapes", None)
    result = export_graph_def(import_graph_def(bare))
    for node in result.node:
        if node.name in kept:
            node.attr["_output_shapes"].CopyFrom(kept[node.name])
    return result


def import_graph_def(graph_def: Any) -> Any:
    """A new tf.Graph of a GraphDef."""
    tf = require_tensorflow("to import graphs")
    graph = tf.Graph()
    with graph.as_default():
        try:
            tf.import_graph_def(graph_def, name="")
        except (ValueError, tf.errors.OpError) as error:  # the latter for operators that it does not know
            raise FormatError(f"TensorFlow does not accept the graph: {str(error).splitlines()[0]}") from error
    return graph


def export_graph_def(graph: Any) -> Any:
    """The GraphDef of a tf.Graph, with shapes."""
    return graph.as_graph_def(add_shapes=True)


def fold_constant_tensors(graph_def: Any) -> Any:
    """A copy in which constants stand for what does not depend on placeholders but is used by what does.

    Shape operations whose input has a fully known shape count as constant. Branches that are never taken are left out.
    Nodes with effects or random values, and composites, are left, and so is what TensorFlow fails to evaluate. What
    nothing needs any more is left out.
    """
    ends = sinks(graph_def)
    graph_def = _without_idle_waiting(graph_def)
    failed: set[str] = set()
    while (folded_def := _fold_once(graph_def, failed)) is not None:
        graph_def = _reachable(folded_def, ends)
    return _reachable(graph_def, ends)


def _reachable(graph_def: Any, ends: Sequence[str]) -> Any:
    """What leads to these nodes, as far as there are such."""
    names = {node.name for node in graph_def.node}
    return reachable(graph_def, [name for name in ends if name in names])


def _without_idle_waiting(graph_def: Any) -> Any:
    """Constants, and Identity of constants, need not wait for other nodes.

    Those that mark a composite do, and those in branches and loops, since waiting tells that they are there.
    """
    result = type(graph_def)()
    result.CopyFrom(graph_def)
    constants = {node.name for node in result.node if node.op == "Const"}
    inside = dependent_on_control_flow(graph_def)
    for node in result.node:
        is_copy = node.op == "Identity" and data_inputs(node)[0] in constants
        is_marked = any(key.startswith(MARK) for key in node.attr)
        if (node.op == "Const" or is_copy) and not is_marked and node.name not in inside:
            _set_inputs(node, [text for text in node.input if not text.startswith("^")])
    return result


def _set_inputs(node: Any, inputs: Sequence[str]) -> None:
    del node.input[:]
    node.input.extend(inputs)


def _fold_once(graph_def: Any, failed: set[str]) -> Any:
    """A copy with constants, None if there is nothing to evaluate. failed: gets what cannot be evaluated."""
    tf = require_tensorflow("to fold constants")
    graph = import_graph_def(graph_def)
    nodes = {node.name: node for node in graph_def.node}
    static = {op.name: _static_shape(op) for op in graph.get_operations() if op.type == "Shape"}
    constant = _constant_names(graph, nodes, {name for name, shape in static.items() if shape is not None})
    inside = dependent_on_control_flow(graph_def)
    choices = {
        node.name: node.input[1]
        for node in graph_def.node
        if node.op in SWITCHES and node_name(node.input[1]) in constant - inside
    }
    wanted = [text for text in _frontier(graph_def, nodes, constant) if text not in failed]
    _ask_values(graph, constant)
    known = {name: shape for name, shape in static.items() if shape is not None}
    values = _evaluated(tf, graph_def, constant, known, [*wanted, *choices.values()])
    failed.update(text for text in wanted if text not in values)
    folds = {text: values[text] for text in wanted if text in values}
    taken = {name: _taken(nodes[name], values[text]) for name, text in choices.items() if text in values}
    if not folds and not taken:
        return None
    waiting = {name: _waits(name, nodes, constant & inside) for name in map(node_name, folds)}
    folded_def = _with_constants(tf, graph, graph_def, folds, waiting) if folds else graph_def
    return with_taken_branches(folded_def, taken) if taken else folded_def


def _taken(switch: Any, value: Any) -> int:
    """The position of the result of a switch that there is."""
    if switch.op != "_SwitchN":
        return int(bool(value))
    last = switch.attr["num_outs"].i - 1
    return int(value) if 0 <= int(value) <= last else int(last)


def _waits(name: str, nodes: Mapping[str, Any], inside: set[str]) -> list[str]:
    """The nodes that a constant in a branch or loop, or one that it is made of, waits for."""
    found: dict[str, None] = {}
    pending, seen = [name], {name}
    while pending:
        node = nodes[pending.pop()]
        if node.name in inside:
            found.update(dict.fromkeys(text for text in node.input if text.startswith("^")))
            needed = [source for source in data_inputs(node) if source not in seen]
            seen.update(needed)
            pending += needed
    return list(found)


def _evaluated(
    tf: Any, graph_def: Any, constant: set[str], known: Mapping[str, Any], wanted: Sequence[str]
) -> dict[str, Any]:
    """The values of results that are constant, those apart that TensorFlow fails to compute. known: shapes."""
    texts = list(dict.fromkeys(wanted))
    values = {text: known[node_name(text)] for text in texts if node_name(text) in known}
    rest = [text for text in texts if text not in values]
    if not rest:
        return values
    alone = reachable(_without_waiting(tf, graph_def, constant, known), map(node_name, rest))
    tensors = {text: text if ":" in text else f"{text}:0" for text in rest}
    with tf.compat.v1.Session(graph=import_graph_def(alone)) as session:
        try:
            return values | dict(zip(rest, session.run(list(tensors.values())), strict=True))
        except tf.errors.OpError:  # find the one to leave
            for text, tensor in tensors.items():
                with suppress(tf.errors.OpError):
                    values[text] = session.run(tensor)
    return values


def _without_waiting(tf: Any, graph_def: Any, constant: set[str], known: Mapping[str, Any]) -> Any:
    """The constant nodes alone, which wait for nothing: whether they are needed is another question."""
    result = []
    for node in graph_def.node:
        if node.name in known:
            result.append(_const_node(tf, graph_def, node.name, known[node.name]))
        elif node.name in constant:
            copy = type(node)()
            copy.CopyFrom(node)
            _set_inputs(copy, [text for text in node.input if not text.startswith("^")])
            result.append(copy)
    return with_nodes(graph_def, result)


def _ask_values(graph: Any, constant: set[str]) -> None:
    """Asks the budget for the values that are evaluated, as far as TensorFlow knows their shapes. LimitError."""
    for op in graph.get_operations():
        if op.name in constant and op.type != "Const":
            for output in op.outputs:
                if output.shape.is_fully_defined():
                    given = sum(t.shape.num_elements() or 0 for t in op.inputs if t.shape.is_fully_defined())
                    ask_constant(output.shape.num_elements(), f"the value of {op.type} '{op.name}'", given=given)


def _static_shape(op: Any) -> Any:
    shape = op.inputs[0].shape
    if not shape.is_fully_defined():
        return None
    return np.array(shape.as_list(), op.outputs[0].dtype.as_numpy_dtype)


def _constant_names(graph: Any, nodes: Mapping[str, Any], static: set[str]) -> set[str]:
    """Names of the nodes whose results are always the same."""
    constant: set[str] = set()
    for op in graph.get_operations():  # inputs come first, except in loops
        if op.name in static or (
            op.type not in (*_INPUTS, *CONTROL_FLOW, "PyFunc", "NoOp", "Assert")
            and op.outputs
            and not (op.op_def is not None and op.op_def.is_stateful)
            and all(output.dtype.base_dtype.name not in _NOT_CONSTANT for output in op.outputs)
            and all(name in constant for name in data_inputs(nodes[op.name]))
        ):
            constant.add(op.name)
    return constant


def _frontier(graph_def: Any, nodes: Mapping[str, Any], constant: set[str]) -> list[str]:
    """The results to evaluate: constant, but used by a node that is not."""
    found: dict[str, None] = {}
    for node in graph_def.node:
        if node.name not in constant:
            for text in node.input:
                name = node_name(text)
                if not text.startswith("^") and name in constant and nodes[name].op != "Const":
                    found[text.removesuffix(":0")] = None
    return list(found)


def _with_constants(
    tf: Any, graph: Any, graph_def: Any, values: Mapping[str, Any], waiting: Mapping[str, Sequence[str]]
) -> Any:
    """Nodes replaced by constants; further results of a node get nodes of their own. waiting: what nodes wait for."""
    replaced: dict[str, str] = {}
    constants: dict[str, Any] = {}
    names = {node.name for node in graph_def.node}
    for text, value in values.items():
        name, _, index = text.partition(":")
        target = name
        if index or len(graph.get_operation_by_name(name).outputs) > 1:
            target = f"{name}_{index or 0}"
            while target in names:
                target += "_"
            names.add(target)
            replaced[text] = target
        constants[target] = _const_node(tf, graph_def, target, value)
        constants[target].input.extend(waiting[name])
    result = []
    for node in graph_def.node:
        new = constants.pop(node.name, None)
        if new is not None:
            if INPUT_MARK in node.attr:
                new.attr[INPUT_MARK].CopyFrom(node.attr[INPUT_MARK])
            result.append(new)
            continue
        copy = type(node)()
        copy.CopyFrom(node)
        _set_inputs(copy, [replaced.get(text.removesuffix(":0"), text) for text in node.input])
        result.append(copy)
    return with_nodes(graph_def, [*constants.values(), *result])


def _const_node(tf: Any, graph_def: Any, name: str, value: Any) -> Any:
    array = np.asarray(value)
    node = graph_def.node[0].__class__(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    node.attr["_output_shapes"].list.shape.add().CopyFrom(tf.TensorShape(array.shape).as_proto())
    return node


def folded(data: bytes, shapes: Mapping[str, Sequence[int | None]] | None = None) -> bytes:
    """A serialized GraphDef with constants folded, for these shapes of inputs. Raises FormatError."""
    from google.protobuf.message import DecodeError

    graph_def = graph_def_class()()
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        raise FormatError(f"TensorFlow cannot parse the graph: {error}") from error
    if shapes:
        graph_def = set_input_shapes(graph_def, shapes)
    result: bytes = fold_constant_tensors(graph_def).SerializeToString()
    return result
