"""Rotations and relative biases of com.microsoft against onnxruntime or their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.onnx_models import const, contrib_model
from .checks import check, check_contrib, convert

F = np.float32
POSITIONS = np.array([[[0, 1, 2], [4, 3, 6]], [[5, 5, 1], [0, 2, 6]], [[3, 0, 0], [6, 1, 2]]])


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("sections", [[2, 1, 1], [4, 0, 0], [1, 3, 0]])
@pytest.mark.parametrize("shape", [(2, 3, 16), (2, 2, 3, 8)])
def test_rotations_by_several_streams(interleaved, layout, sections, shape, random):
    if layout and sections == [1, 3, 0]:
        sections = [2, 1, 1]
    inputs = [random(*shape), POSITIONS, const(random(7, 4), F), const(random(7, 4), F)]
    check_contrib(
        "MRotaryEmbedding", inputs, mrope_section=sections, mrope_layout=layout, interleaved=interleaved, num_heads=2
    )


def test_rotations_of_a_part(random):
    inputs = [random(2, 3, 24), POSITIONS, const(random(7, 3), F), const(random(7, 3), F)]
    check_contrib("MRotaryEmbedding", inputs, mrope_section=[1, 1, 1], num_heads=2, rotary_embedding_dim=6)


def test_rotations_of_gemma(random):
    angles, operands = random(2, 3, 4), [random(2, 5, 3, 4) for _ in range(4)]
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    expected = [operands[k] * cos + operands[k + 1] * sin for k in (0, 2)]
    inputs = [angles, *operands]
    check(contrib_model("GemmaRotaryEmbedding", inputs, [F, F]), inputs, expected=expected)


def bucket(distance: int, buckets: int, most: int, bidirectional: int) -> int:
    """As T5 has it: one distance at a time."""
    base = 0
    if bidirectional:
        buckets //= 2
        base = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    if distance < buckets // 2:
        return base + distance
    place = math.log(distance / (buckets // 2)) / math.log(most / (buckets // 2)) * (buckets - buckets // 2)
    return base + min(buckets // 2 + int(place), buckets - 1)


@pytest.mark.parametrize("bidirectional", [0, 1])
@pytest.mark.parametrize(("buckets", "most", "queries", "keys"), [(32, 128, 60, 60), (8, 20, 5, 30)])
def test_biases_of_distances(bidirectional, buckets, most, queries, keys, random):
    table = random(3, buckets)
    index = [[bucket(k - q, buckets, most, bidirectional) for k in range(keys)] for q in range(queries)]
    inputs = [np.ascontiguousarray(table.reshape(buckets, 3)), const([queries]), const([keys])]
    model = contrib_model("RelativePositionBias", inputs, [F], max_distance=most, is_bidirectional=bidirectional)
    check(model, inputs[:1], expected=[table[:, index][None]])


def test_gated_biases(random):
    batch, length, heads, size, width = 2, 5, 3, 4, 8
    query, bias, relative = random(batch, length, heads * size), random(heads * size), random(1, heads, length, length)
    weight, offset, eco = random(size, width), random(width), random(1, heads, 1, 1)
    split = (query + bias).reshape(batch, length, heads, size).transpose(0, 2, 1, 3)
    sums = (split @ weight + offset).reshape(batch, heads, length, 2, width // 2).sum(-1)
    gates = 1 / (1 + np.exp(-sums.astype(np.float64)))
    u, r = gates[..., :1], gates[..., 1:]
    expected = (u * (r * eco - 1) + 2) * relative
    inputs = [query, const(bias, F), relative, const(weight, F), const(offset, F), const(eco, F)]
    model = contrib_model("GatedRelativePositionBias", inputs, [F], num_heads=heads)
    check(model, [query, relative], expected=[expected.astype(F)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [({"mrope_section": [1, 1, 1]}, "for 4 pairs"), ({"mrope_section": [2, 1, 1], "scale": 2.0}, "scale = 2.0")],
)
def test_what_is_refused(attributes, reason, random):
    inputs = [random(2, 3, 16), POSITIONS, const(random(7, 4), F), const(random(7, 4), F)]
    with pytest.raises(ConversionError) as raised:
        convert(contrib_model("MRotaryEmbedding", inputs, [F], **attributes), inputs[:2])
    assert reason in "\n".join(raised.value.details)
