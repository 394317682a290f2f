"""Running models: executors and the runtimes that they use, statistics, comparison, input sources."""

from __future__ import annotations

from .executor import Executor, TensorInfo
from .runtimes import make_executor

__all__ = ["Executor", "TensorInfo", "make_executor"]
