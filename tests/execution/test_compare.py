"""Comparison of outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ExecutionError, UsageError
from nnef_tools.execution.results.compare import compare_outputs
from nnef_tools.verification.first_difference import find_first_difference

from ..support.arrays import Array


def one(a: Array | list[Any], b: Array | list[Any], **tolerances: float) -> Any:
    result = compare_outputs({"y": np.asarray(a)}, {"y": np.asarray(b), "other": np.zeros(1)}, **tolerances)
    assert result.ok == result.outputs[0].ok
    return result.outputs[0]


def test_numbers() -> None:
    found = one(np.array([1.0, -4.0], np.float32), np.array([1.0, -3.0], np.float32))
    assert (found.max_error, found.scale, found.relative_error) == (1, 4, 0.25)
    assert found.cosine == pytest.approx(13 / (math.sqrt(17) * math.sqrt(10)))
    assert not found.ok and found.shapes_equal and found.dtypes_equal


def test_tolerances() -> None:
    a = np.array([100.0, 0.01])
    assert one(a, a + [0.005, 0.005]).ok  # small against the scale
    assert not one(a, a + [0.0, 0.02]).ok
    assert not one(a, a + [0.0, 0.005], relative_to_scale=0).ok
    assert one(a, a + [0.5, 0.00005], relative_to_scale=0, rtol=0.01).ok
    assert one(a, a + [0.5, 0.5], relative_to_scale=0, atol=0.5).ok


def test_specials() -> None:
    inf, nan = np.inf, np.nan
    assert one([1, nan, inf], [1, nan, inf]).ok
    assert not one([1, nan, inf], [1, nan, -inf]).ok
    assert not one([1, nan], [1, 2]).ok
    assert not one([1, 2], [1, nan]).ok
    assert not one([1e30, 2], [inf, 2]).ok
    assert one([nan, nan], [nan, nan]).max_error == 0


def test_integers_are_exact() -> None:
    assert not one(np.array([100000, 1]), np.array([100000, 2])).ok
    assert not one(np.array([2**60]), np.array([2**60 + 1])).ok
    assert one(np.array([True, False]), np.array([True, False])).ok
    assert not one(np.array([True, False]), np.array([True, True])).ok
    assert one(np.array([1, 2]), np.array([1.0, 2.0])).ok


def test_shapes_and_types() -> None:
    found = one(np.zeros((2, 1)), np.zeros(2, np.float32))
    assert not found.ok and not found.shapes_equal and not found.dtypes_equal and math.isnan(found.max_error)
    assert one(np.zeros((0, 3)), np.zeros((0, 3))).ok
    assert one(np.zeros(3), np.zeros(3)).cosine == 1
    with pytest.raises(UsageError, match="no output 'y'"):
        compare_outputs({"y": np.zeros(1)}, {"z": np.zeros(1)})


class Runner:
    """An executor with tensors a, b, c of values of its own, of which b cannot be taken out together with others."""

    def __init__(self, **values: float) -> None:
        self.tensor_names = list(values)
        self._values = values

    def run(self, inputs: Any, *, output_names: Any = None) -> dict[str, Any]:
        if "b" in output_names and (len(output_names) > 1 or self._values["b"] < 0):
            raise ExecutionError("fused")
        return {name: np.array([self._values[name], 1.0]) for name in output_names}


@pytest.mark.parametrize(
    ("result", "first"),
    [
        ({"a": 0.5, "b": 0.5, "c": 0.5}, None),
        ({"a": 0.5, "b": 0.6, "c": 0.7}, "b"),
        ({"a": 0.5, "b": -0.6, "c": 0.7}, "c"),  # b cannot be taken out at all
        ({"a": 0.7, "b": 0.5, "c": 0.5}, "a"),
    ],
)
def test_first_difference(result: dict[str, float], first: str | None) -> None:
    reference: Any = Runner(a=0.5, b=0.5, c=0.5)
    candidate: Any = Runner(**result)
    names = {"c": "c", "b": "b", "a": "a", "missing": "a"}
    found = find_first_difference((reference, {}), (candidate, {}), names, {}, lambda comparison, _: comparison.ok)
    assert (found and found.source) == first
