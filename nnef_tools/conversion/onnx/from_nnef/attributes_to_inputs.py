"""Updates operators that plugins make in the form of operator sets before 13 and 18."""

from __future__ import annotations

from collections.abc import Mapping

from ....model import Operation
from ..building import OnnxBuilder

_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

MOVED: Mapping[str, tuple[str, int]] = {
    "ReduceSum": ("axes", 13),
    "Split": ("split", 13),
    "Squeeze": ("axes", 13),
    "Unsqueeze": ("axes", 13),
    **{f"Reduce{name}": ("axes", 18) for name in _REDUCTIONS},
}
"""Operator -> the attribute that became its second input, and the first operator set in which it is one."""


def attributes_to_inputs(b: OnnxBuilder, op: Operation) -> None:
    """Turns an attribute into an input if the operator set of the builder requires it."""
    name, since = MOVED.get(str(op.type), ("", 0))
    if op.domain or name not in op.attribs or b.version < since or len(op.inputs) != 1:
        return
    op.inputs = (*op.inputs, b.ints(op.attribs.pop(name)))
