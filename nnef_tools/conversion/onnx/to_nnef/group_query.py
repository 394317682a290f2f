"""com.microsoft.GroupQueryAttention: attention with a cache of keys and values, whose lengths the model may compute.

The cache has static extents; what lies where in it is decided by comparing positions with the lengths, so that any
lengths give what onnxruntime does, without shapes that depend on data.
"""

from __future__ import annotations

import math

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import expand_to, joined, padded, slice_axes
from ...engine.rules import Ints, to_nnef
from ...maths import generated
from ..common import reshape, shape, transpose
from .attention import (
    LOWEST,
    MICROSOFT,
    angles,
    from_heads,
    rotated,
    scores_of,
    to_heads,
    weighted,
    with_bias,
)
from .microsoft import rms_normalized


class _Places:
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

    def _scalar(self, count: int | Tensor) -> Tensor:
        return self.b.constant(np.float32(count)) if isinstance(count, int) else count

    def appended(self, past: Tensor | None, new: Tensor) -> Tensor:
        """The cache [batch, heads, extent, size] with the new tokens; zeros behind them."""
        b, own = self.b, 0 if past is None else shape(past)[2]
        extent = max(self.total, own)
        if isinstance(self.before, int):
            parts = [] if past is None else [slice_axes(b, past, [0], [self.before], [2], [1])]
            return _extended(b, joined(b, [*parts, new], 2), extent)
        assert past is not None
        key = b.constant(np.arange(extent, dtype=np.float32).reshape(1, 1, -1, 1))
        placed = new
        if self.length > 1:
            index = b.cast(b.clamp(b.sub(key, self.before), 0.0, float(self.length - 1)), np.int64)
            placed = _taken(b, new, reshape(b, index, [-1, extent]))
        tail = b.select(b.lt(key, self.after), placed, 0.0)
        return b.select(b.lt(key, self.before), _extended(b, past, extent), tail)


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


def _scores(b: Builder, q: Tensor, k: Tensor, scale: float, softcap: float, bias: Tensor | None) -> Tensor:
    """The scores of keys: cap * tanh(Q K^T * scale / cap) + bias; without a cap if it is 0."""
    scores = scores_of(b, q, k, scale)
    if softcap:
        scores = b.mul(b.tanh(b.div(scores, softcap)), softcap)
    return with_bias(b, scores, bias)


def _without(b: Builder, scores: Tensor, hidden: Tensor | None, value: float) -> Tensor:
    return scores if hidden is None else b.select(hidden, value, scores)


def _weights(b: Builder, scores: Tensor, sink: Tensor | None, smooth: bool) -> Tensor:
    """softmax over the last axis; with a sink of each head, or smooth, one more score, else 0, is part of the sum."""
    if sink is None and not smooth:
        return b.softmax(scores, axes=[3])
    batch, heads, length, keys = shape(scores)
    if sink is None:
        sink = b.constant(generated.filled([heads], 0, np.float32))
    column = expand_to(b, reshape(b, sink, [1, heads, 1, 1]), [batch, heads, length, 1])
    weights = b.softmax(b.concat([scores, column], axis=3), axes=[3])
    return slice_axes(b, weights, [0], [keys], [3], [1])


def _refuse_codes(sliding: int, quantized: bool) -> None:
    if quantized:
        names = "k_quant_type, v_quant_type, kv_cache_bit_width, k_scale, v_scale"
        raise Unsupported(f"a cache of codes ({names})")
    if sliding:
        raise Unsupported("sliding_window_cache = 1: which tokens the cache keeps depends on the data")


