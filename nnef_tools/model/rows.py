"""Outputs with room for more rows than there may be."""

from __future__ import annotations

from typing import NamedTuple


class CountedRows(NamedTuple):
    """The rows along an axis of an output of the source. extent: room for them. number: the output that tells it."""

    output: str
    axis: int
    extent: int
    number: str
