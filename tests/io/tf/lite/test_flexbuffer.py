"""FlexBuffers, against the package of their authors; and damaged ones."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from flatbuffers import flexbuffers

from nnef_tools.io.tf.lite.flexbuffer import decode_map, encode_map


def value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(9 if depth < 3 else 7)
    if kind == 7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == 8:
        return {f"k{k}" * rng.randrange(1, 40): value(rng, depth + 1) for k in range(rng.randrange(5))}
    return (
        None,
        rng.random() < 0.5,
        rng.randrange(-300, 300),
        rng.choice([rng.randrange(-(2**63), 2**63), 2**64 - 1, 70000]),
        rng.choice([0.5, 0.1, 1e300, math.inf, -2.0]),
        "ä" * rng.randrange(300),
        b"\x00\xffx" * rng.randrange(100),
    )[kind]


@pytest.mark.parametrize("seed", range(200))
def test_both_ways(seed: int) -> None:
    rng = random.Random(seed)
    items = {f"n{k}": value(rng, 0) for k in range(rng.randrange(8))}
    raw = encode_map(items)
    assert decode_map(raw) == items
    assert flexbuffers.Loads(raw) == items
    assert encode_map(items) == raw


def test_typed_vectors() -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.TypedVectorFromElements("ints", [1, -2, 300])
        builder.TypedVectorFromElements("reals", [0.5, -2.0])
        builder.FixedTypedVectorFromElements("three", [7, 8, 9])
        builder.TypedVectorFromElements("bools", [True, False])
        builder.IndirectFloat("far", 0.25)
        builder.UInt("_hidden", 3)
    found = decode_map(bytes(builder.Finish()))
    assert found == {
        "ints": [1, -2, 300],
        "reals": [0.5, -2.0],
        "three": [7, 8, 9],
        "bools": [True, False],
        "far": 0.25,
    }


def test_what_is_no_map() -> None:
    for raw in (b"", b"\0", b"abc", bytes(flexbuffers.Dumps([1, 2])), bytes(flexbuffers.Dumps("x")), b"\xff" * 40):
        assert decode_map(raw) is None
    for items in ({"x": object()}, {1: 2}, {"x": 1 << 70}):
        with pytest.raises((TypeError, ValueError)):
            encode_map(items)  # type: ignore[arg-type]


def test_damaged_bytes() -> None:
    rng = random.Random(0)
    raw = encode_map({"a": [1, 2, {"b": "xx"}], "c": 0.5, "d": [True] * 5, "e": b"bytes"})
    for _ in range(2000):
        data = bytearray(raw)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        decode_map(bytes(data))


def test_vectors_of_the_same_vector() -> None:
    """Twenty levels of vectors that hold the next one twice would be a million items."""
    out = bytearray([0, 2])  # a vector without items, and its length
    start = len(out)
    for _ in range(20):
        out += bytes([2])
        position = len(out)
        out += bytes([position - start, position + 1 - start, 10 << 2, 10 << 2])
        start = position
    out += bytes([2, 0])  # keys: their vector follows
    assert decode_map(bytes(out)) is None
    root = len(out)
    out += bytes([root - start, 10 << 2, 1])
    assert decode_map(bytes(out)) is None
