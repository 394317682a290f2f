"""Operators in the form that operator sets before 13 and 18 have, which plugins may still give them."""

from __future__ import annotations

from collections.abc import Mapping

from ....model import Operation
from ...building.target import PlainBuilder
from .. import building

_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

MOVED: Mapping[str, tuple[str, int]] = {
    "ReduceSum": ("axes", 13),
    "Split": ("split", 13),
    "Squeeze": ("axes", 13),
    "Unsqueeze": ("axes", 13),
    **{f"Reduce{name}": ("axes", 18) for name in _REDUCTIONS},
}
"""Operator -> the attribute that is its second input instead, and the operator set since which it is."""


def attributes_to_inputs(b: PlainBuilder, op: Operation) -> None:
    """Turns an attribute that became an input into one, as the operator set of the builder wants it."""
    name, since = MOVED.get(str(op.type), ("", 0))
    if op.domain or name not in op.attribs or b.version < since or len(op.inputs) != 1:
        return
    op.inputs = (*op.inputs, building.ints(b, op.attribs.pop(name)))
