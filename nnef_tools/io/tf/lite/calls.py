"""The options of operators that are subgraphs: their names in a Graph and in the file, and what calls pass on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....errors import FormatError
from ....model.graph import Graph, Tensor

_SUFFIX = "_subgraph_index"
_BRANCHES = {"branch_subgraph_indices": "branch_subgraphs"}


def subgraph_option(key: str) -> str:
    """The name of an option in a Graph: `cond_subgraph` for `cond_subgraph_index`."""
    return _BRANCHES.get(key) or (key.removesuffix("_index") if key.endswith(_SUFFIX) else key)


def option_field(key: str, value: Any) -> str:
    """The name of an option in the file."""
    if isinstance(value, Graph) and key.endswith("_subgraph"):
        return f"{key}_index"
    return next((field for field, name in _BRANCHES.items() if name == key), key)


def graphs_of(value: Any) -> Sequence[Graph]:
    """The Graphs that the value of an option has."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    return [item for item in items if isinstance(item, Graph)]


def check_call(type: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attribs: Mapping[str, Any]) -> None:
    """Raises FormatError if an operator passes more or fewer tensors to its subgraphs than they have."""
    given, results = len(inputs), len(outputs)
    expected: Mapping[str, tuple[int, int]] = {
        "CALL": {"subgraph": (given, results)},
        "CALL_ONCE": {"init_subgraph": (0, 0)},
        "IF": dict.fromkeys(("then_subgraph", "else_subgraph"), (given - 1, results)),
        "WHILE": {"cond_subgraph": (given, 1), "body_subgraph": (given, results)},
        "STABLEHLO_COMPOSITE": {"decomposition_subgraph": (given, results)},
    }.get(type, {})
    for key, numbers in expected.items():
        graph = attribs.get(key)
        if not isinstance(graph, Graph):
            raise FormatError(f"{type} has no {key}")
        if (len(graph.inputs), len(graph.outputs)) != numbers:
            raise FormatError(f"{type} passes {numbers[0]} and gets {numbers[1]} tensors, unlike its {key}")
    if type == "WHILE" and given != results:
        raise FormatError(f"WHILE has {given} inputs and {results} outputs")
