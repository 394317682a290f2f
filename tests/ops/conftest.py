"""Runs an operation the way executors do, and checks on the way that the shape rule predicts what the kernel gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.ops.registry import find


def shape_of(value: Any) -> Any:
    if isinstance(value, list):
        return [list(np.shape(item)) for item in value]
    return list(np.shape(value))


def run_checked(name: str, *inputs: Any, dtype: Any = None, **attribs: Any) -> Any:
    definition = find(name)
    assert definition is not None, name
    attribs = definition.complete(attribs)
    expected = definition.shape(*(shape_of(item) for item in inputs), **attribs)
    if dtype is not None:
        attribs["dtype"] = dtype
    result = definition.run(*inputs, **attribs)
    if isinstance(result, tuple):
        assert isinstance(expected, tuple)
        assert [list(item.shape) for item in result] == list(expected), name
    else:
        assert shape_of(result) == expected, name
    for item in result if isinstance(result, (tuple, list)) else [result]:
        assert isinstance(item, np.ndarray)
    return result


@pytest.fixture
def run_op() -> Any:
    """f(name, *arrays, dtype=None, **attribs) -> result of the kernel, its shape compared with the shape rule."""
    return run_checked


@pytest.fixture
def infer() -> Any:
    """f(name, *shapes, **attribs) -> result of the shape rule, attributes completed by their defaults."""

    def run(name: str, *shapes: Any, **attribs: Any) -> Any:
        definition = find(name)
        assert definition is not None, name
        return definition.shape(*shapes, **definition.complete(attribs))

    return run


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
