"""Caffe2 models: folders with a net that computes and one that fills the weights."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reader import Reader
    from .writer import Writer

__all__ = ["Reader", "Writer"]


def __getattr__(name: str) -> Any:
    """Imports the class that is asked for: executing a model needs no writer."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{name.lower()}", __name__), name)
