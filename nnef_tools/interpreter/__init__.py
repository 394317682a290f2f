"""Running NNEF models step by step. `interpreter.pytorch` needs torch."""

from __future__ import annotations

from ..execution.results.statistics import Statistics

__all__ = ["Statistics"]
