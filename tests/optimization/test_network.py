"""Minimum cuts against all cuts; permutations against numpy."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from nnef_tools.optimization.layout.network import SINK, SOURCE, Network
from nnef_tools.optimization.layout.permutations import (
    compose,
    identity,
    inverse,
    moves_items,
    permuted,
    with_axes,
    without_axes,
)


@pytest.mark.parametrize("seed", range(40))
def test_the_cut_is_the_least_of_all_cuts(seed: int) -> None:
    random = np.random.default_rng(seed)
    nodes = list(range(random.integers(1, 7)))
    edges = {}
    for _ in range(random.integers(1, 20)):
        start, end = random.choice([SOURCE, SINK, *nodes], 2, replace=False)
        edge = tuple(node if node in (SOURCE, SINK) else int(node) for node in (start, end))
        edges[edge] = edges.get(edge, 0) + int(random.integers(1, 9))
    network = Network()
    for (start, end), capacity in edges.items():
        network.connect(start, end, capacity)
    side = network.sink_side()
    assert SINK in side and SOURCE not in side

    def cost(sinks: set[Any]) -> int:
        return sum(capacity for (start, end), capacity in edges.items() if start not in sinks and end in sinks)

    cuts = [
        {SINK, *(n for n, chosen in zip(nodes, bits, strict=True) if chosen)}
        for bits in product([0, 1], repeat=len(nodes))
    ]
    least = min(map(cost, cuts))
    assert cost(side) == least
    assert len(side) == min(len(cut) for cut in cuts if cost(cut) == least)


@pytest.mark.parametrize("seed", range(20))
def test_permutations_mean_what_numpy_means(seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = int(random.integers(1, 6))
    shape = tuple(int(extent) for extent in random.integers(1, 4, rank))
    data = random.normal(size=shape)
    p, q = (tuple(int(axis) for axis in random.permutation(rank)) for _ in range(2))
    np.testing.assert_array_equal(data.transpose(compose(p, q)), data.transpose(p).transpose(q))
    np.testing.assert_array_equal(data.transpose(p).transpose(inverse(p)), data)
    assert compose(p, identity(rank)) == p
    assert data.transpose(p).shape == permuted(shape, p)
    if shape[0] != 1:
        same = np.array_equal(data.transpose(p).ravel(), data.ravel())
        assert moves_items(shape, p) == (not same)
    axes = sorted(int(axis) for axis in random.choice(rank, random.integers(0, rank), replace=False))
    ones = data[tuple(0 if axis in axes else slice(None) for axis in range(rank))]
    wide = np.expand_dims(ones, tuple(axes))
    left = np.squeeze(wide.transpose(p), tuple(p.index(axis) for axis in axes))
    np.testing.assert_array_equal(left, ones.transpose(without_axes(p, axes)))
    small = without_axes(p, axes)
    assert without_axes(with_axes(small, axes), axes) == small
    assert all(with_axes(small, axes)[axis] == axis for axis in axes)
