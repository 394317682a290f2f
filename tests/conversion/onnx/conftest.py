"""Fixtures of the tests of ONNX rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ...support.arrays import Array


@pytest.fixture
def random() -> Callable[..., Array]:
    """`random(2, 3)`: standard normal float32 numbers, the same for each test."""
    generator = np.random.default_rng(0)
    return lambda *shape: generator.standard_normal(shape).astype(np.float32)
