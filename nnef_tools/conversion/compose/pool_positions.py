"""Positions inside of pooling windows as positions in the flattened input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model import Tensor
from ...ops.window import PlacedWindow
from ..building.nnef import Builder
from ..building.shapes import shape
from ..maths.generated import filled, grid, positions


def flat_positions(b: Builder, index: Tensor, steps: Sequence[int], window: PlacedWindow) -> Tensor:
    """Row-major positions in windows over the spatial dimensions as positions in the input.

    index: `[batch, channels, spatial...]`, integer. steps: what a step along each of its dimensions counts in the flat
    input. The offset of each position of a window comes from a table, the origin of each window from a constant.
    """
    table = np.zeros([1] * len(window.size), np.int64)
    for offsets, d, step in zip(grid(window.size), window.dilation, steps[2:], strict=True):
        table = table + offsets * (d * step)
    counts = shape(index)
    origin = filled(counts, 0, np.int64)
    starts = [positions(count) for count in counts[:2]] + [window.starts(k) for k in range(len(window.size))]
    for k, (own, step) in enumerate(zip(starts, steps, strict=True)):
        origin += (own * step).reshape([-1 if j == k else 1 for j in range(len(counts))])
    return b.add(b.gather(b.constant(table.reshape(-1)), index, axis=0), b.constant(origin))
