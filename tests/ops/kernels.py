"""Runs operations the way executors do, and checks on the way that shape rules predict what kernels give."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..support.nnef_models import definition_of


def shape_of(value: Any) -> Any:
    """The extents of an array, or those of each in a list."""
    if isinstance(value, list):
        return [list(np.shape(item)) for item in value]
    return list(np.shape(value))


def run_op(name: str, *inputs: Any, dtype: Any = None, **attribs: Any) -> Any:
    """What the kernel gives, attributes completed by their defaults; its shape is compared with that of the rule."""
    definition = definition_of(name)
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


def infer(name: str, *shapes: Any, **attribs: Any) -> Any:
    """What the shape rule gives, attributes completed by their defaults."""
    definition = definition_of(name)
    return definition.shape(*shapes, **definition.complete(attribs))
