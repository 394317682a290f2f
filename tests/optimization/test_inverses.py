"""Pairs of operations that cancel or merge."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.model import Graph
from nnef_tools.optimization.nnef.identities import remove_identities
from nnef_tools.optimization.nnef.inverses import cancel_inverses
from nnef_tools.optimization.nnef.unused import remove_unused

from .net import Net, check, types


def passes(graph: Graph) -> int:
    return cancel_inverses(graph) + remove_identities(graph) + remove_unused(graph)


CANCEL = {
    "neg": lambda n, x: n.neg(n.neg(x)),
    "rcp": lambda n, x: n.rcp(n.rcp(x)),
    "transpose": lambda n, x: n.transpose(n.transpose(x, axes=[0, 2, 3, 1]), axes=[0, 3, 1, 2]),
    "transpose of different lengths": lambda n, x: n.transpose(n.transpose(x, axes=[1, 0]), axes=[1, 0, 2]),
    "reshape": lambda n, x: n.reshape(n.reshape(x, shape=[0, -1]), shape=[2, 3, 1, 4]),
    "squeeze": lambda n, x: n.unsqueeze(n.squeeze(x, axes=[2]), axes=[2]),
    "unsqueeze": lambda n, x: n.squeeze(n.unsqueeze(x, axes=[0, 3]), axes=[3, 0]),
    "squeeze as reshape": lambda n, x: n.reshape(n.squeeze(x, axes=[2]), shape=[2, 3, 1, 4]),
    "split": lambda n, x: n.concat(list(n.split(x, axis=1, ratios=[1, 2])), axis=1),
    "unstack": lambda n, x: n.stack(list(n.unstack(x, axis=1)), axis=1),
    "three": lambda n, x: n.neg(n.neg(n.rcp(n.neg(n.neg(n.rcp(x)))))),
}


@pytest.mark.parametrize("pair", CANCEL.values(), ids=CANCEL.keys())
def test_canceled(net: Net, pair: Callable[..., Any]) -> None:
    graph = net.done(net.exp(pair(net, net.sin(net.external(2, 3, 1, 4)))))
    check(graph, passes, ["sin", "exp"])


@pytest.mark.parametrize("pair", CANCEL.values(), ids=CANCEL.keys())
def test_between_an_input_and_an_output_a_copy_remains(net: Net, pair: Callable[..., Any]) -> None:
    check(net.done(pair(net, net.external(2, 3, 1, 4))), passes, ["copy"])


def logical(net: Net, *pairs: tuple[str | type[Any], ...]) -> Graph:
    """Applies operations of given result types to a logical input."""
    y = net.external(3, dtype=np.bool_)
    for type, dtype in pairs:
        y = net.op(type, y, dtype=dtype)
        y.dtype = dtype
    return net.done(getattr(net, "not")(y))


@pytest.mark.parametrize(
    "pairs",
    [
        [("not", np.bool_), ("not", np.bool_)],
        [("cast", np.float32), ("cast", np.bool_)],
        [("cast", np.int64), ("cast", np.bool_)],
    ],
)
def test_logical_pairs(net: Net, pairs: list[tuple[str | type[Any], ...]]) -> None:
    graph = logical(net, *pairs)
    graph.outputs[0].dtype = np.bool_
    check(graph, passes, ["not"])


def test_a_cast_that_rounds_stays(net: Net) -> None:
    y = net.cast(net.external(3), dtype=np.int64)
    y.dtype = np.int64
    check(net.done(net.neg(net.cast(y, dtype=np.float32))), passes, ["cast", "cast", "neg"])


@pytest.mark.parametrize("type", ["relu", "abs", "sign", "floor", "ceil", "round"])
def test_idempotent(net: Net, type: str) -> None:
    y = net.op(type, net.op(type, net.op(type, net.external(2, 3))))
    check(net.done(net.exp(y)), passes, [type, "exp"])


def test_split_of_concat(net: Net) -> None:
    x = [net.neg(net.external(2, 1)), net.neg(net.external(2, 2))]
    a, b = net.split(net.concat(x, axis=1), axis=1, ratios=[1, 2])
    check(net.done(net.exp(a), net.sin(b)), passes, ["neg", "neg", "exp", "sin"])


def test_unstack_of_stack(net: Net) -> None:
    a, b = net.unstack(net.stack([net.external(2), net.external(2)], axis=0), axis=0)
    check(net.done(net.exp(a), net.sin(b)), passes, ["exp", "sin"])


# merged pairs


def test_transposes_compose_in_the_right_order(net: Net) -> None:
    for first, second in itertools.product(itertools.permutations(range(3)), repeat=2):
        net.__init__()
        y = net.transpose(net.transpose(net.external(2, 3, 4, 5), axes=list(first)), axes=list(second))
        check(
            net.done(net.exp(y)),
            passes,
            ["exp"] if [first[k] for k in second] == [0, 1, 2] else ["transpose", "exp"],
        )


@pytest.mark.parametrize(
    ("shape", "first", "second"),
    [
        ((1, 2, 1, 3, 1), [0], [1]),
        ((1, 2, 1, 3, 1), [2, 4], [0]),
        ((1, 1, 1, 2), [1], [0, 1]),
        ((1, 1, 1, 2), [0, 2], [0]),
    ],
)
def test_squeezes_and_unsqueezes_merge(net: Net, shape: tuple[int, ...], first: list[int], second: list[int]) -> None:
    graph = net.done(net.exp(net.squeeze(net.squeeze(net.external(*shape), axes=first), axes=second)))
    check(graph, passes, ["squeeze", "exp"])
    net.__init__()
    graph = net.done(net.exp(net.unsqueeze(net.unsqueeze(net.external(2, 3), axes=first[:1]), axes=second)))
    check(graph, passes, ["unsqueeze", "exp"])


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ([6, 4], [3, -1], [3, -1]),
        ([0, -1], [0, 2, 6], [0, 2, 6]),
        ([2, -1], [0, 2, 6], [2, 2, 6]),
    ],
)
def test_reshapes_merge(net: Net, first: list[int], second: list[int], merged: list[int]) -> None:
    graph = net.done(net.exp(net.reshape(net.reshape(net.external(2, 3, 4), shape=first), shape=second)))
    check(graph, passes, ["reshape", "exp"])
    assert graph.operations[1].attribs["shape"] == merged


@pytest.mark.parametrize("first", ["squeeze", "unsqueeze"])
def test_copied_extents_before_the_axes_merge(net: Net, first: str) -> None:
    x = net.external(2, 3, 1, 4)
    graph = net.done(net.exp(net.reshape(getattr(net, first)(x, axes=[2]), shape=[0, 0, 2, 2])))
    check(graph, passes, ["reshape", "exp"])
    assert graph.operations[1].attribs["shape"] == [0, 0, 2, 2]
    net.__init__()
    y = getattr(net, first)(net.external(1, 1, 4), axes=[0])
    check(net.done(net.exp(net.reshape(y, shape=[0, 2, 2]))), passes, [first, "reshape", "exp"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"shape": [-1, 4]}, {"shape": [0, 2, 2]}),
        ({"shape": [6, 4]}, {"shape": [2, 2], "axis_start": 1}),
        ({"shape": [12], "axis_start": 1}, {"shape": [0, 6, 2]}),
    ],
)
def test_reshapes_that_depend_on_each_other_stay(net: Net, first: dict[str, Any], second: dict[str, Any]) -> None:
    y = net.reshape(net.reshape(net.external(2, 3, 4), **first), **second)
    check(net.done(net.exp(y)), passes, ["reshape", "reshape", "exp"])


def test_a_fork_keeps_the_first(net: Net) -> None:
    t = net.transpose(net.external(2, 3), axes=[1, 0])
    graph = net.done(net.exp(net.transpose(t, axes=[1, 0])), net.sin(t))
    check(graph, passes, ["transpose", "exp", "sin"])


def test_an_output_in_the_middle_stays(net: Net) -> None:
    t = net.neg(net.external(2, 3))
    check(net.done(t, net.exp(net.neg(t))), passes, ["neg", "exp"])


STAY = {
    "different axes": lambda n, x: n.unsqueeze(n.squeeze(x, axes=[2]), axes=[0]),
    "other order": lambda n, x: n.concat(list(n.split(x, axis=1, ratios=[1, 2]))[::-1], axis=1),
    "a part": lambda n, x: n.concat(list(n.split(x, axis=1, ratios=[1, 1, 1]))[:2], axis=1),
    "other axis": lambda n, x: n.concat(list(n.split(x, axis=0, ratios=[1, 1])), axis=1),
    "other parts": lambda n, x: n.split(n.concat([x, x, n.copy(x)], axis=1), axis=1, ratios=[1, 1, 1])[0],
    "exp": lambda n, x: n.exp(n.exp(x)),
}


@pytest.mark.parametrize("pair", STAY.values(), ids=STAY.keys())
def test_what_is_no_pair_stays(net: Net, pair: Callable[..., Any]) -> None:
    graph = net.done(net.exp(pair(net, net.sin(net.external(2, 3, 1, 4)))))
    check(graph, cancel_inverses, types(graph))


def test_parts_of_other_sizes_stay(net: Net) -> None:
    parts = [net.external(2, 1), net.external(2, 3)]
    a, b = net.split(net.concat(parts, axis=1), axis=1, ratios=[1, 1])
    graph = net.done(net.exp(a), net.sin(b))
    check(graph, cancel_inverses, types(graph))


def test_a_quantized_intermediate_stays(net: Net) -> None:
    t = net.neg(net.external(2, 3))
    t.quant = {"op-name": "zero_point_linear_quantize"}
    graph = net.done(net.exp(net.neg(t)))
    check(graph, cancel_inverses, types(graph))
