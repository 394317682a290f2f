"""Nodes that are there for an effect (a check, a print, a change of state) and not for a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ....dialects.tf.operators import find_operator
from ...protobuf import Message
from .attributes import Func
from .nodes import Library, Node, parse_node
from .resolve import FORWARDING

# Operators without results that do nothing themselves.
_IDLE = ("NoOp", "ControlTrigger", "_Retval", "TensorArrayClose", "TensorArrayCloseV2", "TensorArrayCloseV3",
         "StackClose", "StackCloseV2")  # fmt: skip

# Operators that forward a value and also have an effect, which is left out.
_FORWARDING_EFFECTS = ("Print", "CheckNumerics", "CheckNumericsV2")

# Operators whose results are records for a log.
_SUMMARIES = ("ScalarSummary", "HistogramSummary", "ImageSummary", "ImageSummaryV2", "AudioSummary", "AudioSummaryV2",
              "TensorSummary", "TensorSummaryV2", "MergeSummary")  # fmt: skip

_CHOICES = ("If", "StatelessIf", "Case", "StatelessCase")
_LOWERED = ("Switch", "RefSwitch", "Merge", "RefMerge")
_CONTROL = (*_CHOICES, "While", "StatelessWhile", *_LOWERED)

# Prefixes of operators that have or read a state, or draw random numbers.
_STATEFUL = ("Print", "PyFunc", "EagerPyFunc", "Assign", "Scatter", "Apply", "SparseApply", "ReadVariable", "Random",
             "Stateful", "Truncated", "Multinomial", "Rng", "LookupTable", "Iterator", "Queue", "Timestamp",
             "VarIsInitialized", "IsVariableInitialized", "EnsureShape")  # fmt: skip

_SHOWN = 3


def effect_names(nodes: Sequence[Node], library: Library) -> tuple[set[str], set[str]]:
    """Names of nodes whose unused results are not outputs: those for certain, and those unless there is nothing else.

    Certain are summaries, and choices with effects in their branches whose results say nothing: constants, or the
    condition itself. Others are those that nodes wait for, if they pass on a value, are control flow or have a state.
    """
    by_name = {node.name: node for node in nodes}
    used = {ref[0] for node in nodes for ref in node.inputs}
    awaited = {name for node in nodes for name in node.control}
    certain, likely = set(), set()
    for node in nodes:
        if node.op in _SUMMARIES:
            certain.add(node.name)
        elif node.name in used:
            continue
        elif _makes_nothing(source := _source(node, by_name), by_name, library):
            certain.update((node.name, source.name))
        elif node.name in awaited and (node.op in (*FORWARDING, *_CONTROL) or node.op.startswith(_STATEFUL)):
            likely.add(node.name)
    return certain, likely


def effects_of(nodes: Iterable[Node], unused: Iterable[str]) -> list[Node]:
    """The nodes with an effect: by their operator, or because they are named in `unused`.

    Control flow of TensorFlow 1 is not among them, since the nodes in its branches are.
    """
    names = set(unused)
    silent = (*FORWARDING, *_LOWERED, "ReadVariableOp")
    return [node for node in nodes if _has_effect(node.op) or (node.name in names and node.op not in silent)]


def described(nodes: Iterable[Node]) -> str | None:
    """A warning that names the nodes, a few of each operator. None if there are none."""
    groups: dict[str, dict[str, None]] = {}
    for node in nodes:
        groups.setdefault(node.op, {})[node.name] = None
    if not groups:
        return None
    parts = []
    for op, names in groups.items():
        shown = ", ".join(f"'{name}'" for name in list(names)[:_SHOWN])
        rest = len(names) - _SHOWN
        parts.append(f"{op} {shown}" + (f" and {rest} more" if rest > 0 else ""))
    return f"checks, prints and other effects are left out: {'; '.join(parts)}"


def _has_effect(op: str) -> bool:
    operator = find_operator(op)
    without_results = operator is not None and not operator.outputs and op not in _IDLE
    return without_results or op in (*_FORWARDING_EFFECTS, *_SUMMARIES, "EagerPyFunc")


def _source(node: Node, by_name: Mapping[str, Node]) -> Node:
    """The node whose result a node forwards, if it does that; else the node itself."""
    for _ in range(len(by_name)):
        if node.op not in FORWARDING or not node.inputs or node.inputs[0][0] not in by_name:
            break
        node = by_name[node.inputs[0][0]]
    return node


def _makes_nothing(node: Node, by_name: Mapping[str, Node], library: Library) -> bool:
    """Is it a conditional that is there for its effect only?"""
    return _is_guard(node, by_name) or (node.op in _CHOICES and _chooses_effect(node, library))


def _is_guard(node: Node, by_name: Mapping[str, Node]) -> bool:
    """Does a Merge of TensorFlow 1 only join branches without a value? These forward the predicate when done."""
    if node.op != "Merge" or not node.inputs:
        return False
    ends = [by_name.get(ref[0]) for ref in node.inputs]
    waits = False
    for end in ends:
        if end is None or (source := _source(end, by_name)).op != "Switch" or len(set(source.inputs)) != 1:
            return False
        waits = waits or bool(end.control)
    return waits


def _chooses_effect(node: Node, library: Library) -> bool:
    branches = [value for value in node.attribs.values() if isinstance(value, Func)]
    lists = [value for value in node.attribs.values() if isinstance(value, list)]
    branches += [item for value in lists for item in value if isinstance(item, Func)]
    functions = [library.function(branch.name) for branch in branches]
    if not functions or not any(_is_effectful(function, library, set()) for function in functions):
        return False
    chosen = [k for k, ref in enumerate(node.inputs[1:]) if ref == node.inputs[0]]
    return all(function is not None and _says_nothing(function, chosen) for function in functions)


def _is_effectful(function: Message | None, library: Library, seen: set[str]) -> bool:
    """Does the function, or one that it calls, have nodes with effects?"""
    if function is None or function["signature"]["name"] in seen:
        return False
    seen.add(function["signature"]["name"])
    for message in function["node_def"]:
        node, _ = parse_node(message)
        values = [item for value in node.attribs.values() for item in (value if isinstance(value, list) else [value])]
        called = [value.name for value in values if isinstance(value, Func)]
        if node.op in library:
            called.append(node.op)
        if _has_effect(node.op) or any(_is_effectful(library.function(name), library, seen) for name in called):
            return True
    return False


def _says_nothing(function: Message, chosen: Sequence[int]) -> bool:
    """Are the results constants, or those arguments that are the condition itself?"""
    arguments = [argument["name"] for argument in function["signature"]["input_arg"]]
    conditions = {arguments[k] for k in chosen if k < len(arguments)}
    nodes = {message["name"]: message for message in function["node_def"]}
    for text in function["ret"].values():
        seen: set[str] = set()
        while (node := nodes.get(text.partition(":")[0])) is not None and node["op"] == "Identity":
            inputs = [item for item in node["input"] if not item.startswith("^")]
            if node["name"] in seen or not inputs:
                return False
            seen.add(node["name"])
            text = inputs[0]
        if text not in conditions and (node is None or node["op"] != "Const"):
            return False
    return True
