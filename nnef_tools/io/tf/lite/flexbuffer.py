"""The options of custom operators: FlexBuffers, maps of names to values without a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def decode_map(raw: bytes) -> dict[str, Any] | None:
    """The items of a map, without those whose names begin with `_`; None if the bytes are no such map."""
    try:
        from flatbuffers import flexbuffers

        found = flexbuffers.Loads(raw)
    except Exception:  # the package raises errors of many kinds for bytes that are anything else
        return None
    if not isinstance(found, dict):
        return None
    return {str(key): value for key, value in found.items() if not str(key).startswith("_")}


def encode_map(items: Mapping[str, Any]) -> bytes:
    """The inverse. ValueError or TypeError if a value has no place in FlexBuffers."""
    from flatbuffers import flexbuffers

    return bytes(flexbuffers.Dumps(dict(items)))
