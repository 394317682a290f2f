"""Maxima over windows of tensors that were surrounded by -inf, which is what a border that is ignored means."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model import Tensor
from ..building.nnef import Builder
from ..building.shapes import shape, transpose

Pairs = list[tuple[int, int]]


def max_pool(b: Builder, x: Tensor, **window: Any) -> Tensor:
    """max_pool whose border is ignored. With given padding, -inf that was put around x is added to it."""
    source, around = _inside(b, x)
    padding = [(p + r, q + s) for (p, q), (r, s) in zip(window.get("padding", ()), around, strict=False)]
    steps = window.get("dilation") or [1] * len(padding)
    reach = [(n - 1) * step for n, step in zip(window["size"], steps, strict=False)]
    if source is not x and padding and all(max(pair) <= r for pair, r in zip(padding, reach, strict=False)):
        x, window = source, {**window, "padding": padding}  # each window has an item of the source
    result: Tensor = b.max_pool(x, **window)
    return result


def _inside(b: Builder, x: Tensor) -> tuple[Tensor, Pairs]:
    """What stands between constants of -inf, and how many of these there are before and behind it, axis by axis."""
    op = x.producer
    if op is not None and op.type == "transpose":
        source, pairs = _inside(b, op.inputs[0])
        axes = list(op.attribs["axes"])
        if source is op.inputs[0] or sorted(axes) != list(range(len(pairs))):
            return x, [(0, 0)] * len(shape(x))
        return transpose(b, source, axes), [pairs[k] for k in axes]
    found = [(0, 0)] * len(shape(x))
    while op is not None and op.type == "concat":
        given = [part for part in op.inputs if not _is_lowest(part)]
        if len(given) != 1:
            break
        axis, place = op.attribs["axis"], list(op.inputs).index(given[0])
        extents = [shape(part)[axis] for part in op.inputs]
        found[axis] = (found[axis][0] + sum(extents[:place]), found[axis][1] + sum(extents[place + 1 :]))
        x = given[0]
        op = x.producer
    return x, found


def _is_lowest(x: Tensor) -> bool:
    """Is the tensor a constant of -inf only?"""
    return x.data is not None and isinstance(x.data, np.ndarray) and bool(np.all(np.isneginf(x.data)))
