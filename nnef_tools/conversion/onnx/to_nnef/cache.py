"""Caches of keys and values with static extents, filled up to lengths that a model may compute.

What lies where is decided by comparing positions with the lengths, so that no shape depends on data.
"""

from __future__ import annotations

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import joined, padded, slice_axes
from ...maths import generated
from ..common import reshape, shape, transpose
from .attention import LOWEST


class Places:
    """Where the new tokens of each sequence lie among `total` positions.

    before: how many tokens the cache holds before them. after: how many with them, but for padding behind them.
    Both are one number, or scalars [batch, 1, 1, 1].
    """

    def __init__(self, b: Builder, lengths: Tensor, counts: Tensor | None, length: int, total: int) -> None:
        self.b, self.length, self.total = b, length, total
        self.is_first = length == total and counts is None
        self.before: int | Tensor = 0
        self.after: int | Tensor
        known = b.value(lengths)
        if known is not None and counts is None and np.all(known == known.reshape(-1)[0]):
            self.after = int(known.reshape(-1)[0]) + 1
            if not 1 <= self.after <= total or (not self.is_first and self.after < length):
                raise Unsupported(f"length {self.after - 1} (minus one) with {length} new tokens in {total} positions")
            self.before = 0 if self.is_first else self.after - length
            return
        self.after = b.add(reshape(b, b.cast(lengths, np.float32), [-1, 1, 1, 1]), 1.0)
        if counts is not None:
            self.before = b.sub(self.after, reshape(b, b.cast(counts, np.float32), [-1, 1, 1, 1]))
        elif not self.is_first:
            self.before = b.sub(self.after, float(length))

    def positions(self, given: Tensor | None) -> int | Tensor:
        """The positions of the new tokens, [batch, length]; or that of the first one. given: what the model says.

        Of first tokens the kernels take only the first position that is given, for all sequences.
        """
        if given is not None:
            if not self.is_first:
                return given
            return reshape(self.b, slice_axes(self.b, given, [0, 0], [1, 1], [0, 1], [1, 1]), [1])
        if isinstance(self.before, int):
            return self.before
        first = reshape(self.b, self.before, [-1, 1])
        steps = self.b.constant(generated.positions(self.length, np.float32)[None])
        return self.b.cast(self.b.add(first, steps), np.int64)

    def hidden(self, causal: bool, window: int) -> Tensor | None:
        """Which keys a query does not see, [batch or 1, 1, length, total]; None if it sees all.

        window: how many keys it sees, or -1. Padding sees what the last token sees.
        """
        b = self.b
        ask_constant(self.length * self.total, "its mask")
        key = b.constant(np.arange(self.total, dtype=np.float32).reshape(1, 1, 1, -1))
        if not causal:
            hidden = b.ge(key, self.after)
        else:
            last: Tensor = b.sub(self._scalar(self.after), 1.0)
            if self.length > 1:
                steps = b.constant(np.arange(self.length, dtype=np.float32).reshape(1, 1, -1, 1))
                last = b.min(b.add(self._scalar(self.before), steps), last)
            hidden = b.gt(key, last)
            if window > 0:
                hidden = b.or_(hidden, b.le(key, b.sub(last, float(window))))
        return None if hidden.data is not None and not np.any(hidden.data) else hidden

    def shown(self, scores: Tensor, causal: bool, window: int = -1) -> Tensor:
        """Scores with the lowest one for what a query does not see."""
        hidden = self.hidden(causal, window)
        return scores if hidden is None else self.b.select(hidden, LOWEST, scores)

    def _scalar(self, count: int | Tensor) -> Tensor:
        return self.b.constant(np.float32(count)) if isinstance(count, int) else count

    def appended(self, past: Tensor | None, new: Tensor, kept: bool = False) -> Tensor:
        """The cache [batch, heads, extent, size] with the new tokens; behind them zeros, or what is `kept`."""
        b, own = self.b, 0 if past is None else shape(past)[2]
        extent = max(self.total, own)
        if isinstance(self.before, int):
            older = [] if past is None else [slice_axes(b, past, [0], [self.before], [2], [1])]
            end = self.before + self.length
            rest = [slice_axes(b, past, [end], [own], [2], [1])] if past is not None and kept else []
            return _extended(b, joined(b, [*older, new, *rest], 2), extent)
        assert past is not None
        key = b.constant(np.arange(extent, dtype=np.float32).reshape(1, 1, -1, 1))
        placed = new
        if self.length > 1:
            index = b.cast(b.clamp(b.sub(key, self.before), 0.0, float(self.length - 1)), np.int64)
            placed = _taken(b, new, reshape(b, index, [-1, extent]))
        past = _extended(b, past, extent)
        tail = b.select(b.lt(key, self.after), placed, past if kept else 0.0)
        return b.select(b.lt(key, self.before), past, tail)


def _extended(b: Builder, x: Tensor, extent: int) -> Tensor:
    """[batch, heads, length, size] with zeros up to that many positions."""
    extra = extent - shape(x)[2]
    return padded(b, x, [(0, 0), (0, 0), (0, extra), (0, 0)], "constant") if extra else x


def _taken(b: Builder, x: Tensor, index: Tensor) -> Tensor:
    """The positions of [batch, heads, length, size] that an index [batch or 1, count] tells."""
    batch, heads, length, size = shape(x)
    count = shape(index)[1]
    if batch == 1:
        return b.gather(x, reshape(b, index, [count]), axis=2)
    first = generated.positions(batch)[:, None] * length
    index = b.cast(b.add(b.cast(index, np.float32), b.constant(first, np.float32)), np.int64)
    rows = reshape(b, transpose(b, x, [0, 2, 1, 3]), [batch * length, heads, size])
    taken = b.gather(rows, reshape(b, index, [batch * count]), axis=0)
    return transpose(b, reshape(b, taken, [batch, count, heads, size]), [0, 2, 1, 3])
