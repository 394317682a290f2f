"""NNEF to any dialect: reductions that keep the type."""

from __future__ import annotations

from collections.abc import Callable

from ...model import Tensor
from ..building.target import Reduction, TargetBuilder
from ..engine.rules import EVERY, from_nnef


def _reduction(kind: Reduction) -> Callable[..., Tensor]:
    def convert(b: TargetBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        return b.reduce(kind, input, axes)

    return convert


KINDS: tuple[Reduction, ...] = ("all", "any", "max", "mean", "min", "product")
for _kind in KINDS:
    from_nnef(EVERY, f"{_kind}_reduce")(_reduction(_kind))


@from_nnef(EVERY, "sum_reduce")
def sum_reduce(b: TargetBuilder, input: Tensor, *, axes: list[int], normalize: bool) -> Tensor:
    """sum_reduce; a mean if it is normalized."""
    return b.reduce("mean" if normalize else "sum", input, axes)
