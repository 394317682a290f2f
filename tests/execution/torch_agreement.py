"""The comparison of a torch operator with its numpy kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.execution.kernels.torch import find_operator
from nnef_tools.ops import registry

BORDERS = ["constant", "replicate", "reflect", "reflect-even"]


def to_torch(item: Any) -> Any:
    if isinstance(item, list):
        return [to_torch(each) for each in item]
    return torch.from_numpy(np.array(item))


def random(*shape: int, seed: int = 0, positive: bool = False) -> np.ndarray:
    values = np.random.default_rng([seed, *shape]).uniform(-2, 2, shape).astype(np.float32)
    return np.abs(values) + np.float32(0.1) if positive else values


def agree(name: str, *inputs: Any, tolerance: float = 2e-5, **attribs: Any) -> Any:
    """Both results are equal in shape, kind and values, or both refuse; returns the one of torch."""
    definition = registry.find(name)
    run, arguments = find_operator(name), [to_torch(item) for item in inputs]
    try:
        reference = definition.run(*inputs, **definition.complete(attribs))
    except ShapeError:
        with pytest.raises(ShapeError):
            run(*arguments, **attribs)
        return []
    ours = run(*arguments, **attribs)
    results = list(ours) if isinstance(ours, (tuple, list)) else [ours]
    references = list(reference) if isinstance(reference, (tuple, list)) else [reference]
    assert len(results) == len(references)
    for result, expected in zip(results, references, strict=True):
        array = result.detach().numpy()
        assert array.shape == expected.shape
        assert array.dtype.kind == expected.dtype.kind
        np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)
    return results
