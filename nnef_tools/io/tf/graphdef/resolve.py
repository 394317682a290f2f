"""What a graph of nodes computes: its outputs, the nodes that they need, and the nodes that only pass values on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ....dialects.tf.types import Resource
from .nodes import Node, Ref, final_reference

# Operators that forward their first input (IdentityN: each input). What they check is left out.
FORWARDING = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "CheckNumerics",
    "CheckNumericsV2",
    "PlaceholderWithDefault",
    "GuaranteeConst",
    "Snapshot",
)
INPUTS = ("Placeholder", "PlaceholderV2")

# Operators of which only the first result matters; training uses the others.
_FIRST_RESULT_ONLY = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx")

# Prefix of unused inputs that Grappler leaves where it has expanded functions.
_UNUSED_INPUT = "unused_control_flow_input"


@dataclass
class Resolution:
    """nodes: those that the outputs need, and the inputs. outputs: of the graph. names: of outputs that are not named
    after their own node. passed: results of nodes that were left out -> what they stand for."""

    nodes: list[Node]
    outputs: list[Ref]
    names: dict[Ref, str] = field(default_factory=dict)
    passed: dict[Ref, Ref] = field(default_factory=dict)


def resolve(nodes: Sequence[Node], outputs: Sequence[Ref], *, of_function: bool = False) -> Resolution:
    """Leaves out what the outputs do not need; the inputs of a graph stay, and the names of its outputs.

    Inputs of nodes that are left are changed to what forwarding nodes stand for. A forwarding node that makes an output
    gives its name to the value that it passes on; it stays if that is an input, a constant or an output itself.
    """
    by_name = {node.name: node for node in nodes}
    passed = _passed(nodes, by_name)
    names: dict[Ref, str] = {}
    if not of_function:
        _keep_output_names(outputs, passed, names, by_name)
    for ref in passed:
        final_reference(ref, passed)
    final_outputs = [passed.get(ref, ref) for ref in outputs]
    for node in nodes:
        node.inputs = [passed.get(ref, ref) for ref in node.inputs]
    needed = _needed(final_outputs, by_name)
    kept = [node for node in nodes if node.name in needed or (not of_function and _is_input(node))]
    return Resolution(kept, final_outputs, names, passed)


def find_outputs(
    nodes: Sequence[Node],
    result_count: Callable[[Node], int],
    excluded: Collection[str] = (),
    hidden: Collection[str] = (),
) -> list[Ref]:
    """The results of nodes none of whose results is used, in order.

    Not of the nodes named in `excluded`; nor of inputs and constants, and of those named in `hidden`, unless there is
    nothing else.
    """
    used = {ref[0] for node in nodes for ref in node.inputs}
    unused = [node for node in nodes if node.name not in used and node.name not in excluded and not _is_left_over(node)]
    computed = [node for node in unused if node.op not in (*INPUTS, "Const")]
    visible = [node for node in computed if node.name not in hidden]
    for candidates in (visible, computed, unused):
        outputs = [(node.name, k) for node in candidates for k in range(_output_count(node, result_count(node)))]
        if outputs:
            return outputs
    return []


def _output_count(node: Node, result_count: int) -> int:
    return min(result_count, 1) if first_result_only(node.op) else result_count


def first_result_only(op_type: str | None) -> bool:
    """Is the first result the only one that inference uses?"""
    return op_type in _FIRST_RESULT_ONLY


def _is_input(node: Node) -> bool:
    """Is it an input that stays even if nothing needs it? Variables that are only assigned are none."""
    return node.op in INPUTS and not _is_left_over(node) and node.attribs.get("dtype") is not Resource


def _is_left_over(node: Node) -> bool:
    return node.op in INPUTS and node.name.startswith(_UNUSED_INPUT)


def _passed(nodes: Iterable[Node], by_name: Mapping[str, Node]) -> dict[Ref, Ref]:
    """Result of a node that forwards an input -> that input."""
    passed: dict[Ref, Ref] = {}
    for node in nodes:
        if node.op in FORWARDING and node.inputs:
            inputs = node.inputs if node.op == "IdentityN" else node.inputs[:1]
            passed.update({(node.name, k): ref for k, ref in enumerate(inputs)})
    for node in nodes:
        if node.op == "ReadVariableOp" and node.inputs and _is_value(final_reference(node.inputs[0], passed), by_name):
            passed[node.name, 0] = node.inputs[0]
    return passed


def _is_value(ref: Ref, by_name: Mapping[str, Node]) -> bool:
    """Is it the value of a variable and not its handle? Freezing turns variables into constants."""
    node = by_name.get(ref[0])
    return node is not None and node.op == "Const"


def _keep_output_names(
    outputs: Sequence[Ref], passed: dict[Ref, Ref], names: dict[Ref, str], by_name: Mapping[str, Node]
) -> None:
    """Decides for each forwarding node that makes outputs: its names go to its sources, or it stays."""
    taken = {ref for ref in outputs if ref not in passed}
    groups: dict[str, list[Ref]] = {}
    for ref in outputs:
        if ref in passed:
            groups.setdefault(ref[0], []).append(ref)
    for refs in groups.values():
        # The steps of the group itself are taken out first: shortening the chains would lose them.
        steps = {ref: passed.pop(ref) for ref in refs}
        sources = [final_reference(step, passed) for step in steps.values()]
        if (
            len(set(sources)) == len(sources)
            and taken.isdisjoint(sources)
            and all(source[0] in by_name and by_name[source[0]].op not in (*INPUTS, "Const") for source in sources)
        ):
            passed.update(steps)
            taken.update(sources)
            names.update({source: tensor_name(ref) for source, ref in zip(sources, refs, strict=True)})


def _needed(outputs: Iterable[Ref], by_name: Mapping[str, Node]) -> set[str]:
    found: set[str] = set()
    pending = [ref[0] for ref in outputs]
    while pending:
        name = pending.pop()
        if name not in found and name in by_name:
            found.add(name)
            pending += [ref[0] for ref in by_name[name].inputs]
    return found


def tensor_name(ref: Ref) -> str:
    """`node` for the first result of a node, else `node:index`."""
    return ref[0] if ref[1] <= 0 else f"{ref[0]}:{ref[1]}"
