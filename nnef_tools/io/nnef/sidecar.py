"""The sidecar `nnef_tools.json`: facts about a model that NNEF text cannot carry, as a JSON object.

The model is right without it, in float32; with it, float64 is computed as such, and a conversion back restores names,
types and the like.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ...errors import FormatError
from ...model.facts import TENSORS, TEXT_KEYS, without


def parse_facts(raw: bytes) -> dict[str, Any]:
    """The facts in a sidecar file. FormatError if it is not a JSON object."""
    try:
        facts = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from error
    if not isinstance(facts, dict):
        raise FormatError("not a JSON object")
    tensors = facts.get(TENSORS)
    if isinstance(tensors, dict):
        facts[TENSORS] = {name: fact for name, fact in tensors.items() if isinstance(fact, dict)}
    return without(facts, TEXT_KEYS)


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
        return {key: _plain(item, f"{place}.{key}") for key, item in value.items()}
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
