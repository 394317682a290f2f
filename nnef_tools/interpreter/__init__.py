"""Public classes that run NNEF models operation by operation. `interpreter.pytorch` needs torch."""

from __future__ import annotations

from ..execution.results.statistics import Statistics

__all__ = ["Statistics"]
