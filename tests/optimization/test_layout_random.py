"""Removal of transposes from random graphs: the numbers stay, and transposes never become more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.model import Graph, Tensor
from nnef_tools.model.verify import verify
from nnef_tools.optimization.nnef.layout import remaining_transposes, remove_transposes

from .net import Net, evaluate


def transposed(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    return n.transpose(x, axes=[int(k) for k in n.random.permutation(len(x.shape))])


def to_first(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    rank = len(x.shape)
    return n.transpose(x, axes=[0, rank - 1, *range(1, rank - 1)]) if rank > 2 else x


def to_last(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    rank = len(x.shape)
    return n.transpose(x, axes=[0, *range(2, rank), 1]) if rank > 2 else x


def constant(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    shape = tuple(pick([1, extent]) for extent in x.shape)[: pick([1, len(x.shape), len(x.shape)])]
    y = pick([n.variable(shape), 0.5])
    return n.op(pick(["add", "mul", "max"]), *([x, y] if pick([True, False]) else [y, x]))


def unary(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    return n.op(pick(["relu", "neg", "copy", "tanh"]), x)


def partner(n: Net, x: Tensor, values: list[Tensor], pick: Callable[..., Any]) -> Tensor:
    same = [v for v in values if v.shape == x.shape]
    if same:
        return n.op(pick(["add", "sub"]), x, pick(same))
    other = [v for v in values if sorted(v.shape) == sorted(x.shape)]
    if not other:
        return x
    y = pick(other)
    rest = list(range(len(y.shape)))
    axes = []
    for extent in x.shape:
        axis = next(k for k in rest if y.shape[k] == extent)
        rest.remove(axis)
        axes.append(axis)
    return n.concat([x, n.transpose(y, axes=axes)], axis=pick(range(len(axes))))


def convolution(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    if len(x.shape) < 3 or x.shape[1] > 8:
        return x
    return n.conv(x, n.variable((pick([2, 3]), x.shape[1], *[1] * (len(x.shape) - 2))))


def product(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    flags = {"transposeA": pick([True, False]), "transposeB": pick([True, False])}
    inner = x.shape[-2 if flags["transposeA"] else -1]
    batch = [pick([1, extent]) for extent in x.shape[:-2]]
    return n.matmul(x, n.variable((*batch, *((3, inner) if flags["transposeB"] else (inner, 3)))), **flags)


def square(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    flag = pick([True, False])
    return n.matmul(x, x, transposeA=flag, transposeB=not flag)


def movement(n: Net, x: Tensor, pick: Callable[..., Any]) -> Tensor:
    rank = len(x.shape)
    axis = pick(range(rank))
    extent = x.shape[axis]
    full = [(0, 0)] * axis + [(1, 0)] + [(0, 0)] * (rank - axis - 1)
    window = [pick([1, 2 if extent > 1 else 1]) for extent in x.shape]
    return pick(
        [
            lambda: n.slice(x, axes=[axis], begin=[0], end=[max(1, extent - 1)]),
            lambda: n.pad(x, padding=full, border=pick(["constant", "replicate"])),
            lambda: n.tile(x, repeats=[2 if k == axis else 1 for k in range(rank)]),
            lambda: n.mean_reduce(x, axes=sorted({axis, pick(range(rank))})),
            lambda: n.softmax(x, axes=[axis]),
            lambda: n.moments(x, axes=[axis])[1],
            lambda: n.max_pool(x, size=window, padding=pick([[], [(0, 0)] * rank]), stride=window),
            lambda: n.argmax_reduce(x, axes=sorted({axis, pick(range(rank))}), dtype=np.int64) and x,
            lambda: n.max_pool_with_index(x, size=window, padding=[(0, 0)] * rank)[0],
            lambda: n.local_response_normalization(x, size=[3 if k == axis else 1 for k in range(rank)]),
            lambda: n.cum_sum(x, axis=axis - rank),
            lambda: n.top_k(x, k=1, axis=axis)[0],
            lambda: n.unsqueeze(x, axes=[axis]) if rank < 5 else x,
            lambda: n.squeeze(x, axes=[axis]) if extent == 1 and rank > 2 else x,
            lambda: n.reshape(x, shape=[0, -1]) if rank > 2 else x,
            lambda: n.reshape(x, shape=[-1], axis_start=axis, axis_count=min(2, rank - axis)) if rank > 2 else x,
            lambda: (
                n.reshape(x, shape=[extent // 2, 2], axis_start=axis, axis_count=1)
                if extent % 2 == 0 and rank < 5
                else x
            ),
            lambda: n.stack([x, n.variable(x.shape)], axis=axis) if rank < 5 else x,
            lambda: n.unstack(x, axis=axis)[-1] if rank > 2 else x,
            lambda: n.split(x, axis=axis, ratios=[1] * extent)[0],
            lambda: n.concat([n.variable(x.shape), x], axis=axis),
            lambda: (
                n.gather(x, n.variable(np.array(pick([0, [0], [[0, 0]], [0, extent - 1]]))), axis=axis)
                if 2 < rank < 5
                else x
            ),
            lambda: n.select(n.op("gt", x, 0.0, dtype=np.bool_), x, n.variable(x.shape)),
        ]
    )()


STEPS = [transposed, to_first, to_last, to_first, to_last, constant, unary, convolution, movement, movement, product]


@pytest.mark.parametrize("seed", range(150))
def test_numbers_stay_and_transposes_do_not_become_more(net: Net, seed: int) -> None:
    random = np.random.default_rng(seed)

    def pick(items: Any) -> Any:
        return items[random.integers(len(items))]

    values = [net.external(1, 4, 3, 2), net.external(2, 3, 4), transposed(net, net.variable((1, 2, 3, 4)), pick)]
    for _ in range(24):
        source = values[-1] if random.random() < 0.7 else pick(values)
        step = pick([*STEPS, partner, partner, square])
        result = step(net, source, values, pick) if step is partner else step(net, source, pick)
        if result is not source and 0 < result.volume < 3000 and 2 <= len(result.shape) <= 5:
            values.append(result)
    outputs = [t for t in dict.fromkeys([values[-1], pick(values[3:]), pick(values[3:])]) if t.producer]
    graph = net.done(*outputs)
    interface = [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)]
    before = evaluate(graph)
    places, items = transposes(graph)
    count = remove_transposes(graph)
    verify(graph)
    assert [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)] == interface
    left, left_items = transposes(graph)
    assert left <= places and left_items <= items
    assert left == len(remaining_transposes(graph))
    assert count >= places - left
    for operation in graph.operations:
        if operation.type == "variable":
            assert tuple(operation.attribs["shape"]) == operation.output.shape == operation.output.data.shape
    for old, new in zip(before, evaluate(graph), strict=True):
        scale = max(1.0, float(np.abs(old).max(initial=0)))
        np.testing.assert_allclose(new / scale, old / scale, rtol=0, atol=1e-5)
    assert remove_transposes(graph) == 0


def transposes(graph: Graph) -> tuple[int, ...]:
    found = [op for op in graph.operations if op.type == "transpose"]
    return len(found), sum(op.output.volume for op in found)
