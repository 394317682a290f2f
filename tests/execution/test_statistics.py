"""Statistics against numpy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnef_tools.execution.results.statistics import Statistics, StatisticsCollector, tensor_renames
from nnef_tools.interpreter import Statistics as Exported


def test_one_array() -> None:
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 6)).astype(np.float32)
    found = Statistics.of(x)
    wide = x.astype(np.float64)
    assert found.num == 120 and found.min == x.min() and found.max == x.max()
    assert found.sum == pytest.approx(wide.sum()) and found.ssum == pytest.approx((wide**2).sum())
    assert found.mean() == pytest.approx(wide.mean())
    assert found.variance() == pytest.approx(wide.var(ddof=1))
    assert found.std(unbiased=False) == pytest.approx(wide.std())
    assert Exported is Statistics


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=5), min_size=1, max_size=5))
def test_merging_is_like_one_array(parts: list[Any]) -> None:
    total = Statistics()
    for part in parts:
        total = total + Statistics.of(np.array(part))
    x = np.array([item for part in parts for item in part])
    assert total.num == x.size
    if x.size:
        assert total.min == x.min() and total.max == x.max()
        assert total.mean() == pytest.approx(x.mean(), abs=1e-9)
        assert total.variance(unbiased=False) == pytest.approx(x.var(), abs=1e-9)


def test_large_mean_does_not_cancel() -> None:
    x = 1e8 + np.array([0.0, 1, 2, 3])
    merged = Statistics.of(x[:1]) + Statistics.of(x[1:])
    assert merged.std() == pytest.approx(np.std([0, 1, 2, 3], ddof=1))


def test_sums_alone_make_statistics() -> None:
    found = Statistics(num=2, min=1.0, max=3.0, sum=4.0, ssum=10.0)
    assert found.mean() == 2 and found.variance() == pytest.approx(2)
    found += Statistics(1, 5.0, 5.0, 5.0, 25.0)
    assert (found.num, found.max, found.sum, found.ssum) == (3, 5, 9, 35)
    assert found.variance() == pytest.approx(np.var([1, 3, 5], ddof=1))


def test_json_form() -> None:
    assert Statistics.of(np.array([2.0])).to_json() == {"min": 2, "max": 2, "mean": 2, "std": 0}
    assert Statistics.of(np.array([])).to_json() == dict.fromkeys(["min", "max", "mean", "std"])
    assert Statistics.of(np.array([True, False])).to_json()["mean"] == 0.5
    assert np.isnan(Statistics.of(np.array([1, np.nan])).min)


def test_collector() -> None:
    collector = StatisticsCollector()
    for value in ([1.0, 2.0], [3.0, 6.0]):
        collector("x", np.array(value, np.float32))
    collector("text", np.array(["a"]))
    result = json.loads(json.dumps(collector.to_json({"x": "renamed"})))
    assert list(result) == ["renamed"]
    assert result["renamed"] == pytest.approx({"min": 1, "max": 6, "mean": 3, "std": np.std([1, 2, 3, 6], ddof=1)})


MAPPING = {"x": "external1", "a:1": "conv1", "b": "relu1"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x", "a:1", "c"], {"x": "external1", "a:1": "conv1"}),
        (["x:0", "a:1", "b:0"], {"x:0": "external1", "a:1": "conv1", "b:0": "relu1"}),
        (["external1", "variable1", "conv1"], {"external1": "x", "conv1": "a:1"}),
        (["external1:0", "relu1:0"], {"external1:0": "x", "relu1:0": "b"}),
        (["nothing"], {}),
    ],
)
def test_names_by_a_mapping(names: list[str], expected: dict[str, Any]) -> None:
    """Forward for a source model, back for a converted one."""
    assert tensor_renames(names, MAPPING) == expected


def test_renamed_tensors_stay_apart() -> None:
    """A name that another tensor has, or gets, is not given twice."""
    assert tensor_renames(["a", "b"], {"a": "b"}) == {"a": "a"}
    assert tensor_renames(["a", "b"], {"a": "c", "b": "c"}) == {"a": "c", "b": "b"}
    assert tensor_renames(["a", "b"], {"a": "b", "b": "a"}) == {"a": "b", "b": "a"}
