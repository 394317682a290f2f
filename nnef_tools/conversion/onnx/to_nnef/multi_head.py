"""com.microsoft.MultiHeadAttention: queries, keys and values in all forms, with what is left of earlier tokens."""

from __future__ import annotations

import math

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import slice_axes
from ...engine.rules import to_nnef
from ..common import reshape, shape, unsqueeze
from .attention import MICROSOFT, from_heads, key_mask, masked_future, scores_of, to_heads, weighted, with_bias
from .cache import Places


def _unpacked(b: Builder, x: Tensor, count: int) -> list[Tensor]:
    """[batch, length, heads, count, size] -> [batch, length, heads * size] for each of the count."""
    batch, length, heads, parts, size = shape(x)
    if parts != count:
        raise Unsupported(f"{parts} packed operands in shape {shape(x)}, {count} are expected")
    return [reshape(b, part, [batch, length, heads * size]) for part in b.unstack(x, axis=3)]


def _operands(b: Builder, query: Tensor, key: Tensor | None, value: Tensor | None) -> list[Tensor]:
    """Query, key and value, which may be packed: all three, or key and value."""
    if key is None:
        if len(shape(query)) != 5:
            raise Unsupported(f"a query of shape {shape(query)} without a key")
        return _unpacked(b, query, 3)
    if value is None:
        if len(shape(key)) != 5:
            raise Unsupported(f"a key of shape {shape(key)} without a value")
        return [query, *_unpacked(b, key, 2)]
    return [query, key, value]


def _shifted(b: Builder, parts: list[Tensor], bias: Tensor | None) -> list[Tensor]:
    """Operands plus their parts of a bias. Keys and values by heads have theirs already."""
    if bias is None:
        return parts
    width = shape(parts[0])[2]
    ends = [0, width, 2 * width, shape(bias)[0]]
    return [
        x if len(shape(x)) == 4 else b.add(x, unsqueeze(b, slice_axes(b, bias, [start], [end], [0], [1]), [0, 1]))
        for x, start, end in zip(parts, ends, ends[1:], strict=False)
    ]


def _attended(
    b: Builder,
    parts: list[Tensor],
    past: tuple[Tensor | None, Tensor | None],
    past_length: Tensor | None,
    mask: Tensor | None,
    bias: Tensor | None,
    *,
    masked: float,
    scale: float,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Attention of queries, keys and values by heads; also all keys and values, and the scores before softmax.

    past_length: how many positions of the past are filled; new keys and values follow these, in its extent.
    """
    q, k, v = parts
    if past[0] is None or past[1] is None:
        places, total = None, shape(k)[2]
    elif past_length is None:
        places, total = None, shape(past[0])[2] + shape(k)[2]
        k, v = (b.concat([old, x], axis=2) for old, x in ((past[0], k), (past[1], v)))
    else:
        length, known = shape(k)[2], b.value(past_length)
        total = shape(past[0])[2] if known is None else int(known.reshape(-1)[0]) + length
        if total > shape(past[0])[2]:
            raise Unsupported(f"{total} positions in a buffer of {shape(past[0])[2]}")
        lengths = b.add(b.cast(past_length, np.float32), float(length - 1))
        places = Places(b, lengths, None, length, total)
        k, v = places.appended(past[0], k, True), places.appended(past[1], v, True)
    seen, values = (slice_axes(b, x, [0], [total], [2], [1]) for x in (k, v))
    scores = scores_of(b, q, seen, scale or 1.0 / math.sqrt(shape(q)[3]))
    scores = key_mask(b, with_bias(b, scores, bias), mask, masked)
    if places is not None:
        scores = places.shown(scores, causal)
    elif causal:
        scores = masked_future(b, scores)
    return from_heads(b, weighted(b, b.softmax(scores, axes=[3]), values)), k, v, scores


@to_nnef("onnx", "MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(
    b: Builder,
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    bias: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    attention_bias: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    past_sequence_length: Tensor | None = None,
    cache_indirection: Tensor | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """MultiHeadAttention; also gives keys and values with those of the past, and the scores before softmax.

    The bias belongs to the projections. Keys and values by heads are those of another sequence, and have it already.
    """
    if (past_key is None) != (past_value is None):
        raise Unsupported("of past_key and past_value one is missing")
    if cache_indirection is not None:
        raise Unsupported("input 'cache_indirection': beams that take over the past of others")
    parts = [to_heads(b, x, num_heads) for x in _shifted(b, _operands(b, query, key, value), bias)]
    return _attended(
        b, parts, (past_key, past_value), past_sequence_length, key_padding_mask, attention_bias,
        masked=mask_filter_value, scale=scale, causal=bool(unidirectional),
    )  # fmt: skip
