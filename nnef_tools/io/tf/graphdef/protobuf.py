"""Message classes of GraphDef files, under the name of the module that the 1.0 series had them in: TensorFlow's own."""

from __future__ import annotations

from typing import Any

from .tensorflow import message_class


def __getattr__(name: str) -> Any:
    """`GraphDef`, `NodeDef`, `AttrValue`, .. Raises MissingPackageError without TensorFlow."""
    found = None if name.startswith("_") else message_class(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
