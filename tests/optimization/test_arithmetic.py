"""Additions, and multiplications, of several constants become one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.model import Tensor
from nnef_tools.optimization.nnef.arithmetic import merge_arithmetic

from .net import Net, check, types


def positive(n: Net, *shape: int) -> Tensor:
    return n.variable(np.abs(n.random.normal(size=shape)).astype(np.float32) + 0.5)


MERGED = {
    "add add": (lambda n, x: n.add(n.add(x, n.variable((1, 3))), n.variable((1, 3))), "add"),
    "add literals": (lambda n, x: n.add(2.0, n.add(x, 3.0)), "add"),
    "add sub": (lambda n, x: n.sub(n.add(n.variable((1, 3)), x), n.variable((1, 3, 1))), "add"),
    "sub sub": (lambda n, x: n.sub(n.sub(x, 1.0), n.variable((2, 3, 4))), "add"),
    "mul mul": (lambda n, x: n.mul(n.mul(x, n.variable((1, 3))), n.variable((1,))), "mul"),
    "mul div": (lambda n, x: n.div(n.mul(n.variable((1, 3)), x), positive(n, 1, 3)), "mul"),
    "div div": (lambda n, x: n.div(n.div(x, positive(n, 1, 3)), 4.0), "mul"),
    "extends the rank": (lambda n, x: n.mul(n.mul(x, 2.0), n.variable((1, 1, 1, 2))), "mul"),
}


@pytest.mark.parametrize(("pair", "type"), MERGED.values(), ids=MERGED.keys())
def test_merged(net: Net, pair: Callable[..., Any], type: str) -> None:
    check(net.done(net.relu(pair(net, net.external(2, 3, 4)))), merge_arithmetic, [type, "relu"])


def test_many(net: Net) -> None:
    y = net.external(2, 3)
    for k in range(20):
        y = net.add(y, net.variable((1, 3))) if k % 2 else net.sub(y, 1.5)
    check(net.done(net.relu(y)), merge_arithmetic, ["add", "relu"])


STAY = {
    "mixed": lambda n, x: n.mul(n.add(x, 1.0), 2.0),
    "sub from": lambda n, x: n.add(n.sub(1.0, x), 2.0),
    "from sub": lambda n, x: n.sub(1.0, n.add(x, 2.0)),
    "constant divided": lambda n, x: n.mul(n.div(1.0, n.exp(x)), 2.0),
    "growing": lambda n, x: n.add(n.add(x, n.variable((1, 3))), n.variable((1, 1, 4))),
    "not constant": lambda n, x: n.add(n.add(x, n.external(1, 3)), 1.0),
    "division by zero": lambda n, x: n.mul(n.div(x, 0.0), 2.0),
    "overflow": lambda n, x: n.mul(n.mul(x, 1e-30), 1e-30),
}


@pytest.mark.parametrize("pair", STAY.values(), ids=STAY.keys())
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_others_stay(net: Net, pair: Callable[..., Any]) -> None:
    graph = net.done(net.relu(pair(net, net.external(2, 3, 4))))
    check(graph, merge_arithmetic, types(graph))


def test_fork(net: Net) -> None:
    t = net.add(net.external(2, 3), 1.0)
    check(net.done(net.add(t, 1.0), net.relu(t)), merge_arithmetic, ["add", "add", "relu"])


def test_output_in_the_middle(net: Net) -> None:
    t = net.add(net.external(2, 3), 1.0)
    check(net.done(net.add(t, 1.0), t), merge_arithmetic, ["add", "add"])


def test_quantized_intermediate(net: Net) -> None:
    t = net.add(net.external(2, 3), 1.0)
    t.quant = {"op-name": "zero_point_linear_quantize"}
    check(net.done(net.add(t, 1.0)), merge_arithmetic, ["add", "add"])


def test_shared_constants_are_not_changed(net: Net) -> None:
    c, x = net.variable((1, 3)), net.external(2, 3)
    check(net.done(net.add(net.add(x, c), c), net.relu(c)), merge_arithmetic, ["add", "relu"])


def test_integers_stay(net: Net) -> None:
    """Arithmetic on integers is not standard; whether it wraps is not known."""
    x = net.external(2, 3, dtype=np.int64)
    graph = net.done(net.add(net.add(x, net.literal(1, np.int64)), net.literal(1, np.int64)))
    assert merge_arithmetic(graph) == 0


@pytest.mark.parametrize("sizes", [((1, 3), (1, 1)), ((1, 1), (1, 3)), ((1, 3), (1, 3))])
def test_the_larger_constant_keeps_its_name(net: Net, sizes: tuple[tuple[int, ...], ...]) -> None:
    """The first of two of one size."""
    first, second = (net.variable(size, label=label) for size, label in zip(sizes, "ab", strict=True))
    graph = net.done(net.add(net.add(net.external(2, 3), first), second))
    assert merge_arithmetic(graph) == 1
    (added,) = (op for op in graph.operations if op.type == "add")
    assert added.inputs[1] is (second if sizes[1] > sizes[0] else first)
