"""Running models: executors and their runtimes, sources of inputs, statistics and comparison of results."""

from __future__ import annotations

from .executor import Executor, TensorInfo
from .runtimes import make_executor

__all__ = ["Executor", "TensorInfo", "make_executor"]
