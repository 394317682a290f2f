"""A page of HTML to look around in a model: one file with data, script and style in it, which loads nothing.

Text of the model is data: it is JSON in which `<`, `>` and `&` are escapes, and the script only puts it where text
goes. The policy of the page allows no other script than its own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import Any

from ...model import Graph, Operation, Tensor
from ...model.facts import tensor_facts
from .boxes import SMALL
from .families import COLORS
from .layers import Cell, Key, Plan, plans_of
from .layout import group_title, sizes_of
from .nodes import source_name
from .scene import Group, Item, Node, Scene, groups_of
from .statistics import weight_statistics
from .text import clean, dtype_label, shape_label, text_width, value_label

SCRIPTS = ("layout.js", "viewer.js", "page.js")

NAME = 400
"""Letters of a name at most."""


@dataclass(frozen=True)
class Cost:
    """What an operation costs: MACs, and bytes of its results; None for what is not known."""

    macs: int | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Side:
    """One model of a page. views: scenes of it, by name. marks: operation -> 'added', 'removed' or 'changed'. partners:
    operation -> number of the one on the other side. notes: operation -> what has changed."""

    title: str
    graph: Graph
    views: Mapping[str, Scene]
    costs: Mapping[Operation, Cost] = field(default_factory=dict)
    marks: Mapping[Operation, str] = field(default_factory=dict)
    partners: Mapping[Operation, int] = field(default_factory=dict)
    notes: Mapping[Operation, Sequence[str]] = field(default_factory=dict)


def page(title: str, sides: Sequence[Side], list_of_changes: Sequence[Mapping[str, Any]] = ()) -> str:
    """The text of a page: of one model, or of two beside each other. list_of_changes: entries of the list for both."""
    data = {"title": clean(title, 200), "colors": COLORS, "sides": list(map(_side, sides)), "changes": list_of_changes}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    folder = resources.files(__package__) / "viewer"
    style = (folder / "viewer.css").read_text("utf-8")
    script = "".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    parts = {"TITLE": escape(clean(title, 200)), "STYLE": style, "SCRIPT": script, "DATA": text}
    parts |= {"STYLE_HASH": _hash(style), "SCRIPT_HASH": _hash(script)}
    template = (folder / "page.html").read_text("utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda match: parts[match[1]], template)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _side(side: Side) -> dict[str, Any]:
    operations = list(side.graph.operations)
    numbers = {operation: k for k, operation in enumerate(operations)}
    tensors = {tensor: k for k, tensor in enumerate(side.graph.tensors)}
    facts = tensor_facts(side.graph.metadata)
    return {
        "title": clean(side.title, 200),
        "operations": [_operation(op, side, tensors, source_name(op, facts)) for op in operations],
        "tensors": [_tensor(tensor, facts) for tensor in side.graph.tensors],
        "inputs": [tensors[tensor] for tensor in side.graph.inputs],
        "outputs": [tensors[tensor] for tensor in side.graph.outputs],
        "views": {name: _view(scene, numbers, tensors) for name, scene in side.views.items()},
    }


def _operation(operation: Operation, side: Side, tensors: Mapping[Tensor, int], name: str) -> dict[str, Any]:
    cost = side.costs.get(operation, Cost())
    facts = {
        "type": clean(operation.type or "?", NAME),
        "name": clean(name, NAME),
        "attributes": [[clean(key), value_label(value)] for key, value in operation.attribs.items()],
        "inputs": [tensors[t] for t in operation.inputs if t in tensors],
        "outputs": [tensors[t] for t in operation.outputs if t in tensors],
        "macs": cost.macs,
        "memory": cost.memory,
        "mark": side.marks.get(operation),
        "partner": side.partners.get(operation),
        "notes": [clean(note, NAME) for note in side.notes.get(operation, ())],
    }
    return {key: value for key, value in facts.items() if value not in (None, [])}


def _tensor(tensor: Tensor, facts: Mapping[str, Any]) -> dict[str, Any]:
    source = facts.get(tensor.name or "", {}).get("source")
    result = {
        "name": clean(tensor.name or "", NAME),
        "shape": shape_label(tensor.shape),
        "dtype": dtype_label(tensor.dtype),
        "source": None if source is None or source == tensor.name else clean(source, NAME),
        "quantization": [[clean(k), value_label(v)] for k, v in (tensor.quant or {}).items() if v is not None],
        "statistics": weight_statistics(tensor.data),
        "value": value_label(tensor.data, 60) if isinstance(tensor.data, (bool, int, float)) else None,
    }
    return {key: value for key, value in result.items() if value not in (None, [])}


def _view(scene: Scene, operations: Mapping[Operation, int], tensors: Mapping[Tensor, int]) -> dict[str, Any]:
    """Boxes with their sizes, groups, and for each group, and the whole, the order in which its parts are laid out."""
    nodes = {node: k for k, node in enumerate(scene.nodes)}
    groups = {group: k for k, group in enumerate(groups_of(scene.children))}
    sizes = sizes_of(scene)
    keys: dict[Key, int] = {}
    top, inner = plans_of(scene)

    def key_number(key: Key) -> int:
        return keys.setdefault(key, len(keys))

    def level(made: Plan) -> dict[str, Any]:
        return _level(made, nodes, groups, key_number)

    twins = {node: shown for group in groups for node, shown in group.hidden.items()}
    hidden = {op: nodes[shown] for node, shown in twins.items() for op in node.operations if shown in nodes}
    result = {
        "nodes": [_node(node, sizes[node], operations, tensors) for node in nodes],
        "groups": [
            {
                "title": group_title(group) or "block",
                "wide": text_width(group_title(group) or "block", SMALL, bold=True),
                "count": group.count,
                **level(inner[group]),
            }
            for group in groups
        ],
        "top": level(top),
        "links": [[nodes[link.source], nodes[link.target], tensors.get(link.tensor, -1)] for link in scene.links],
        "hidden": {operations[op]: node for op, node in hidden.items()},
    }
    result["keys"] = [[nodes[node], tensors.get(tensor, -1)] for node, tensor in keys]
    return result


def _node(node: Node, size: Any, operations: Mapping[Operation, int], tensors: Mapping[Tensor, int]) -> dict[str, Any]:
    return {
        "kind": node.kind,
        "rows": [[row.title, row.family, list(row.small), _number(row.operation, operations)] for row in node.rows],
        "size": [size.width, size.height, *size.box],
        "tensors": [tensors.get(tensor, -1) for tensor in node.outputs],
        "ports": [[tensors.get(t, -1), round(x, 1), size.labels[t]] for t, x in size.ports.items()],
    }


def _number(operation: Operation | None, operations: Mapping[Operation, int]) -> int:
    """The number of an operation, -1 for none."""
    return -1 if operation is None else operations[operation]


def _level(made: Plan, nodes: Mapping[Node, int], groups: Mapping[Group, int], key_number: Any) -> dict[str, Any]:
    """The layers as lists of cells: a box by its number, a group by -1 less its number, None where a tensor passes."""
    cells = {cell: k for k, cell in enumerate(cell for layer in made.layers for cell in layer)}

    def number(item: Item | None) -> int | None:
        return None if item is None else nodes[item] if isinstance(item, Node) else -1 - groups[item]

    def ends(found: Mapping[Key, Cell]) -> list[list[int]]:
        return [[key_number(key), cells[cell]] for key, cell in found.items()]

    wires = [[cells[w.source], cells[w.target], key_number(w.key)] for cell in cells for w in cell.below]
    return {
        "layers": [[number(cell.item) for cell in layer] for layer in made.layers],
        "wires": wires,
        "entries": ends(made.entries),
        "exits": ends(made.exits),
    }
