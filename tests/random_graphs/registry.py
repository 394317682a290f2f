"""The table of samplers: how random calls of an operation are drawn, arguments and attributes.

What they draw need not be valid in every case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .generator import Argument, Drawing

Call = tuple[Sequence[Argument], dict[str, Any]]
Sampler = Callable[[Drawing], Call]

SAMPLERS: dict[str, Sampler] = {}
WITHOUT_SAMPLER = {
    "external": "drawn as operand",
    "variable": "drawn as operand",
    "update": "changes state between runs, which one run cannot show",
}


def sampler(*names: str) -> Callable[[Callable[..., Call]], Callable[..., Call]]:
    """Registers a sampler; one for several operations is told the name."""

    def register(function: Callable[..., Call]) -> Callable[..., Call]:
        for name in names:
            SAMPLERS[name] = function if len(names) == 1 else lambda d, name=name: function(d, name)
        return function

    return register
