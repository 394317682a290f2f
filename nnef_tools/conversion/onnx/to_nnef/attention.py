"""Attention: FlexAttention and the operators of the com.microsoft domain.

The attention operators of the default domain are converted by their function bodies. Tensors of heads are
[batch, heads, length, head size]; a head of keys and values serves a group of consecutive query heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Graph, Tensor
from ....model.dtypes import is_integer
from ...building.nnef import Builder
from ...compose.slicing import slice_axes
from ...engine.rules import to_nnef
from ...maths import generated
from ..common import dtype_of, reshape, right_aligned, shape, transpose, unsqueeze
from .linear import matmul

Change = Callable[[Tensor], Tensor]
MICROSOFT = "com.microsoft"
LOWEST = float(np.finfo(np.float32).min)
"""The score of hidden keys, below that of other masks."""


def scores_of(b: Builder, q: Tensor, k: Tensor, scale: float) -> Tensor:
    """Q K^T * scale: [batch, query heads, query length, key length]."""
    (batch, heads, length, size), key_heads = shape(q), shape(k)[1]
    if heads % key_heads:
        raise Unsupported(f"{heads} query heads do not divide by {key_heads} key heads")
    grouped = reshape(b, q, [batch, key_heads, heads // key_heads * length, size])
    scores = b.mul(b.matmul(grouped, k, transposeB=True), scale)
    return reshape(b, scores, [batch, heads, length, shape(k)[2]])


def weighted(b: Builder, weights: Tensor, v: Tensor) -> Tensor:
    """The sums of values with these weights: [batch, query heads, query length, value head size]."""
    (batch, heads, length, keys), value_heads = shape(weights), shape(v)[1]
    grouped = reshape(b, weights, [batch, value_heads, heads // value_heads * length, keys])
    return reshape(b, b.matmul(grouped, v), [batch, heads, length, shape(v)[3]])


def attend(b: Builder, q: Tensor, k: Tensor, v: Tensor, scale: float, change: Change | None = None) -> Tensor:
    """softmax(change(Q K^T * scale)) V."""
    scores = scores_of(b, q, k, scale)
    return weighted(b, b.softmax(scores if change is None else change(scores), axes=[3]), v)


def to_heads(b: Builder, x: Tensor, heads: int) -> Tensor:
    """[batch, length, heads * size] -> [batch, heads, length, size]; tensors of rank 4 are so already."""
    if len(shape(x)) == 4:
        return x
    batch, length, width = shape(x)
    if width % heads:
        raise Unsupported(f"a width of {width} does not divide by {heads} heads")
    return transpose(b, reshape(b, x, [batch, length, heads, width // heads]), [0, 2, 1, 3])


def from_heads(b: Builder, x: Tensor) -> Tensor:
    """[batch, heads, length, size] -> [batch, length, heads * size]."""
    batch, heads, length, size = shape(x)
    return reshape(b, transpose(b, x, [0, 2, 1, 3]), [batch, length, heads * size])


def masked_future(b: Builder, scores: Tensor) -> Tensor:
    """Gives keys after the query the lowest score, below that of other masks; the last query is at the last key."""
    length, keys = shape(scores)[2:]
    ask_constant(length * keys, "its mask")
    hidden = np.arange(keys)[None, :] > np.arange(length)[:, None] + keys - length
    if not hidden.any():
        return scores
    return b.select(b.constant(hidden[None, None]), LOWEST, scores)


@to_nnef("onnx", "FlexAttention", domain="ai.onnx.preview")
def flex_attention(
    b: Builder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    softmax_precision: int | None = None,
    score_mod: Graph | None = None,
    prob_mod: Graph | None = None,
) -> Tensor:
    """FlexAttention: attention whose scores and probabilities go through graphs of the model."""
    if softmax_precision is not None:
        dtype_of(softmax_precision)
    scores = scores_of(b, q, k, 1.0 / math.sqrt(shape(q)[3]) if scale is None else scale)
    weights = b.softmax(_through(b, score_mod, scores), axes=[3])
    return weighted(b, _through(b, prob_mod, weights), v)


def _through(b: Builder, graph: Graph | None, x: Tensor) -> Tensor:
    if graph is None:
        return x
    assert b.inline is not None
    (result,) = b.inline(graph, [x])
    if result is None or shape(result) != shape(x):
        raise Unsupported("a modifier graph must give one tensor of the shape of its input")
    return result


# com.microsoft


def key_mask(b: Builder, scores: Tensor, mask: Tensor | None, masked: float) -> Tensor:
    """Adds `masked` to the scores of the keys that an integer mask hides."""
    return scores if mask is None else b.add(scores, b.select(_hidden(b, scores, mask), masked, 0.0))


def _hidden(b: Builder, scores: Tensor, mask: Tensor) -> Tensor:
    """Where a mask [batch, keys] or [batch, queries, keys] is not positive; or keys from the ends on that it gives.

    Ends of the sequences are [batch]; [2 * batch] are ends, followed by starts; [3 * batch + 2] are ends, followed by
    sums of lengths. [batch, 1, most, most] is for all positions, of which the queries are the last ones.
    """
    batch, _, length, keys = shape(scores)
    own = shape(mask)
    if len(own) == 4 and own[:2] == [batch, 1] and own[2] >= keys and own[3] >= keys >= length:
        part = slice_axes(b, mask, [keys - length, 0], [keys, keys], [2, 3], [1, 1])
        mask = reshape(b, part, [batch, length, keys])
    elif own == [3 * batch + 2]:
        mask = slice_axes(b, mask, [0], [batch], [0], [1])
    if not is_integer(mask.dtype) or shape(mask) not in ([batch, keys], [batch, length, keys], [batch], [2 * batch]):
        raise Unsupported(f"a mask of shape {own} for scores of shape {shape(scores)}")
    values = b.cast(mask, np.float32)
    if len(shape(mask)) > 1:
        return b.le(unsqueeze(b, values, [1, 2] if len(shape(mask)) == 2 else [1]), 0.0)
    key = b.constant(generated.positions(keys, np.float32).reshape(1, 1, 1, keys))
    bounds = reshape(b, values, [-1, batch, 1, 1, 1])
    end, *start = b.unstack(bounds, axis=0)
    hidden = b.ge(key, end)
    return b.or_(hidden, b.lt(key, start[0])) if start else hidden


def with_bias(b: Builder, scores: Tensor, bias: Tensor | None) -> Tensor:
    """Scores with a bias that is broadcast on the right."""
    return scores if bias is None else b.add(scores, right_aligned(b, bias, 4))


@to_nnef("onnx", "Attention", domain=MICROSOFT)
def attention(
    b: Builder,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None = None,
    mask_index: Tensor | None = None,
    past: Tensor | None = None,
    attention_bias: Tensor | None = None,
    past_sequence_length: Tensor | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    qkv_hidden_sizes: list[int] | None = None,
    scale: float = 0.0,
    unidirectional: int = 0,
    do_rotary: int = 0,
    rotary_embedding_dim: int = 0,
    past_present_share_buffer: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """Attention: query, key and value come from one product; also keys and values with those of the past."""
    if do_rotary:
        raise Unsupported("do_rotary = 1: the angles are not documented; RotaryEmbedding before MultiHeadAttention is")
    if past_present_share_buffer or past_sequence_length is not None:
        raise Unsupported("past_present_share_buffer = 1: of the past only a part is used, which the data decide")
    joined = matmul(b, x, weights)
    if bias is not None:
        joined = b.add(joined, unsqueeze(b, bias, [0, 1]))
    return attend_joined(
        b, joined, mask_index, past, attention_bias, num_heads=num_heads, masked=mask_filter_value,
        sizes=qkv_hidden_sizes, scale=scale, unidirectional=bool(unidirectional),
    )  # fmt: skip


def attend_joined(
    b: Builder,
    joined: Tensor,
    mask: Tensor | None,
    past: Tensor | None,
    bias: Tensor | None = None,
    *,
    num_heads: int,
    masked: float,
    sizes: list[int] | None = None,
    scale: float,
    unidirectional: bool,
) -> tuple[Tensor, Tensor | None]:
    """Attention of queries, keys and values that follow each other in the last axis; also keys and values, if wanted.

    masked: what is added to scores that the mask hides. sizes: of the three parts. scale: 0 for the usual one.
    """
    parts = b.split(joined, axis=2, ratios=sizes or [shape(joined)[2] // 3] * 3)
    q, k, v = (to_heads(b, part, num_heads) for part in parts)
    if past is not None:
        old = b.unstack(past, axis=0)
        k, v = b.concat([old[0], k], axis=2), b.concat([old[1], v], axis=2)

    def change(scores: Tensor) -> Tensor:
        scores = key_mask(b, scores, mask, masked)
        return with_bias(b, masked_future(b, scores) if unidirectional else scores, bias)

    y = from_heads(b, attend(b, q, k, v, scale or 1.0 / math.sqrt(shape(q)[3]), change))
    return y, b.stack([k, v], axis=0) if any(b.wanted[1:]) else None


def rotated(b: Builder, x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """Rotary embedding of [batch, heads, length, size] by [batch or 1, length, half]: pairs of elements turn.

    Pairs are neighbors (interleaved) or the halves. Only the first 2 * half elements turn, the others stay.
    """
    batch, heads, length, size = shape(x)
    half = shape(cos)[2]
    turning = slice_axes(b, x, [0], [2 * half], [3], [1])
    pairs = [batch, heads, length, half, 2] if interleaved else [batch, heads, length, 2, half]
    axis = 4 if interleaved else 3
    first, second = b.unstack(reshape(b, turning, pairs), axis=axis)
    cos, sin = unsqueeze(b, cos, [1]), unsqueeze(b, sin, [1])
    turned = [b.sub(b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(first, sin), b.mul(second, cos))]
    result = reshape(b, b.stack(turned, axis=axis), [batch, heads, length, 2 * half])
    if 2 * half == size:
        return result
    return b.concat([result, slice_axes(b, x, [2 * half], [size], [3], [1])], axis=3)


def angles(
    b: Builder, position_ids: Tensor | int, length: int, cos_cache: Tensor | None, sin_cache: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The rows of caches [most, half] at positions [batch or 1, length], or from the position of the first element."""
    if cos_cache is None or sin_cache is None:
        raise Unsupported("do_rotary without cos_cache and sin_cache")
    steps = generated.positions(length)[None]
    if isinstance(position_ids, int):
        positions = b.constant(steps + position_ids)
    elif len(shape(position_ids)) == 2:
        positions = position_ids
    else:
        start = reshape(b, position_ids, [])
        known = start.data is not None
        positions = b.constant(steps + np.asarray(start.data)) if known else b.add(b.constant(steps), start)
    return b.gather(cos_cache, positions, axis=0), b.gather(sin_cache, positions, axis=0)


@to_nnef("onnx", "RotaryEmbedding", domain=MICROSOFT)
def rotary_embedding(
    b: Builder,
    x: Tensor,
    position_ids: Tensor,
    cos_cache: Tensor,
    sin_cache: Tensor,
    *,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Tensor:
    """RotaryEmbedding of [batch, length, width] or [batch, heads, length, size].

    is_packed_batching only allows other extents to the kernels, which ignore the scale.
    """
    if scale != 1.0:
        b.warnings[f"RotaryEmbedding with scale = {scale}: left out, as the kernels of onnxruntime do"] = None
    flat = len(shape(x)) == 3
    size = shape(x)[-1] // num_heads if rotary_embedding_dim else 2 * shape(cos_cache)[1]
    heads = to_heads(b, x, shape(x)[2] // size) if flat else x
    cos, sin = angles(b, position_ids, shape(heads)[2], cos_cache, sin_cache)
    y = rotated(b, heads, cos, sin, bool(interleaved))
    return from_heads(b, y) if flat else y
