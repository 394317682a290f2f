"""Control flow that is decided when the model is converted."""

from __future__ import annotations

from ...model import Graph, Tensor
from ..builder import Builder
from ..rules import Bool, to_nnef


@to_nnef("onnx", "If")
def if_else(b: Builder, condition: Bool, *, then_branch: Graph, else_branch: Graph) -> list[Tensor | None]:
    """If with a constant condition: the chosen branch takes its place."""
    assert b.inline is not None
    return b.inline(then_branch if condition else else_branch, [])
