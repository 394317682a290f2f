"""Text of models for pictures: printable, of limited length, with its width known before it is drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...model import Graph

SHOWN = 44
"""Letters of a label at most."""

_ITEMS = 6

# Widths of space to tilde in Bitstream Vera Sans, in 1/100 em; Helvetica, Arial and most others are narrower.
_WIDTHS = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61,
    69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59,
    82, 59, 59, 53, 64, 34, 64, 84,
)  # fmt: skip


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a line in a font of that size; other fonts than Vera are hardly ever wider."""
    units = 0
    for letter in text:
        code = ord(letter) - 32
        wide = unicodedata.east_asian_width(letter) in "WF"
        units += _WIDTHS[code] if 0 <= code < len(_WIDTHS) else 100 if wide else 65
    return units * size / 100 * (1.1 if bold else 1.0)


def clean(text: Any, limit: int = SHOWN) -> str:
    """The text without control characters and halves of surrogate pairs, shortened in its middle."""
    shown = str(text)
    if len(shown) > limit:
        head = (limit - 1) // 2
        shown = f"{shown[:head]}…{shown[len(shown) - (limit - 1 - head) :]}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)


def shape_label(shape: Iterable[int | None] | None) -> str:
    """A shape for labels: `1×64×56×56`, `?` for what is not known, `scalar` for rank 0."""
    if shape is None:
        return "?"
    return clean("×".join("?" if extent is None else str(extent) for extent in shape) or "scalar")


def dtype_label(dtype: Any) -> str:
    """The name of an item type, `?` if it is not known."""
    return "?" if dtype is None else str(dtype.__name__)


def value_label(value: Any, limit: int = 400) -> str:
    """An attribute for people: short lists in full, what is long or large by its size."""
    if isinstance(value, Graph):
        return f"graph of {len(value.operations)} operations"
    if isinstance(value, np.ndarray):
        if value.size > _ITEMS or value.dtype.kind not in "biuf":
            return f"{shape_label(value.shape)} {value.dtype.name}"
        return value_label(value.tolist(), limit)
    if isinstance(value, (list, tuple)):
        shown = ", ".join(value_label(item, limit) for item in value[:16])
        return clean(f"[{shown}{', …' if len(value) > 16 else ''}]", limit)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, float):
        return f"{value:.6g}"
    return clean(value, limit)
