"""Convert, run, inspect and optimize Khronos NNEF neural network models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import compare_models, load_model, run_model, save_model
    from .conversion import Transform
    from .pipeline import convert_model

__version__ = "1.1.0"

__all__ = ["Transform", "compare_models", "convert_model", "load_model", "run_model", "save_model"]

_MODULES = {
    "Transform": "conversion",
    "compare_models": "api",
    "convert_model": "pipeline",
    "load_model": "api",
    "run_model": "api",
    "save_model": "api",
}


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use, so that importing the package costs nothing."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
