"""The boxes of a picture and the links between them, from a graph of any dialect.

Weights, and operations that only depend on them, are small print of what uses them, unless they are asked for. An
activation is a further line in the box of the operation that it follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.facts import tensor_facts
from .families import family
from .scene import Link, Node, Row, Scene
from .text import clean, dtype_label, shape_label, value_label

MAX_ROWS = 4
"""Operations that are drawn as one box, at most."""

_FOLLOWERS = ("activation", "normalization", "arithmetic")

_STEPS = {"stride": ("strides", "stride"), "dilation": ("dilations", "dilation"), "groups": ("group", "groups")}


@dataclass(frozen=True)
class Look:
    """What to show. variables: weights as boxes of their own. verbose: names, attributes and item types in boxes.
    expand: every occurrence of repeated blocks."""

    variables: bool = False
    verbose: bool = False
    expand: bool = False


def flat_scene(graph: Graph, look: Look) -> Scene:
    """The boxes and links of a graph, without groups."""
    constant = _constants(graph)
    ends, starts = set(graph.outputs), set(graph.inputs)
    hidden = {op for op in graph.operations if _is_hidden(op, constant, starts, look)}
    facts = tensor_facts(graph.metadata)
    nodes: list[Node] = []
    maker: dict[Tensor, Node] = {}
    inputs = [tensor for tensor in graph.inputs if look.variables or tensor not in constant]
    for tensor in inputs:
        nodes.append(Node("input", [_end_row(tensor)], [tensor]))
        maker[tensor] = nodes[-1]
    for tensor in graph.tensors if look.variables else ():
        if tensor in constant and tensor not in maker and (not tensor.has_producer or tensor.producers[0] in hidden):
            lines = (shape_label(tensor.shape), clean(tensor.name or ""))
            nodes.append(Node("weight", [Row(_weight_title(tensor), "weight", lines)], [tensor]))
            maker[tensor] = nodes[-1]
    for operation in graph.operations:
        if operation in hidden:
            continue
        path = scope_path(operation, facts)
        weights = tuple(_weight_label(tensor) for tensor in operation.inputs if tensor in constant)
        small = _small(operation, weights, look)
        row = Row(_title(operation), family(operation.type or ""), small, operation, weights)
        node = _followed(operation, path, maker, constant, ends, look)
        if node is not None:
            node.path = _common(node.path, path)
            node.rows.append(row)
            node.outputs = list(operation.outputs)
        else:
            node = Node("operation", [row], list(operation.outputs), path)
            nodes.append(node)
        maker.update(dict.fromkeys(operation.outputs, node))
    links = _links(nodes, maker)
    for tensor in graph.outputs:
        nodes.append(Node("output", [_end_row(tensor)], []))
        if tensor in maker:
            links.append(Link(maker[tensor], nodes[-1], tensor))
    left_out = {
        "constant_operations": sum(bool(op.inputs) for op in hidden),
        "body_operations": sum(map(_count_in_bodies, graph.operations)),
    }
    return Scene(clean(graph.name or "model", 80), list(nodes), links, {k: n for k, n in left_out.items() if n})


def _count_in_bodies(operation: Operation) -> int:
    """The number of operations in graphs among the attributes, as of conditions and loops, and within these."""
    lists = (value if isinstance(value, (list, tuple)) else [value] for value in operation.attribs.values())
    bodies = [item for values in lists for item in values if isinstance(item, Graph)]
    return sum(1 + _count_in_bodies(inner) for body in bodies for inner in body.operations)


def _links(nodes: Sequence[Node], maker: dict[Tensor, Node]) -> list[Link]:
    found: dict[tuple[Node, Node, Tensor], None] = {}
    for node in nodes:
        for operation in node.operations:
            for tensor in (*operation.inputs, *operation.captures):
                source = maker.get(tensor)
                if source is not None and source is not node:
                    found[source, node, tensor] = None
    return [Link(*key) for key in found]


def _constants(graph: Graph) -> set[Tensor]:
    """The tensors that do not depend on inputs: data, and what operations compute of it."""
    known = {tensor for tensor in graph.tensors if tensor.is_constant}
    for operation in graph.operations:
        if operation.outputs and not operation.captures:
            given = bool(operation.inputs) or (operation.type or "").lower() in ("constant", "variable", "const")
            if given and all(tensor in known for tensor in operation.inputs):
                known.update(operation.outputs)
    return known


def _is_hidden(operation: Operation, constant: set[Tensor], inputs: set[Tensor], look: Look) -> bool:
    if not operation.inputs and operation.outputs and inputs.issuperset(operation.outputs):
        return True  # it only stands for an input
    if not operation.outputs or not all(tensor in constant for tensor in operation.outputs):
        return False
    is_data = not operation.inputs
    return is_data or not look.variables


def _followed(
    operation: Operation,
    path: tuple[str, ...],
    maker: dict[Tensor, Node],
    constant: set[Tensor],
    ends: set[Tensor],
    look: Look,
) -> Node | None:
    """The box that an operation is a further line of, None if it has a box of its own."""
    inputs = [tensor for tensor in operation.inputs if tensor not in constant or look.variables]
    if len(inputs) != 1 or len(operation.outputs) != 1 or operation.captures:
        return None
    (tensor,) = inputs
    node = maker.get(tensor)
    joins = (
        node is not None
        and node.kind == "operation"
        and len(node.rows) < MAX_ROWS
        and node.outputs == [tensor]
        and len(tensor.consumers) == 1
        and tensor not in ends
        and family(operation.type or "") in _FOLLOWERS
        and tensor.shape == operation.outputs[0].shape
        and len(_common(node.path, path)) >= len(node.path) - 1
    )
    return node if joins else None


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    return a[:same]


def source_name(operation: Operation, facts: Any) -> str:
    """The name of an operation in the model that it is from, or that of its first output."""
    if operation.name:
        return operation.name
    for tensor in operation.outputs:
        if tensor.name:
            return str(facts.get(tensor.name, {}).get("source", tensor.name))
    return ""


def scope_path(operation: Operation, facts: Any) -> tuple[str, ...]:
    """The scopes of an operation by its name: `encoder/layer.0/attention/MatMul` is in three."""
    name = source_name(operation, facts).partition(";")[0]
    return tuple(part for part in name.split("/")[:-1] if part)[:16]


def _title(operation: Operation) -> str:
    return clean(operation.type or "?", 32)


def _end_row(tensor: Tensor) -> Row:
    return Row(clean(tensor.name or "?"), "end", (f"{shape_label(tensor.shape)} {dtype_label(tensor.dtype)}",))


def _weight_title(tensor: Tensor) -> str:
    value = _short_value(tensor)
    return "weight" if value is None else value


def _small(operation: Operation, weights: Sequence[str], look: Look) -> tuple[str, ...]:
    lines = [] if look.variables or not weights else [" · ".join(weights[:4]) + (" …" if len(weights) > 4 else "")]
    if look.verbose:
        lines += [clean(operation.name or operation.outputs[0].name or "")] if operation.outputs else []
        lines += [f"{clean(key, 24)} = {value_label(value, 32)}" for key, value in list(operation.attribs.items())[:12]]
        quantized = [tensor for tensor in operation.outputs if tensor.quant]
        lines += [
            value_label(", ".join(f"{k} {value_label(v, 16)}" for k, v in t.quant.items()), 44)
            for t in quantized
            if t.quant
        ]
        lines += [dtype_label(tensor.dtype) for tensor in operation.outputs[:1]]
    else:
        steps = [_step(operation, word, keys) for word, keys in _STEPS.items()]
        lines += [", ".join(filter(None, steps))] if any(steps) else []
    return tuple(clean(line, 48) for line in lines if line)


def _weight_label(tensor: Tensor) -> str:
    value = _short_value(tensor)
    return shape_label(tensor.shape) if value is None else value


def _short_value(tensor: Tensor) -> str | None:
    """The value of a constant if it is short enough to be printed."""
    data = tensor.data
    if isinstance(data, (bool, int, float)):
        return value_label(data, 24)
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf" or data.size > 6:
        return None
    if data.size > 1 and data.dtype.kind == "f":
        return None
    return value_label(data.item() if data.size == 1 else data.tolist(), 24)


def _step(operation: Operation, word: str, keys: tuple[str, ...]) -> str | None:
    """`stride 2`, if the operation has that attribute with something else than ones."""
    for key in keys:
        value = operation.attribs.get(key)
        numbers = [value] if isinstance(value, int) else value
        if not isinstance(numbers, (list, tuple)) or not all(type(n) is int for n in numbers):
            continue
        others = sorted({n for n in numbers if n > 1})
        if others:
            return f"{word} {'×'.join(map(str, others if len(others) == 1 else [n for n in numbers if n > 0]))}"
    return None
