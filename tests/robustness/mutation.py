"""Damage to bytes and text, reproducible by a seed."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np

INTERESTING = (0, 1, 2, 7, 8, 0x0A, 0x12, 0x7F, 0x80, 0xFF)
WORDS = "if else for in true false scalar integer tensor conv reshape split variable external graph fragment x y h w"
NUMBERS = "0 -1 1.5 1e999 99999999999"
TOKENS = [*"()[]{},;=-+*:<>?'\"\x00\xe9\ufeff", "->", *re.split(" ", WORDS), *re.split(" ", NUMBERS)]


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three of: bits flipped, bytes set, cut off, removed, inserted, repeated, moved."""
    for _ in range(rng.integers(1, 4)):
        data = _DAMAGES[rng.integers(len(_DAMAGES))](data or b"\0", rng)
    return data


def damaged_text(text: str, rng: np.random.Generator) -> str:
    """One to three tokens removed, doubled, replaced, exchanged or inserted."""
    tokens = re.findall(r"\s+|\w+|.", text)
    for _ in range(rng.integers(1, 4)):
        k, other = (int(n) for n in rng.integers(0, len(tokens), 2))
        new = TOKENS[rng.integers(len(TOKENS))]
        kind = rng.integers(5)
        if kind == 0 and len(tokens) > 1:
            del tokens[k]
        elif kind == 1:
            tokens.insert(k, tokens[k])
        elif kind == 2:
            tokens[k] = new
        elif kind == 3:
            tokens[k], tokens[other] = tokens[other], tokens[k]
        else:
            tokens.insert(k, new)
    return "".join(tokens)


ODD_VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**9, 10**30, float("nan"), float("inf"), "", "x", "float64", "int4", "\ud800", "a\0b"),
    *("__class__", "float128", "x" * 5000, [], {}, [[]], {"": {}}, {"dtype": "float64"}, [None] * 100),
]


def damaged_json(value: Any, rng: np.random.Generator) -> bytes:
    """One to three values or names replaced, removed, exchanged, wrapped or repeated."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.integers(1, 4)):
        places = list(_places(value))
        if not places:
            break
        container, key = places[rng.integers(len(places))]
        other, place = places[rng.integers(len(places))]
        kind = rng.integers(6)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, dict):
            container[str(ODD_VALUES[rng.integers(len(ODD_VALUES))])] = container.pop(key)
        elif kind == 2:
            other[place] = json.loads(json.dumps(container[key]))
        elif kind == 3:
            container[key] = [container[key]] if rng.integers(2) else {"x": container[key]}
        else:
            container[key] = copy.deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
    text = json.dumps(value)
    return text.encode() if rng.integers(8) else text.replace("{", '{"tensors": {}, "x": 1, "x": 2, ').encode()


def _places(value: Any) -> Any:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(item)


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(len(data)))
    return start, start + int(rng.integers(1, 17))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    array = bytearray(data)
    array[rng.integers(len(array))] ^= 1 << int(rng.integers(8))
    return bytes(array)


def _set(data: bytes, rng: np.random.Generator) -> bytes:
    array = bytearray(data)
    array[rng.integers(len(array))] = INTERESTING[rng.integers(len(INTERESTING))]
    return bytes(array)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _remove(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.bytes(end - start) + data[start:]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:]


def _move(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    rest = data[:start] + data[end:]
    place = int(rng.integers(len(rest) + 1))
    return rest[:place] + data[start:end] + rest[place:]


_DAMAGES = (_flip, _flip, _set, _set, _cut, _remove, _insert, _repeat, _move)
