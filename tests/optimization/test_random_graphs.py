"""The whole optimizer over random graphs: the numbers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.model import Tensor
from nnef_tools.model.verify import verify
from nnef_tools.optimization.nnef_optimizer import Optimizer

from .net import Net, evaluate


def unary(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    return n.op(pick(["relu", "neg", "abs", "copy", "floor", "sigmoid", "sin"]), x)


def arithmetic(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    shape = pick([(), (1, x.shape[1]), (1, 1), x.shape, (1,)])
    type = pick(["add", "sub", "mul", "div"])
    data = n.random.uniform(0.5, 1.5, size=shape).astype(np.float32) * pick([1, -1])
    data = pick([data, data, np.float32(type in ("mul", "div")) + 0 * data])
    constant = n.literal(data) if shape == () else n.variable(data)
    return n.op(type, *([constant, x] if type != "div" and pick([True, False]) else [x, constant]))


def normalization(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    parameters = [n.random.uniform(0.5, 1.5, size=(1, x.shape[1])).astype(np.float32) for _ in range(4)]
    return n.batch_normalization(x, *map(n.variable, parameters), epsilon=1e-3)


def convolution(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    if len(x.shape) != 4:
        return x
    padding = pick([[], [(0, 0), (0, 0)], [(1, 0), (1, 1)]])
    size = pick([(1, 1), (2, 2)])
    filters = n.random.normal(size=(x.shape[1], x.shape[1], *size)).astype(np.float32) * 0.4
    border = pick(["constant", "replicate"])
    return n.conv(x, n.variable(filters), padding=padding if min(x.shape[2:]) > 1 else [], border=border)


def padding(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    return n.pad(x, padding=[(0, 0), (0, 0)] + [pick([(0, 0), (1, 0)])] * (len(x.shape) - 2))


def movement(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    rank = len(x.shape)
    return pick(
        [
            lambda: n.transpose(x, axes=[0, 1, *range(rank - 1, 1, -1)]),
            lambda: n.reshape(x, shape=[0, 0, -1, 1]),
            lambda: n.unsqueeze(x, axes=[rank]) if rank < 5 else x,
            lambda: n.squeeze(x, axes=[rank - 1]) if rank > 2 and x.shape[-1] == 1 else x,
            lambda: n.concat(list(n.unstack(x, axis=0)), axis=0) if x.shape[0] > 1 and rank > 2 else x,
            lambda: n.slice(x, axes=[1], begin=[0], end=[x.shape[1]]),
        ]
    )()


STEPS = [unary, arithmetic, arithmetic, normalization, convolution, convolution, padding, movement, movement]


@pytest.mark.parametrize("seed", range(60))
def test_numbers_stay(net: Net, seed: int) -> None:
    random = np.random.default_rng(seed)

    def pick(items: list[Any]) -> Any:
        return items[random.integers(len(items))]

    values = [net.external(1, 3, 4, 4), net.relu(net.variable((1, 3, 2, 2)))]
    for _ in range(14):
        source = values[-1] if random.random() < 0.8 else pick(values)
        result = pick(STEPS)(net, source, pick)
        if result is not source and 0 < result.volume < 5000:
            values.append(result)
    outputs = list(dict.fromkeys([values[-1], pick(values[2:])]))
    graph = net.done(*outputs)
    names = [tensor.name for tensor in graph.outputs]
    before = evaluate(graph)
    Optimizer(debug=True)(graph)
    verify(graph)
    assert [tensor.name for tensor in graph.outputs] == names
    for old, new in zip(before, evaluate(graph), strict=True):
        scale = max(1.0, float(np.abs(old).max(initial=0)))
        np.testing.assert_allclose(new / scale, old / scale, rtol=0, atol=2e-4)
