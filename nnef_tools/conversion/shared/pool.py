"""NNEF to any dialect: means over windows, and common parts of reverse windows."""

from __future__ import annotations

from math import prod

import numpy as np

from ...model import Tensor
from ...ops.borders import ZERO_BORDERS
from ...ops.pool import distinct_elements
from ...ops.window import PlacedWindow, Window
from ..building.shapes import rank
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef


@from_nnef(EVERY, "avg_pool")
def avg_pool(b: TargetBuilder, input: Tensor, *, window: Window) -> Tensor:
    """avg_pool: a normalized box."""
    return b.nnef.box(input, **window.attributes(), normalize=True)


LARGE_WINDOW = 1 << 16
"""The number of elements up to which targets get a window as it is."""


def summed(window: PlacedWindow) -> PlacedWindow:
    """The window, or for a large one that without elements that add nothing to a sum."""
    reduced = prod(window.size) > LARGE_WINDOW and window.border in ZERO_BORDERS
    return window.trimmed()[0] if reduced else window


def maximized(window: PlacedWindow) -> PlacedWindow:
    """The window, or for a large one that without elements of which others have the same value."""
    return distinct_elements(window)[0] if prod(window.size) > LARGE_WINDOW else window


def continued(b: TargetBuilder, x: Tensor, window: PlacedWindow) -> tuple[Tensor, PlacedWindow]:
    """The input of a reverse operation, extended as far as the window reaches beyond it, and the window for that."""
    overhang, window = window.continued()
    return b.pad(x, [(0, 0)] * (rank(x) - len(overhang)) + overhang, window.border), window


def normalized(b: TargetBuilder, y: Tensor, window: PlacedWindow, border: str) -> Tensor:
    """The sums of a reverse window divided by its volume, or with border 'ignore' by the number of contributions."""
    ignore = border == "ignore"
    sizes = enumerate(window.size)
    return b.divided(y, [window.contributions(k) if ignore else np.asarray([n]) for k, n in sizes])
