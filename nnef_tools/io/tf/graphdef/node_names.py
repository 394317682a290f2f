"""Names of nodes for the operations and tensors of a graph."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ....model.graph import Graph, Operation, Tensor
from .resolve import INPUTS, first_result_only

# What TensorFlow accepts as the name of a node.
_VALID = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


class Names:
    """Valid names, each given once."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._used = set(reserved)
        self._counts: dict[str, int] = {}

    def take(self, wanted: str | None) -> str:
        """The name that is wanted, changed as little as needed."""
        base = valid_name(wanted or "tensor")
        name, count = base, self._counts.get(base, 0)
        while name in self._used:
            count += 1
            name = f"{base}_{count}"
        self._counts[base] = count
        self._used.add(name)
        return name


def valid_name(name: str) -> str:
    """The name of a tensor (with or without `:0`) as that of a node."""
    name = name.removesuffix(":0")
    if _VALID.fullmatch(name):
        return name
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return name if _VALID.fullmatch(name) else f"t{name}"


def needs_identity(graph: Graph) -> list[Tensor]:
    """Outputs of the graph that must be results of a node of their own, for the file to tell that they are outputs.

    In a file, the outputs are the results of nodes none of whose results is used.
    """
    outputs = set(graph.outputs)
    found = []
    for tensor in dict.fromkeys(graph.outputs):
        op = tensor.producer
        if op is None or op.type in (*INPUTS, "Const"):
            found.append(tensor)
            continue
        results = op.outputs[:1] if first_result_only(op.type) else op.outputs
        if any(result.has_consumer or result not in outputs for result in results) or not _named_after_op(tensor, op):
            found.append(tensor)
    return found


def _named_after_op(tensor: Tensor, op: Operation) -> bool:
    """Does the name that the tensor gets from its node fit? The node is named after the first result."""
    index = next(k for k, output in enumerate(op.outputs) if output is tensor)
    if index == 0:
        return True
    first = op.outputs[0].name
    return not tensor.name or (bool(first) and tensor.name == f"{valid_name(first or '')}:{index}")
