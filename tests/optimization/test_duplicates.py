"""Operations that compute the same become one; concatenations of concatenations, too."""

from __future__ import annotations

import pytest

from nnef_tools.optimization.nnef.duplicates import merge_concats, share_operations

from .net import Net, check


def test_equal_operations_become_one(net: Net) -> None:
    x = net.external(2, 3)
    chains = [net.exp(net.mul(x, net.literal(2.0))) for _ in range(3)]
    graph = net.done(net.add(net.add(*chains[:2]), chains[2]))
    check(graph, share_operations, ["mul", "exp", "add", "add"])


def test_several_results_are_shared_one_for_one(net: Net) -> None:
    x = net.external(2, 6)
    (a, b), (c, d) = (net.split(x, axis=1, ratios=[1, 1]) for _ in range(2))
    check(net.done(net.sub(net.add(a, d), net.mul(c, b))), share_operations, ["split", "add", "mul", "sub"])


@pytest.mark.parametrize("second", [
    lambda n, x, y: n.mul(x, n.literal(3.0)),
    lambda n, x, y: n.mul(n.literal(2.0), y),
    lambda n, x, y: n.add(x, n.literal(2.0)),
])  # fmt: skip
def test_different_operations_stay(net: Net, second) -> None:  # type: ignore[no-untyped-def]
    x, y = net.external(2, 3), net.external(2, 3)
    graph = net.done(net.sub(net.mul(x, net.literal(2.0)), second(net, x, y)))
    types = [str(op.type) for op in graph.operations if op.type != "external"]
    check(graph, share_operations, types)


def test_attributes_count_with_their_defaults(net: Net) -> None:
    x = net.external(2, 3)
    graph = net.done(net.sub(net.softmax(x), net.softmax(x, axes=[1])), net.sub(net.softmax(x, axes=[0]), x))
    check(graph, share_operations, ["softmax", "sub", "softmax", "sub"])


def test_outputs_and_quantized_results_stay(net: Net) -> None:
    x = net.external(2, 3)
    rounded = net.exp(x)
    rounded.quant = {"op-name": "linear_quantize", "min": 0.0, "max": 8.0, "bits": 8}
    graph = net.done(net.exp(x), net.add(rounded, net.exp(x)))
    assert share_operations(graph) == 0


def test_literals_of_other_types_are_others(net: Net) -> None:
    x = net.external(2, 3)
    graph = net.done(net.add(net.pow(x, net.literal(0.0)), net.pow(x, net.literal(-0.0))))
    assert share_operations(graph) == 0


def test_concats_of_one_axis_become_one(net: Net) -> None:
    a, b, c = net.external(2, 1), net.external(2, 2), net.external(2, 3)
    inner = net.concat([net.concat([a, b], axis=1), c], axis=1)
    graph = net.done(net.exp(net.concat([b, inner, net.concat([c, c], axis=1)], axis=1)))
    check(graph, merge_concats, ["concat", "exp"])


def test_a_concat_that_is_used_twice_goes_into_both_places(net: Net) -> None:
    inner = net.concat([net.external(2, 1), net.external(2, 2)], axis=1)
    graph = net.done(net.exp(net.concat([inner, net.external(2, 1), inner], axis=1)))
    check(graph, merge_concats, ["concat", "exp"])


def test_concats_of_another_axis_or_with_another_use_stay(net: Net) -> None:
    a, b = net.external(2, 2), net.external(2, 2)
    other, used = net.concat([a, b], axis=0), net.concat([a, b], axis=1)
    graph = net.done(net.concat([net.concat([other, other], axis=1), net.concat([used, used], axis=0)], axis=0), used)
    before = [str(op.type) for op in graph.operations if op.type != "external"]
    check(graph, merge_concats, before[:-1])
