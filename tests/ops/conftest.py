"""Fixtures of the tests of operations."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with the same numbers for each test."""
    return np.random.default_rng(7)
