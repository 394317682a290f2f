"""The integers that tell something about a model, told by what it does with its inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools.execution.executor import TensorInfo
from nnef_tools.execution.feeds.distributions import parse_distribution
from nnef_tools.execution.feeds.input_ranges import InputRange, input_ranges
from nnef_tools.execution.feeds.sources import RandomSource
from nnef_tools.io.nnef import Reader

HEAD = (
    "version 1.0; extension KHR_enable_operator_expressions; graph net(x) -> (y) { x = external<integer>(shape = [5]); "
)
TABLE = "t = constant<scalar>(shape = [8], value = [0.0]); "
PLACES = "t = constant<scalar>(shape = [1, 4], value = [0.0, 1.0, 2.0, 3.0]); "


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (TABLE + "y = gather(t, x, axis = 0);", (0, 7, True)),
        (TABLE + "u = cast<scalar>(x); v = u + 2.0; i = cast<integer>(v); y = gather(t, i);", (0, 5, True)),
        (TABLE + "u = cast<scalar>(x); v = 7.0 - u; i = cast<integer>(v); y = gather(t, i);", (0, 7, True)),
        (TABLE + "u = cast<scalar>(x); v = u * 2.0; i = cast<integer>(v); y = gather(t, i);", (0, 3, True)),
        (TABLE + "u = unsqueeze(x, axes = [1]); v = tile(u, repeats = [1, 2]); y = gather(t, v);", (0, 7, True)),
        (TABLE + "a = gather(t, x); s = constant<scalar>(shape = [3], value = [0.0]); b = gather(s, x); y = a + b;",
         (0, 2, True)),
        # an index that may be negative, which counts from the end of the table
        (TABLE + "u = cast<scalar>(x); n = u < 0.0; e = u + 8.0; v = select(n, e, u); i = cast<integer>(v); "
         "y = gather(t, i);", (0, 7, True)),
        (TABLE + "u = cast<scalar>(x); n = u < 0.0; e = u + 8.0; k = cast<scalar>(n); m = cast<scalar>(!n); a = k * e; "
         "b = m * u; v = a + b; i = cast<integer>(v); y = gather(t, i);", (0, 7, True)),
        # a length, which may be that of the whole axis; in pieces of 10
        (PLACES + "u = cast<scalar>(x); v = unsqueeze(u, axes = [1]); y = t < v;", (0, 4, False)),
        (PLACES + "u = cast<scalar>(x); w = u / 10.0; v = unsqueeze(w, axes = [1]); y = t < v;", (0, 40, False)),
        # one of several classes
        (PLACES + "u = cast<scalar>(x); v = unsqueeze(u, axes = [1]); y = t == v;", (0, 3, False)),
        # masks
        ("u = cast<scalar>(x); v = 1.0 - u; y = v * -10000.0;", (0, 1, False)),
        ("u = cast<scalar>(x); y = u != 0.0;", (0, 1, False)),
        # what is divided by
        ("u = cast<scalar>(x); y = 1.0 / u;", (1, 10, False)),
        ("u = cast<scalar>(x); y = u + 1.0;", None),
    ],
)  # fmt: skip
def test_ranges(body: str, expected: tuple[int, int, bool] | None, tmp_path: Path) -> None:
    (tmp_path / "graph.nnef").write_text(HEAD + body + " }")
    found = input_ranges(Reader()(tmp_path))
    assert found == [None if expected is None else InputRange(*expected)]


@pytest.mark.parametrize(
    ("body", "ones"),
    [
        (TABLE + "s = sum_reduce(u, axes = [1]); i = cast<integer>(s); y = gather(t, i);", (1, 6)),
        # positions behind a cache of two, of three tokens or more
        (TABLE + "s = sum_reduce(u, axes = [1]); v = s - 3.0; i = cast<integer>(v); y = gather(t, i);", (3, 6)),
        (PLACES + "s = sum_reduce(u, axes = [1]); y = t < s;", (1, 6)),
        # sums that are far beyond what is compared: a window
        (PLACES + "s = sum_reduce(u, axes = [1]); v = s - 4096.0; y = t <= v;", (1, 6)),
        (PLACES + "v = u * 2.0; s = sum_reduce(v, axes = [1]); y = t < s;", None),
        ("y = sum_reduce(u, axes = [1]);", None),
    ],
)
def test_rows_that_are_summed_to_lengths_are_masks(body: str, ones: tuple[int, int] | None, tmp_path: Path) -> None:
    head = HEAD.replace("shape = [5]", "shape = [2, 6]")
    (tmp_path / "graph.nnef").write_text(head + "u = cast<scalar>(x); " + body + " }")
    (found,) = input_ranges(Reader()(tmp_path))
    assert (None if found is None else found.ones) == ones
    if found is not None and ones:
        for seed in range(20):
            mask = RandomSource(None, seed, {"x": found}).load(TensorInfo("x", np.int64, (2, 6)))
            assert np.all(np.diff(mask, axis=1) <= 0) and set(mask.ravel()) <= {0, 1}
            assert np.all((mask.sum(axis=1) >= ones[0]) & (mask.sum(axis=1) <= ones[1]))


def test_random_integers_stay_in_limits() -> None:
    info, known = TensorInfo("x", int, (1000,)), {"x": InputRange(3, 5, is_limit=True)}
    for text in ("integers(-100, 100)", "normal(0, 1)", "uniform(0, 9)", None):
        distribution = None if text is None else parse_distribution(text)
        assert set(RandomSource(distribution, 0, known).load(info)) == {3, 4, 5}
    floats = RandomSource(None, 0, known).load(TensorInfo("x", np.float32, (1000,)))
    assert floats.dtype == np.float32 and set(floats.astype(int)) == {3, 4, 5} and floats.max() <= 5
    assert np.any(floats != np.floor(floats))
    telling = {"x": InputRange(3, 5, is_limit=False)}
    assert set(RandomSource(parse_distribution("integers(7, 8)"), 0, telling).load(info)) == {7, 8}
    assert set(RandomSource(parse_distribution("normal(0, 1)"), 0, telling).load(info)) == {3, 4, 5}
