"""Which tensors have their channels elsewhere on the other side of a conversion or run, and what they look like there.

Channels are in second place, as in NNEF and ONNX, or last, as in TensorFlow. Up to rank 2 both is the same place, so
such tensors never change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from .memory import Array

Shape: TypeAlias = tuple[int | None, ...]
Selection: TypeAlias = bool | Collection[str]
"""All tensors, none, or those of these names."""

MIN_RANK = 3
"""The lowest rank of a tensor whose channels are not in the same place either way."""


def is_selected(name: str | None, selection: Selection) -> bool:
    """Is a tensor of that name selected?"""
    return selection if isinstance(selection, bool) else name in selection


def is_moved(name: str | None, rank: int, selection: Selection) -> bool:
    """Does a tensor of that name and rank have its channels elsewhere, if these tensors are selected?"""
    return rank >= MIN_RANK and is_selected(name, selection)


class ChannelMove(NamedTuple):
    """Moves the channels of tensors from one axis to another; those below MIN_RANK stay as they are."""

    source: int
    target: int

    @property
    def back(self) -> ChannelMove:
        """The inverse."""
        return ChannelMove(self.target, self.source)

    def array(self, value: Array) -> Array:
        """A view with the channels at the target axis."""
        return value if value.ndim < MIN_RANK else np.moveaxis(value, self.source, self.target)

    def shape(self, shape: Sequence[int | None]) -> Shape:
        """The shape with the channels at the target axis."""
        extents = list(shape)
        if len(extents) >= MIN_RANK:
            extents.insert(self.target % len(extents), extents.pop(self.source))
        return tuple(extents)


TO_SECOND = ChannelMove(-1, 1)
TO_LAST = TO_SECOND.back
