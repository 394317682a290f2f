"""Control flow of TensorFlow 1 (Switch, Merge, Enter, ...) as loops with bodies and selections."""

from __future__ import annotations

from collections.abc import Sequence

from .nodes import Node


def raise_control_flow(nodes: Sequence[Node]) -> list[Node]:
    """x"""
    return list(nodes)
