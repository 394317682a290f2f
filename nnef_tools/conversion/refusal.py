"""Operators that cannot be converted, with the reasons, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import Unsupported
from ..model import Graph


class NotImplementedRule(Unsupported):
    """There is no rule at all, as opposed to a rule that refuses."""


class DependsOnRefused(Unsupported):
    """Nothing can be said of the operator before another one is converted."""


@dataclass(frozen=True)
class Refusal:
    """An operator that cannot be converted. type: with its domain if it is not the default one."""

    type: str
    name: str
    reason: str
    implemented: bool
    attributes: Mapping[str, Any]
    input_shapes: tuple[Any, ...]
    output_shapes: tuple[Any, ...]

    def lines(self) -> list[str]:
        """The refusal as text, the first line says what, the indented ones show the operator."""
        named = f"'{self.type}'" + (f" (node '{self.name}')" if self.name else "")
        if not self.implemented:
            head = f"Conversion of operator {named} is not implemented: {self.reason}"
        else:
            head = f"Conversion of operator {named} is not possible: {self.reason}"
        attributes = {k: _brief(v) for k, v in self.attributes.items() if not k.startswith("_")}
        return [
            head,
            f"    attributes: {attributes}",
            f"    input-shapes: {list(self.input_shapes)}",
            f"    output-shapes: {list(self.output_shapes)}",
        ]


def _brief(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.size > 16:
        return f"array of shape {list(value.shape)}"
    if isinstance(value, Graph):
        return f"graph of {len(value.operations)} operators"
    return value
