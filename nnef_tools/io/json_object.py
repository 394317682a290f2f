"""Reads JSON objects of unknown origin: whatever is in them, the work is in proportion to their size."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from ..errors import FormatError

_INTEGER_DIGITS = 20


def parse_object(raw: bytes) -> tuple[dict[str, Any], list[str]]:
    """The object, without the names that it or one in it has twice (nobody knows which one is meant), and those names.

    An integer of far more than 64 bits is infinite. FormatError if it is not a JSON object.
    """
    repeated: list[str] = []

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
            repeated.extend(twice)
            for name in twice:
                del found[name]
        return found

    try:
        value = json.loads(raw, object_pairs_hook=table, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError("not a JSON object")
    return value, repeated


def _integer(text: str) -> float:
    return int(text) if len(text) <= _INTEGER_DIGITS else math.inf
