"""The sidecar `nnef_tools.json`: facts about a model that NNEF text cannot carry, as a JSON object.

The model is right without it, in float32; with it, float64 is computed as such, and a conversion back restores names,
types and the like.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ...errors import FormatError
from ...model.facts import TEXT_KEYS, without
from ...model.facts_schema import checked_facts
from ..json_object import parse_object

_PLAIN = {str, int, bool, type(None)}
_MIN_LIMIT, _LIMIT_BY_TEXT = 1 << 24, 8


def size_limit(text: str) -> int:
    """The largest number of bytes of a sidecar that is read, beside the text of the graph: reading multiplies them."""
    return max(_MIN_LIMIT, _LIMIT_BY_TEXT * len(text))


def parse_facts(raw: bytes) -> tuple[dict[str, Any], list[str]]:
    """The facts in a sidecar file, as far as they fit their schema, and the places of those that do not.

    FormatError if it is not a JSON object.
    """
    facts, repeated = parse_object(raw)
    kept, bad = checked_facts(without(facts, TEXT_KEYS))
    return kept, [*(f"{name} (which is there twice)" for name in repeated), *bad]


def format_facts(metadata: dict[str, Any]) -> bytes | None:
    """The contents of a sidecar file, the same for the same facts; None if there is nothing to keep.

    FormatError if a value has no place in JSON.
    """
    facts = {key: value for key, value in metadata.items() if key not in TEXT_KEYS and value is not None}
    if not facts:
        return None
    plain = {key: _plain(value, key) for key, value in facts.items()}
    # An item a line. An indent would be nicer, but takes an encoder that is many times slower.
    return (json.dumps(plain, separators=(",\n", ": "), sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise FormatError(f"metadata '{place}' has keys that are not strings")
        return {k: v if type(v) in _PLAIN else _plain(v, f"{place}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, place) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist(), place)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, float) and not np.isfinite(value):
        raise FormatError(f"metadata '{place}' is {value}, which JSON cannot hold")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise FormatError(f"metadata '{place}' is of type {type(value).__name__}, which JSON cannot hold")
