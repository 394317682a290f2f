"""Running models: executors and their backends, statistics, comparison, input sources."""

from __future__ import annotations

from .backend import Executor, TensorInfo, make_executor

__all__ = ["Executor", "TensorInfo", "make_executor"]
