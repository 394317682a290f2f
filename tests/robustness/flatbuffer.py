"""Damage to TensorFlow Lite models: to their bytes, and to the fields of their tables."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from nnef_tools.dialects.tflite.schema import tflite_schema
from nnef_tools.errors import FormatError
from nnef_tools.io.tf.lite.flatbuffer import Table, decode, encode
from nnef_tools.io.tf.lite.reader import IDENTIFIER

from .mutation import damaged

NUMBERS = (0, 1, 2, 3, 4, 127, 1 << 31, (1 << 32) - 1, (1 << 31) - 1)
VALUES = (-(1 << 31), -2, -1, 0, 1, 2, 3, 5, 9, 17, 32, 127, 255, 1000, (1 << 31) - 1, float("nan"), 1e38, 0.5)


def damaged_words(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three of the aligned words, where offsets and lengths are, mostly in the tables; or any damage."""
    if rng.integers(3) == 0:
        return damaged(data, rng)
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4").copy()
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(words)))
        shifted = int(words[place]) + int(rng.integers(-8, 9))
        new = (*NUMBERS, len(data), int(rng.integers(1 << 32)), shifted, shifted)
        words[place] = new[rng.integers(len(new))] & 0xFFFFFFFF
    return words.tobytes() + data[len(words) * 4 :]


def damaged_tables(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three fields of the tables of a model with other values."""
    model = decode(memoryview(data), tflite_schema(), "Model", IDENTIFIER)
    for _ in range(rng.integers(1, 4)):
        tables = list(_tables(model))
        table = tables[rng.integers(len(tables))]
        keys = [key for key, value in table.items() if value is not None] or list(table)
        if keys:
            key = keys[rng.integers(len(keys))]
            table[key] = _damaged_value(table[key], tables, rng)
    stream = io.BytesIO()
    try:
        encode(model, tflite_schema(), "Model", IDENTIFIER).write(stream)
    except (FormatError, KeyError, IndexError, AttributeError, TypeError):  # a value that no file can have
        return damaged_words(data, rng)
    return stream.getvalue()


def _tables(value: Any) -> Iterator[Table]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _tables(item)


def _damaged_value(value: Any, tables: list[Table], rng: np.random.Generator) -> Any:
    if rng.integers(8) == 0:
        return None
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        new = VALUES[rng.integers(len(VALUES))]
        return type(value)(new) if new == new else value
    if isinstance(value, str):
        return rng.choice(["", "\0", "x", "CONV_2D", value + "\udcff", "a" * 300])
    if isinstance(value, np.ndarray):
        return np.frombuffer(damaged(value.tobytes(), rng), np.uint8)
    if isinstance(value, dict):
        others = [table for table in tables if table.keys() == value.keys()]
        return others[rng.integers(len(others))]
    return _damaged_list(list(value or ()), rng)


def _damaged_list(items: list[Any], rng: np.random.Generator) -> list[Any]:
    if not items:
        return [int(VALUES[rng.integers(10)])]
    k, other = (int(n) for n in rng.integers(0, len(items), 2))
    kind = rng.integers(5)
    if kind == 0:
        del items[k]
    elif kind == 1:
        items.insert(k, items[other])
    elif kind == 2:
        items[k], items[other] = items[other], items[k]
    elif isinstance(items[k], (int, float)):
        items[k] = type(items[k])(VALUES[rng.integers(15)])
    else:
        items[k] = items[other]
    return items
