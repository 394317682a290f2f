"""Fixtures of the tests of optimization."""

from __future__ import annotations

import pytest

from .net import Net


@pytest.fixture
def net() -> Net:
    """A builder of a graph."""
    return Net()
