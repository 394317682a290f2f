"""com.microsoft.GroupQueryAttention: attention with a cache of keys and values, whose lengths the model may compute."""

from __future__ import annotations

import math

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import expand_to, slice_axes
from ...engine.rules import Ints, to_nnef
from ...maths import generated
from ..common import reshape, shape
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
from .cache import Places
from .microsoft import rms_normalized


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
    places = Places(b, lengths, query_seqlens, length, total)
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
