"""Operators of com.microsoft that tell attention where tokens are: rotations of several streams, relative biases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import Int, to_nnef
from ..common import reshape, shape, unsqueeze
from .attention import from_heads, rotated, to_heads
from .linear import matmul

MICROSOFT = "com.microsoft"
STREAMS = 3
"""Time, height and width."""


def _stream_of(sections: list[int], interleaved: bool) -> np.ndarray[Any, Any]:
    """Which stream of positions turns each pair."""
    count = sum(sections)
    if not interleaved:
        return np.repeat(np.arange(STREAMS), sections)
    streams = np.zeros(count, np.int64)
    for stream in (1, 2):
        streams[stream : STREAMS * sections[stream] : STREAMS] = stream
    return streams


@to_nnef("onnx", "MRotaryEmbedding", domain=MICROSOFT)
def multimodal_rotary_embedding(
    b: Builder,
    x: Tensor,
    position_ids: Tensor,
    cos_cache: Tensor,
    sin_cache: Tensor,
    *,
    mrope_section: list[int],
    interleaved: int = 0,
    is_packed_batching: int = 0,
    mrope_layout: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Tensor:
    """MRotaryEmbedding: RotaryEmbedding whose pairs turn by positions of time, height or width, [3, batch, length].

    mrope_section: how many pairs each stream has, in order, or (mrope_layout 1) in turn.
    """
    half = shape(cos_cache)[1]
    if len(mrope_section) != STREAMS or sum(mrope_section) != half or min(mrope_section) < 0:
        raise Unsupported(f"mrope_section = {mrope_section} for {half} pairs")
    if scale != 1.0:
        raise Unsupported(f"scale = {scale}")
    flat = len(shape(x)) == 3
    size = shape(x)[-1] // num_heads if rotary_embedding_dim else 2 * half
    heads = to_heads(b, x, shape(x)[2] // size) if flat else x
    streams = _stream_of(mrope_section, bool(mrope_layout))
    positions = b.unstack(position_ids, axis=0)
    tables: list[Tensor] = []
    for cache in (cos_cache, sin_cache):
        table = b.gather(cache, positions[0], axis=0)
        for stream in (1, 2):
            if stream in streams:
                chosen = b.constant((streams == stream).reshape(1, 1, half))
                table = b.select(chosen, b.gather(cache, positions[stream], axis=0), table)
        tables.append(table)
    y = rotated(b, heads, tables[0], tables[1], bool(interleaved))
    return from_heads(b, y) if flat else y


@to_nnef("onnx", "GemmaRotaryEmbedding", domain=MICROSOFT)
def gemma_rotary_embedding(
    b: Builder, angles: Tensor, q: Tensor, q_turned: Tensor, k: Tensor, k_turned: Tensor
) -> tuple[Tensor, Tensor]:
    """GemmaRotaryEmbedding: x * cos + turned * sin for queries and keys, with angles [batch, length, size]."""
    cos, sin = (unsqueeze(b, b.cast(table, q.dtype), [1]) for table in (b.cos(angles), b.sin(angles)))
    pairs = ((q, q_turned), (k, k_turned))
    first, second = (b.add(b.mul(x, cos), b.mul(turned, sin)) for x, turned in pairs)
    return first, second


@to_nnef("onnx", "RelativePositionBias", domain=MICROSOFT)
def relative_position_bias(
    b: Builder, table: Tensor, query_length: Int, key_length: Int, *, max_distance: int, is_bidirectional: int = 0
) -> Tensor:
    """RelativePositionBias of T5: a number for the head and the bucket of distances, [1, heads, queries, keys].

    Half of the buckets are for one distance each, the others for ranges that grow up to max_distance. The table is
    declared as [buckets, heads], but its items are ordered by heads.
    """
    buckets, heads = shape(table)
    ask_constant(query_length * key_length, "its table of distances")
    distance = np.arange(key_length)[None, :] - np.arange(query_length)[:, None]
    count = buckets // 2 if is_bidirectional else buckets
    steps = np.abs(distance) if is_bidirectional else np.maximum(-distance, 0)
    exact = count // 2
    if exact < 1 or max_distance <= exact:
        raise Unsupported(f"max_distance = {max_distance} with {buckets} buckets")
    logarithm = np.log(np.maximum(steps, 1).astype(np.float32) / np.float32(exact))
    far = exact + (logarithm / np.float32(math.log(max_distance / exact)) * (count - exact)).astype(np.int64)
    index = np.where(steps < exact, steps, np.minimum(far, count - 1))
    if is_bidirectional:
        index = index + np.where(distance > 0, count, 0)
    return unsqueeze(b, b.gather(reshape(b, table, [heads, buckets]), b.constant(index), axis=1), [0])


@to_nnef("onnx", "GatedRelativePositionBias", domain=MICROSOFT)
def gated_relative_position_bias(
    b: Builder,
    query: Tensor,
    query_bias: Tensor,
    relative: Tensor,
    weight: Tensor,
    bias: Tensor,
    eco: Tensor,
    token_offset: Tensor | None = None,
    *,
    num_heads: int,
) -> Tensor:
    """GatedRelativePositionBias: (u * (r * eco - 1) + 2) * relative, with gates u and r of each query and head.

    The gates are sigmoids of the sums of the halves of a projection of queries [batch, length, heads * size].
    """
    if token_offset is not None or len(shape(query)) != 3:
        raise Unsupported("input 'token_offset': sequences without their padding have extents that the data decide")
    width = shape(weight)[1]
    if width % 2:
        raise Unsupported(f"a projection to {width} numbers, which has no halves")
    heads = to_heads(b, b.add(query, unsqueeze(b, query_bias, [0, 1])), num_heads)
    projected = b.add(matmul(b, heads, weight), unsqueeze(b, bias, [0, 1, 2]))
    sums = b.sum_reduce(reshape(b, projected, [*shape(heads)[:3], 2, width // 2]), axes=[4])
    update, reset = (b.squeeze(gate, axes=[4]) for gate in b.split(b.sigmoid(sums), axis=3, ratios=[1, 1]))
    return b.mul(b.add(b.mul(update, b.sub(b.mul(reset, eco), 1.0)), 2.0), relative)
