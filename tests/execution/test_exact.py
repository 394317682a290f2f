"""The judge in float64: its values, and what it takes for rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.io.nnef import Reader
from nnef_tools.verification.evidence import Evidence
from nnef_tools.verification.exact import Exact, Judge

Array = np.ndarray[Any, Any]


def judge(body: str, folder: Path, x: Array) -> Exact:
    text = f"version 1.0; graph net(x) -> (y) {{ x = external<scalar>(shape = {list(x.shape)}); {body} }}"
    (folder / "graph.nnef").write_text(text)
    return Judge(Reader()(folder)).run({"x": x}, ["y"])["y"]


def test_values_are_those_of_float64(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (3, 100)).astype(np.float32)
    found = judge("a = mul(x, 0.1); y = sum_reduce(a, axes = [1]);", tmp_path, x)
    wanted = (x.astype(np.float64) * np.float64(np.float32(0.1))).sum(1, keepdims=True)
    assert found.value.dtype == np.float64
    assert np.abs(found.value - wanted).max() < 1e-8 * np.abs(x).sum()


def test_noise_is_that_of_float32(tmp_path: Path) -> None:
    """Against the errors that numpy makes in float32, of a logarithm of what cancels."""
    x = np.random.default_rng(0).uniform(-1, 1, (1, 500)).astype(np.float32)
    found = judge("a = add(x, 1000.0); b = sub(a, 1000.0); c = abs(b); y = log(c);", tmp_path, x)
    with np.errstate(divide="ignore"):
        errors = np.abs(np.log(np.abs((x + np.float32(1000)) - np.float32(1000))) - found.value)
    errors[~np.isfinite(errors)] = 0
    assert found.explains(errors)
    assert 1 < np.quantile(errors, 0.9) / np.quantile(found.noise, 0.9) * 10 < 100
    assert not found.explains(np.abs(0.5 * found.value))
    border = np.zeros_like(errors)
    border[0, int(np.argmin(found.noise))] = 1.0  # one item, where there is little noise
    assert not found.explains(border)


def test_small_integers_have_no_noise(tmp_path: Path) -> None:
    """They would fall below the next integer otherwise."""
    x = np.arange(10, dtype=np.float32)
    found = judge("a = add(x, 80.0); b = cast<integer>(a); c = cast<scalar>(b); y = div(c, 4.0);", tmp_path, x)
    np.testing.assert_array_equal(found.value, (np.arange(10) + 80) / 4)
    assert found.rounding == 0 and not found.unstable.any()


def test_ties_are_unstable(tmp_path: Path) -> None:
    x = np.array([[0.1, 0.7, 0.3], [0.1, 0.7, 0.3]], np.float32)
    x[1, 2] = x[1, 1]
    found = judge("a = mul(x, 0.3); b = argmax_reduce(a, axes = [1]); y = copy(b);", tmp_path, x)
    assert found.unstable.ravel().tolist() == [False, True]


@pytest.mark.parametrize(
    ("values", "weakness"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], None),
        ([[0.0, 0.0], [0.0, 0.0]], "is all zeros"),
        ([[1.0, 2.0], [1.0, 2.0]], "is the same for all inputs"),
        ([[np.nan, np.inf], [np.nan, np.nan]], "is infinite or not a number everywhere"),
        ([[np.nan, 1.0, np.nan], [np.nan, 2.0, np.nan]], "is infinite or not a number in 67% of its items"),
        ([[1.0, 1.0], [1.00001, 1.0]], "hardly varies: by 1.0e-05 of its magnitude, close to rounding"),
        ([[0.0, 1.0] * 8, [1.0, 0.0] * 8], "is saturated: nearly all items are at one of its two ends"),
        ([[], []], "has no items"),
    ],
)
def test_weaknesses(values: list[list[float]], weakness: str | None) -> None:
    evidence = Evidence()
    for value in values:
        evidence.add(np.array(value, np.float32))
    assert evidence.weakness() == weakness


def test_outputs_that_vary_by_less_than_a_step_are_weak() -> None:
    evidence = Evidence()
    for value in ([0.5, 0.25], [0.5, 0.3]):
        evidence.add(np.array(value))
    assert evidence.weakness(0.01) is None
    assert evidence.weakness(0.1) == "varies by 0.05, less than the error of 0.1 that is accepted"
