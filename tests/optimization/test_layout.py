"""Removal of transposes from NNEF graphs, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import verify
from nnef_tools.ops.registry import operations
from nnef_tools.optimization.nnef.layout import remaining_transposes, remove_transposes, run_layout
from nnef_tools.optimization.nnef.layout_rules import RULES
from nnef_tools.optimization.nnef_optimizer import Optimizer

from .net import Net, check, evaluate, types

FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]


# --- transposes among themselves


def test_inverse_transposes_cancel(net: Net) -> None:
    x = net.external(2, 3, 4, 5)
    check(net.done(net.relu(net.transpose(net.transpose(x, axes=FIRST), axes=LAST))), remove_transposes, ["relu"])


def test_successive_transposes_become_one(net: Net) -> None:
    x = net.external(2, 3, 4, 5)
    y = net.transpose(net.transpose(net.transpose(x, axes=FIRST), axes=FIRST), axes=[1, 0])
    graph = net.done(net.conv(y, net.variable((2, 2, 1, 1))))
    check(graph, remove_transposes, ["transpose", "conv"])
    assert [op.attribs["axes"] for op in graph.operations if op.type == "transpose"] == [[2, 0, 3, 1]]


def test_equal_transposes_are_shared(net: Net) -> None:
    x = net.external(2, 3, 4, 5)
    a, b = (net.conv(net.transpose(x, axes=FIRST), net.variable((2, 5, 1, 1))) for _ in range(2))
    check(net.done(a, b), remove_transposes, ["transpose", "conv", "conv"])


def test_branches_that_read_an_input_share_a_transpose(net: Net) -> None:
    """Three transposes of parts become one of the whole."""
    x = net.external(2, 6, 4, 5)
    parts = [net.slice(x, axes=[1], begin=[k], end=[k + 2]) for k in (0, 2, 4)]
    graph = net.done(*(net.conv(net.transpose(y, axes=FIRST), net.variable((2, 5, 1, 1))) for y in parts))
    check(graph, remove_transposes, ["transpose", *["slice"] * 3, *["conv"] * 3])


def test_what_does_nothing_and_what_nothing_uses_goes(net: Net) -> None:
    x = net.external(2, 3, 4)
    net.transpose(x, axes=[1, 0])
    check(net.done(net.relu(net.transpose(x, axes=[0, 1]))), remove_transposes, ["relu"])


def test_a_settled_graph_is_left_alone(net: Net) -> None:
    x = net.external(2, 3, 4, 5)
    graph = net.done(net.transpose(net.conv(net.transpose(x, axes=FIRST), net.variable((2, 5, 1, 1))), axes=LAST))
    before = list(graph.tensors)
    assert remove_transposes(graph) == 0
    assert types(graph) == ["transpose", "conv", "transpose"] and list(graph.tensors) == before


def test_inputs_and_outputs_keep_their_axes(net: Net) -> None:
    x = net.external(2, 3, 4, name="x")
    y = net.transpose(x, axes=[0, 2, 1], name="y")
    z = net.transpose(y, axes=[0, 2, 1], name="z")
    graph = net.done(y, z, net.relu(x))
    check(graph, remove_transposes, ["relu", "copy", "transpose"])
    assert [t.shape for t in graph.outputs] == [(2, 4, 3), (2, 3, 4), (2, 3, 4)]


def test_a_result_in_two_layouts_that_are_both_outputs(net: Net) -> None:
    x = net.external(2, 3, 4)
    y = net.transpose(net.relu(net.transpose(x, axes=[0, 2, 1], name="t")), axes=[0, 2, 1], name="y")
    graph = net.done(y, y.producer.input)
    check(graph, remove_transposes, ["relu", "transpose"])


def test_transposes_go_to_the_edge_of_the_graph(net: Net) -> None:
    x = net.external(2, 6, 6, 3)
    y = net.conv(net.transpose(net.mul(x, 0.5), axes=FIRST), net.variable((4, 3, 3, 3)))
    graph = net.done(net.sigmoid(net.add(net.transpose(y, axes=LAST), net.variable((1, 1, 1, 4)))))
    check(graph, remove_transposes, ["transpose", "mul", "conv", "add", "sigmoid", "transpose"])
    shapes = [str(op.output.shape) for op in graph.operations if op.type == "variable"]
    assert shapes == ["(4, 3, 3, 3)", "(1, 4)"]
    assert remaining_transposes(graph) == [
        f"axes {FIRST} of shape [2, 6, 6, 3], from input '{graph.inputs[0].name}' to mul",
        f"axes {LAST} of shape [2, 4, 6, 6], from sigmoid to output '{graph.outputs[0].name}'",
    ]


def test_they_move_to_where_they_move_less(net: Net) -> None:
    x = net.external(2, 6, 6, 3)
    y = net.conv(net.transpose(net.max_reduce(x, axes=[1]), axes=FIRST), net.variable((4, 3, 1, 1)))
    z = net.softmax(net.slice(net.transpose(y, axes=LAST), axes=[2], begin=[1], end=[3]), axes=[3])
    graph = net.done(z)
    check(graph, remove_transposes, ["max_reduce", "transpose", "conv", "slice", "softmax", "transpose"])


# --- through operations

UNARY = ["copy", "neg", "abs", "sin", "sqr", "relu", "sigmoid", "gelu", "silu", "erf"]
CASES = {
    "cast": lambda n, x: n.op("cast", x, dtype=np.int64),
    "leaky_relu": lambda n, x: n.leaky_relu(x, alpha=0.1),
    "copy_n": lambda n, x: n.copy_n(x, times=2)[1],
    "add": lambda n, x: n.add(x, n.variable((1, 1, 1, 5))),
    "sub from lower rank": lambda n, x: n.sub(n.variable((2, 3)), x),
    "mul by scalar": lambda n, x: n.mul(2.0, x),
    "div by itself": lambda n, x: n.div(x, n.add(n.sqr(x), 1.0)),
    "prelu": lambda n, x: n.prelu(x, n.variable((1, 3))),
    "clamp": lambda n, x: n.clamp(x, n.variable((1, 1, 1, 5)), 2.0),
    "select": lambda n, x: n.select(n.op("gt", x, 0.0, dtype=np.bool_), x, n.variable((1, 3, 1, 5))),
    "add_n": lambda n, x: n.add_n([x, n.variable((2, 3, 4, 5)), x]),
    "linear_quantize": lambda n, x: n.linear_quantize(x, n.variable(-np.ones((1, 3), np.float32)), 2.0, bits=4),
    "mean_reduce": lambda n, x: n.add(x, n.mean_reduce(x, axes=[1, 2])),
    "argmax_reduce": lambda n, x: n.add(x, n.op("cast", n.op("argmax_reduce", x, axes=[1, 2], dtype=np.int64))),
    "moments": lambda n, x: n.sub(x, n.moments(x, axes=[3])[0]),
    "softmax": lambda n, x: n.softmax(x, axes=[3]),
    "l2_normalization": lambda n, x: n.l2_normalization(x, axes=[3, 1]),
    "concat": lambda n, x: n.concat([x, n.variable((2, 3, 4, 1)), x], axis=3),
    "split": lambda n, x: n.concat(n.split(x, axis=2, ratios=[1, 3])[::-1], axis=2),
    "stack": lambda n, x: n.squeeze(n.slice(n.stack([n.neg(x), x], axis=4), axes=[4], begin=[1], end=[2]), axes=[4]),
    "unstack": lambda n, x: n.stack(n.unstack(x, axis=1)[::-1], axis=1),
    "squeeze": lambda n, x: n.squeeze(n.relu(n.unsqueeze(x, axes=[0, 3])), axes=[0, 3]),
    "slice": lambda n, x: n.slice(x, axes=[3, 1], begin=[4, 0], end=[-6, 0], stride=[-1, 1]),
    "strided slice": lambda n, x: n.slice(x, axes=[3, 2], begin=[0, 1], end=[5, 3], stride=[2, 1]),
    "pad": lambda n, x: n.pad(x, padding=[(0, 0), (1, 0), (2, 1), (0, 3)], border="reflect"),
    "tile": lambda n, x: n.tile(x, repeats=[1, 2, 1, 3]),
    "gather": lambda n, x: n.gather(x, n.variable(np.array([2, 0, 2])), axis=1),
    "gather_elements": lambda n, x: n.gather_elements(x, n.variable(np.full((2, 3, 1, 5), 2)), axis=-2),
    "scatter_elements": lambda n, x: n.scatter_elements(
        x, n.variable(np.full((2, 1, 4, 5), 2)), n.variable((2, 1, 4, 5)), axis=1
    ),
    "cum_sum": lambda n, x: n.cum_sum(x, axis=-1, exclusive=True),
    "top_k": lambda n, x: n.top_k(x, k=2, axis=2)[0],
    "max_pool": lambda n, x: n.max_pool(x, size=[1, 2, 3, 1], stride=[1, 1, 2, 1], padding=[], dilation=[]),
    "box": lambda n, x: n.box(x, size=[1, 2, 3, 1], padding=[(0, 0), (0, 1), (1, 1), (0, 0)], border="ignore"),
    "debox": lambda n, x: n.debox(
        x, size=[1, 2, 3, 1], stride=[1, 2, 2, 1], padding=[(0, 0)] * 4, output_shape=[2, 6, 9, 5]
    ),
    "max_pool_with_index": lambda n, x: n.add(
        *(n.op("cast", t) for t in n.max_pool_with_index(x, size=[1, 2, 2, 1], padding=[]))
    ),
    "sample": lambda n, x: n.sample(
        x, n.argmax_pool(x, size=[1, 2, 2, 1], padding=[(0, 0)] * 4), size=[1, 2, 2, 1], padding=[(0, 0)] * 4
    ),
    "desample": lambda n, x: n.desample(
        x, n.variable(np.ones((2, 3, 4, 5), np.int64)), size=[1, 2, 2, 1], padding=[(0, 0)] * 4
    ),
    "local_response_normalization": lambda n, x: n.local_response_normalization(x, size=[1, 1, 1, 3]),
    "reshape that splits": lambda n, x: n.reshape(n.tanh(n.reshape(x, shape=[0, 0, 2, 2, -1])), shape=[2, 3, 4, 5]),
    **{name: (lambda type: lambda n, x: n.op(type, x))(name) for name in UNARY},
}
# where positions are numbered row by row, so that axes stay in order: what is left otherwise
NUMBERED = {"argmax_reduce": 1, "max_pool_with_index": 2, "sample": 2, "desample": 2}


@pytest.mark.parametrize("name", CASES)
def test_operations_work_in_another_layout(net: Net, name: str) -> None:
    x = net.external(2, 5, 3, 4)
    y = CASES[name](net, net.transpose(x, axes=LAST))
    graph = net.done(net.transpose(y, axes=FIRST) if len(y.shape) == 4 else y)
    assert left(graph) == 0


@pytest.mark.parametrize("name", [name for name in CASES if name not in NUMBERED])
def test_any_permutation_will_do(net: Net, name: str) -> None:
    x = net.external(4, 2, 5, 3)
    y = CASES[name](net, net.transpose(x, axes=[1, 3, 0, 2]))
    graph = net.done(net.transpose(y, axes=[2, 0, 3, 1]))
    assert left(graph) == 0


@pytest.mark.parametrize("name", NUMBERED)
def test_numbered_positions_keep_their_order(net: Net, name: str) -> None:
    x = net.external(4, 2, 5, 3)
    y = CASES[name](net, net.transpose(x, axes=[1, 3, 0, 2]))
    assert left(net.done(net.transpose(y, axes=[2, 0, 3, 1]))) == NUMBERED[name]


def left(graph: Graph) -> int:
    """The transposes that are left; the numbers must be the same."""
    interface = [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)]
    before = evaluate(graph)
    result = run_layout(graph)
    verify(graph)
    assert [(t.name, t.shape) for t in (*graph.inputs, *graph.outputs)] == interface
    for old, new in zip(before, evaluate(graph), strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4)
    assert remove_transposes(graph) == 0
    count = sum(op.type == "transpose" for op in graph.operations)
    assert count == len(remaining_transposes(graph))
    assert result.difference.get("transpose", 0) <= 0
    return count


def test_every_rule_is_of_a_known_operation() -> None:
    assert RULES.keys() <= operations().keys()


def test_operands_of_lower_rank(net: Net) -> None:
    x, y, z = net.external(2, 3, 4), net.external(2, 3), net.external(2)
    swapped = net.transpose(x, axes=[1, 0, 2])
    a = net.transpose(net.add(net.mul(swapped, net.transpose(y, axes=[1, 0])), 1.0), axes=[1, 0, 2])
    b = net.transpose(net.add(net.transpose(x, axes=[0, 2, 1]), z), axes=[0, 2, 1])
    assert left(net.done(a, b)) == 0


def test_an_operand_of_lower_rank_that_cannot_follow(net: Net) -> None:
    x, y = net.external(2, 3, 4), net.external(2, 4)
    graph = net.done(net.transpose(net.add(net.transpose(x, axes=[0, 2, 1]), y), axes=[0, 2, 1]))
    assert left(graph) == 2


def test_only_axes_of_extent_1_change(net: Net) -> None:
    x = net.external(2, 1, 1, 5)
    graph = net.done(net.conv(net.transpose(x, axes=FIRST), net.variable((3, 5, 1, 1))))
    assert left(graph) == 0
    assert types(graph) == ["reshape", "conv"]
    assert graph.operations[-2].attribs["shape"] == [0, 5, 1, 1]


def test_a_batch_of_one_is_not_a_mere_reshape(net: Net) -> None:
    x = net.external(1, 3, 5)
    graph = net.done(net.conv(net.transpose(x, axes=[1, 2, 0]), net.variable((3, 5, 1))))
    assert left(graph) == 1


def test_gather_puts_a_block_in(net: Net) -> None:
    x, index = net.external(2, 3, 4), net.external(2, 2, dtype=np.int64)
    y = net.gather(net.transpose(x, axes=[2, 0, 1]), index, axis=2)
    graph = net.done(net.transpose(y, axes=[1, 2, 3, 0]))
    assert left(graph) == 0
    assert graph.operations[-1].attribs["axis"] == 1


def test_gather_removes_an_axis(net: Net) -> None:
    x = net.external(2, 3, 4)
    y = net.gather(net.transpose(x, axes=[2, 0, 1]), net.literal(1, np.int64), axis=2)
    assert left(net.done(net.transpose(y, axes=[1, 0]))) == 0


def test_a_block_that_is_torn_apart_stays(net: Net) -> None:
    x = net.external(2, 3, 4)
    y = net.gather(x, net.variable(np.array([[0, 1], [2, 1]])), axis=1)
    assert left(net.done(net.conv(net.transpose(y, axes=[0, 3, 2, 1]), net.variable((2, 4, 1, 1))))) == 1


# --- products


@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_matmul_takes_transposes_in(net: Net, a: bool, b: bool) -> None:
    x = net.external(*((2, 4, 3) if a else (2, 3, 4)))
    y = net.external(*((2, 5, 4) if b else (2, 4, 5)))
    left, right = (net.transpose(t, axes=[0, 2, 1]) for t in (x, y))
    graph = net.done(net.matmul(left, right, transposeA=not a, transposeB=not b))
    check(graph, remove_transposes, ["matmul"])
    assert [graph.operations[-1].attribs[key] for key in ("transposeA", "transposeB")] == [a, b]


def test_the_transpose_of_a_product(net: Net) -> None:
    x, y = net.external(2, 3, 4), net.external(2, 5, 4)
    graph = net.done(net.transpose(net.matmul(x, y, transposeB=True), axes=[0, 2, 1]))
    check(graph, remove_transposes, ["matmul"])
    assert list(graph.operations[-1].inputs) == [y, x]


def test_leading_axes_of_a_product(net: Net) -> None:
    x = net.external(3, 2, 4, 5)
    y = net.matmul(net.transpose(x, axes=[1, 0, 3, 2]), net.variable((1, 3, 4, 6)))
    graph = net.done(net.transpose(y, axes=[1, 0, 3, 2]))
    check(graph, remove_transposes, ["matmul"])


def test_rows_and_leading_axes_do_not_mix(net: Net) -> None:
    x = net.external(2, 3, 4)
    graph = net.done(net.matmul(net.transpose(x, axes=[1, 0, 2]), net.variable((1, 4, 5))))
    assert left(graph) == 1


# --- reshapes


def test_what_is_merged_stays_together(net: Net) -> None:
    x = net.external(2, 5, 3, 4)
    y = net.reshape(net.transpose(x, axes=LAST), shape=[0, -1, 5])
    graph = net.done(net.matmul(y, net.variable((1, 5, 3))))
    check(graph, remove_transposes, ["reshape", "matmul"])
    assert [op.attribs["shape"] for op in graph.operations if op.type == "reshape"] == [[0, 5, -1]]


def test_what_is_merged_in_another_order_stays(net: Net) -> None:
    x = net.external(2, 5, 3, 4)
    graph = net.done(net.relu(net.reshape(net.transpose(x, axes=LAST), shape=[2, -1])))
    assert left(graph) == 1


def test_part_of_a_shape(net: Net) -> None:
    x = net.external(6, 2, 5)
    y = net.reshape(net.transpose(x, axes=[1, 0, 2]), shape=[2, 3], axis_start=1, axis_count=1)
    graph = net.done(net.transpose(y, axes=[1, 2, 0, 3]))
    check(graph, remove_transposes, ["reshape"])
    assert graph.operations[-1].attribs["shape"] == [2, 3, 2, 5]


def test_vectors_need_no_transpose(net: Net) -> None:
    x = net.external(2, 5, 3, 4)
    y = net.mean_reduce(net.transpose(x, axes=LAST), axes=[1, 2])
    z = net.reshape(net.reshape(y, shape=[0, 5]), shape=[0, 1, 1, 5])
    graph = net.done(net.conv(net.transpose(z, axes=FIRST), net.variable((3, 5, 1, 1))))
    check(graph, remove_transposes, ["mean_reduce", "reshape", "reshape", "conv"])


def flatten_and_multiply(net: Net, type: str = "matmul", **attribs: bool) -> tuple[Tensor, ...]:
    x = net.external(2, 5, 3, 4)
    flat = net.reshape(net.transpose(x, axes=LAST), shape=[0, -1])
    shape = (7, 60) if type == "linear" or attribs.get("transposeB") else (60, 7)
    return x, net.op(type, flat, net.variable(shape), **attribs)


@pytest.mark.parametrize("attribs", [{}, {"transposeB": True}, {"type": "linear"}])
def test_rows_of_weights_follow_a_flatten(net: Net, attribs: dict[str, Any]) -> None:
    _, y = flatten_and_multiply(net, **attribs)
    check(net.done(y), remove_transposes, ["reshape", attribs.get("type", "matmul")])


def test_weights_that_something_else_uses_stay(net: Net) -> None:
    _, y = flatten_and_multiply(net)
    graph = net.done(y, net.relu(y.producer.inputs[1]))
    assert left(graph) == 1


def test_a_flattened_tensor_that_something_else_uses_stays(net: Net) -> None:
    _, y = flatten_and_multiply(net)
    graph = net.done(y, net.relu(y.producer.inputs[0]))
    assert left(graph) == 1


# --- constants


def test_transposes_of_constants_are_views(net: Net) -> None:
    x = net.external(2, 3, 4, 5)
    weights, shared = net.variable((1, 1, 5, 6)), net.variable((2, 4, 5, 3))
    y = net.conv(net.transpose(x, axes=FIRST), net.transpose(weights, axes=[3, 2, 0, 1]))
    z = net.add(net.transpose(shared, axes=FIRST), net.sum_reduce(shared, axes=[0, 1, 2, 3]))
    graph = net.done(y, z)
    data, label = weights.data, weights.producer.attribs["label"]
    check(graph, remove_transposes, ["transpose", "conv", "sum_reduce", "add"])
    [filters] = [op for op in graph.operations if op.type == "variable" and op.attribs["label"] == label]
    assert filters.output is weights and np.shares_memory(weights.data, data)
    assert shared.data.shape == (2, 4, 5, 3)


def test_a_constant_output(net: Net) -> None:
    weights = net.variable((2, 3))
    graph = net.done(net.relu(net.external(1, 2)), net.transpose(weights, axes=[1, 0], name="y"))
    check(graph, remove_transposes, ["relu"])


def test_a_constant_in_two_layouts(net: Net) -> None:
    x, c = net.external(2, 3, 4), net.variable((1, 3, 4))
    y = net.transpose(net.mul(net.transpose(x, axes=[0, 2, 1]), net.transpose(c, axes=[0, 2, 1])), axes=[0, 2, 1])
    assert left(net.done(y, net.mul(x, c))) == 0


def test_the_same_constant_for_many_changes_in_place(net: Net) -> None:
    x, c = net.external(2, 3, 4, 5), net.variable((1, 1, 1, 6))
    y = net.transpose(net.conv(net.transpose(x, axes=FIRST), net.variable((6, 5, 1, 1))), axes=LAST)
    graph = net.done(net.transpose(net.mul(net.add(y, c), c), axes=FIRST))
    check(graph, remove_transposes, ["transpose", "conv", "add", "mul"])
    assert c.shape == (1, 6) and len(graph.tensors) == 8


def test_variables_that_are_updated_stay(net: Net) -> None:
    x, state = net.external(2, 3), net.variable((3, 2))
    y = net.add(net.transpose(state, axes=[1, 0]), x)
    net.op("update", state, net.relu(state))
    graph = net.done(y)
    remove_transposes(graph)
    assert "transpose" in types(graph) and state.shape == (3, 2)


def test_constants_with_one_label(net: Net) -> None:
    x = net.external(2, 4, 3)
    one, two = net.variable((1, 1, 4), "w"), net.variable((1, 1, 4), "w")
    two.data = one.data
    y = net.transpose(net.mul(net.transpose(x, axes=[0, 2, 1]), one), axes=[0, 2, 1])
    graph = net.done(y, net.neg(two))
    remove_transposes(graph)
    verify(graph)
    assert one.producer.attribs["label"] != two.producer.attribs["label"] == "w"
    assert (one.shape, two.shape) == ((1, 4), (1, 1, 4))


# --- quantization


def test_uniform_quantization_moves_along(net: Net) -> None:
    quant = {"op-name": "zero_point_linear_quantize", "scale": 0.5, "zero_point": 0, "bits": 8}
    x, c = net.external(2, 4, 3), net.variable((1, 1, 4))
    a = net.transpose(net.relu(x), axes=[0, 2, 1])
    y = net.transpose(net.mul(a, c), axes=[0, 2, 1])
    for tensor in (a, c, y):
        tensor.quant = dict(quant)
    graph = net.done(net.neg(y))
    remove_transposes(graph)
    verify(graph)
    assert types(graph) == ["relu", "mul", "neg"]
    assert [t.quant for op in graph.operations for t in op.outputs] == [{}, quant, quant, quant, {}]
    assert c.shape == (1, 4)


@pytest.mark.parametrize("shared", [False, True])
def test_codes_of_quantized_variables_stay_scalars(net: Net, shared: bool) -> None:
    x, c = net.external(2, 4, 3), net.variable(np.arange(4, dtype=np.uint16).reshape(1, 1, 4))
    c.producer.attribs["dtype"] = np.float32
    c.quant = {"op-name": "zero_point_linear_quantize", "scale": 0.5, "zero_point": 0, "bits": 16, "signed": False}
    y = net.transpose(net.mul(net.transpose(x, axes=[0, 2, 1]), c), axes=[0, 2, 1])
    graph = net.done(y, *([net.sqr(c)] if shared else []))
    remove_transposes(graph)
    assert "transpose" not in types(graph)
    variables = [op for op in graph.operations if op.type == "variable"]
    assert len(variables) == 1 + shared
    assert all(op.attribs["dtype"] is np.float32 and op.output.quant == c.quant for op in variables)


def test_quantization_along_an_axis_stays(net: Net) -> None:
    x, c = net.external(2, 4, 3), net.variable((1, 1, 4))
    c.quant = {"op-name": "linear_quantize", "min": np.zeros((1, 1, 4)), "max": np.ones((1, 1, 4)), "bits": 8}
    graph = net.done(net.transpose(net.mul(net.transpose(x, axes=[0, 2, 1]), c), axes=[0, 2, 1]))
    assert remove_transposes(graph) == 0


def test_a_transposed_result_that_alone_is_rounded_stays(net: Net) -> None:
    x = net.relu(net.external(2, 4, 3))
    a = net.transpose(x, axes=[0, 2, 1])
    a.quant = {"op-name": "linear_quantize", "min": 0.0, "max": 1.0, "bits": 2}
    graph = net.done(net.transpose(a, axes=[0, 2, 1]), x)
    assert remove_transposes(graph) == 0


# --- what is not known


def test_custom_operations_are_left_alone(net: Net) -> None:
    x = net.external(2, 4, 3)
    y = net.tensor((2, 3, 4), np.float32)
    Operation(net.graph, type="mine", custom=True, inputs=net.transpose(x, axes=[0, 2, 1]), outputs=y)
    graph = net.done(net.transpose(y, axes=[0, 2, 1]))
    assert remove_transposes(graph) == 0


def test_unknown_shapes_are_left_alone(net: Net) -> None:
    x = net.external(2, 4, 3)
    y, z = Tensor(net.graph, "y", None, np.float32), Tensor(net.graph, "z", None, np.float32)
    Operation(net.graph, type="mine", custom=True, inputs=net.transpose(x, axes=[0, 2, 1]), outputs=y)
    Operation(net.graph, type="transpose", attribs={"axes": [1, 0]}, inputs=y, outputs=z)
    graph = net.done(net.relu(x), z)
    assert remove_transposes(graph) == 0


def test_the_tensor_that_the_source_model_has_survives(net: Net) -> None:
    x = net.external(2, 3, 3, 5)
    helper = net.conv(net.transpose(x, axes=FIRST), net.variable((4, 5, 1, 1)), name="conv1")
    named = net.transpose(helper, axes=LAST, name="transpose2")
    graph = net.done(net.transpose(net.relu(named), axes=FIRST))
    graph.metadata["tensors"] = {"transpose2": {"source": "block/conv"}}
    remove_transposes(graph)
    verify(graph)
    assert named.producer.type == "conv" and named.name == "conv1" and named.shape == (2, 4, 3, 3)
    assert graph.metadata["tensors"] == {"conv1": {"source": "block/conv"}}


def test_it_is_part_of_the_optimizer(net: Net) -> None:
    x = net.external(2, 3, 3, 5)
    y = net.transpose(net.conv(net.transpose(x, axes=FIRST), net.variable((4, 5, 1, 1))), axes=LAST)
    graph = net.done(net.transpose(net.add(y, net.variable((1, 1, 1, 4))), axes=FIRST))
    before = evaluate(graph)
    Optimizer(debug=True)(graph)
    assert types(graph) == ["transpose", "conv"]
    np.testing.assert_allclose(evaluate(graph)[0], before[0], rtol=1e-4, atol=1e-4)