def _projections(
    b: Builder, query: Tensor, key: Tensor | None, value: Tensor | None, num_heads: int, kv_num_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value by heads, which are separate or all in `query`, one after the other."""
    if key is None or value is None:
        heads = [num_heads, kv_num_heads, kv_num_heads]
        if shape(query)[2] % sum(heads):
            raise Unsupported(f"a width of {shape(query)[2]} does not divide by {sum(heads)} heads")
        query, key, value = b.split(query, axis=2, ratios=heads)
    return to_heads(b, query, num_heads), to_heads(b, key, kv_num_heads), to_heads(b, value, kv_num_heads)


def _normed(b: Builder, x: Tensor, weight: Tensor | None, epsilon: float) -> Tensor:
    """The RMS norm of each head, if it has a weight."""
    return x if weight is None else rms_normalized(b, x, weight, [3], epsilon)[0]


def _check_cache(
    batch: int, length: int, past_key: Tensor | None, past_value: Tensor | None, total: int, padded_new: bool
) -> None:
    """Refuses caches whose extents do not fit the new tokens, as onnxruntime does."""
    if (past_key is None) != (past_value is None):
        raise Unsupported("of past_key and past_value one is missing")
    past = 0 if past_key is None else shape(past_key)[2]
    if total > max(past, past + length) or (total < length and not padded_new):
        raise Unsupported(f"total_sequence_length = {total} with a cache of {past} positions and {length} new ones")
    if padded_new and past_key is None:
        raise Unsupported("input 'query_seqlens' without past_key and past_value")
    if batch > 1 and length > 1 and length != total and not padded_new:
        raise Unsupported(f"{length} new tokens of {batch} sequences behind a cache; onnxruntime takes one sequence")


@to_nnef("onnx", "GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(
    b: Builder,
    query: Tensor,
    key: Tensor | None,
    value: Tensor | None,
    past_key: Tensor | None,
    past_value: Tensor | None,
    lengths: Tensor,
    total_length: Ints,
    cos_cache: Tensor | None = None,
    sin_cache: Tensor | None = None,
    position_ids: Tensor | None = None,
    attention_bias: Tensor | None = None,
    head_sink: Tensor | None = None,
    k_scale: Tensor | None = None,
    v_scale: Tensor | None = None,
    q_norm_weight: Tensor | None = None,
    k_norm_weight: Tensor | None = None,
    query_seqlens: Tensor | None = None,
    *,
    num_heads: int,
    kv_num_heads: int,
    causal: int = 1,
    do_rotary: int = 0,
    kv_cache_bit_width: int = 0,
    k_norm_epsilon: float | None = None,
    k_quant_type: str = "NONE",
    local_window_size: int = -1,
    q_norm_epsilon: float | None = None,
    qk_norm_epsilon: float = 1e-6,
    qk_output: int = 0,
    rotary_interleaved: int = 0,
    scale: float = 0.0,
    sliding_window_cache: int = 0,
    smooth_softmax: int = -1,
    softcap: float = 0.0,
    v_quant_type: str = "NONE",
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """GroupQueryAttention; also all keys and values, and scores before (qk_output 1) or after (2) softmax.

    lengths: of each sequence with its new tokens, minus one. query_seqlens: how many of the new tokens are no padding.
    """
    codes = kv_cache_bit_width or (k_quant_type, v_quant_type, k_scale, v_scale) != ("NONE", "NONE", None, None)
    _refuse_codes(sliding_window_cache, bool(codes))
    q, k, v = _projections(b, query, key, value, num_heads, kv_num_heads)
    (batch, _, length, size), total = shape(q), total_length[0]
    _check_cache(batch, length, past_key, past_value, total, query_seqlens is not None)
    places = _Places(b, lengths, query_seqlens, length, total)
    q = _normed(b, q, q_norm_weight, qk_norm_epsilon if q_norm_epsilon is None else q_norm_epsilon)
    k = _normed(b, k, k_norm_weight, qk_norm_epsilon if k_norm_epsilon is None else k_norm_epsilon)
    if do_rotary:
        cos, sin = angles(b, places.positions(position_ids), length, cos_cache, sin_cache)
        q, k = (rotated(b, x, cos, sin, bool(rotary_interleaved)) for x in (q, k))
    k, v = places.appended(past_key, k), places.appended(past_value, v)
    seen, values = (slice_axes(b, x, [0], [total], [2], [1]) for x in (k, v))
    scores = _scores(b, q, seen, scale or 1.0 / math.sqrt(size), softcap, attention_bias)
    hidden = places.hidden(bool(causal), local_window_size)
    weights = _weights(b, _without(b, scores, hidden, LOWEST), head_sink, smooth_softmax > 0)
    shown = _without(b, scores, hidden, 0.0) if qk_output == 1 else weights
    return from_heads(b, weighted(b, weights, values)), k, v, shown
