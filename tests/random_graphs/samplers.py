"""All samplers, by operation."""

from __future__ import annotations

from . import element_samplers, window_samplers  # noqa: F401 - they register themselves
from .registry import SAMPLERS, WITHOUT_SAMPLER

__all__ = ["SAMPLERS", "WITHOUT_SAMPLER"]
