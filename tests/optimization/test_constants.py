"""Equal constants are shared, operations on constants are evaluated, unused operations go."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.model import Graph, Operation
from nnef_tools.optimization.nnef.constants import fold_constants, share_constants
from nnef_tools.optimization.nnef.unused import remove_unused

from ..support.arrays import Array
from .net import Net, check, types


def labels(graph: Graph) -> list[str]:
    return [op.attribs["label"] for op in graph.operations if op.type == "variable"]


# sharing


def test_equal_variables_are_shared(net: Net) -> None:
    data = net.random.normal(size=(1, 300)).astype(np.float32)
    x = net.external(2, 300)
    other = data.copy()
    other[0, 250] += 1  # not among the items that are compared first
    a, b, c = net.variable(data, "a"), net.variable(data.copy(), "b"), net.variable(other, "c")
    graph = net.done(net.add(net.mul(x, a), b), net.mul(x, c), net.concat([b, a], axis=0))
    check(graph, share_constants, ["mul", "add", "mul", "concat"])
    assert labels(graph) == ["a", "c"]


def test_of_equal_variables_one_with_a_name_stays(net: Net) -> None:
    data = net.random.normal(size=(1, 3)).astype(np.float32)
    made, named = net.variable(data, "made"), net.variable(data.copy(), "named")
    made.name = None  # as of variables that other passes have made
    graph = net.done(net.add(net.external(2, 3), made), net.mul(net.external(2, 3), named))
    assert share_constants(graph) == 1
    assert labels(graph) == ["named"] and graph.is_sorted()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float64)),
        (np.zeros((2, 3), np.float32), -np.zeros((2, 3), np.float32)),
        (np.array([1.0], np.float32), np.array([1.0000001], np.float32)),
    ],
)
def test_different_variables_are_not_shared(net: Net, first: Array, second: Array) -> None:
    graph = net.done(net.exp(net.variable(first)), net.exp(net.variable(second)), net.neg(net.external(1)))
    assert share_constants(graph) == 0


def test_constants_with_nan_are_shared(net: Net) -> None:
    data = np.array([np.nan, 1], np.float32)
    graph = net.done(net.exp(net.variable(data)), net.exp(net.variable(data.copy())), net.neg(net.external(1)))
    assert share_constants(graph) == 1


def test_constant_operations_are_shared(net: Net) -> None:
    graph = net.done(net.exp(net.constant([1.0], 3)), net.neg(net.constant([1, 1, 1], 3)), net.external(1))
    assert share_constants(graph) == 1
    assert len([op for op in graph.operations if op.type == "constant"]) == 1


def test_outputs_updated_and_quantized_constants_are_not_shared(net: Net) -> None:
    data, x = np.ones(3, np.float32), net.external(3)
    a, output, updated, quantized = (net.variable(data.copy(), label) for label in "abcd")
    quantized.quant = {"op-name": "zero_point_linear_quantize"}
    graph = net.done(net.add(a, x), output, net.update(updated, x), net.add(quantized, x))
    assert share_constants(graph) == 0


# folding


def test_operations_on_constants_are_evaluated(net: Net) -> None:
    stored = net.variable((2, 6), label="w")
    weights = net.transpose(net.reshape(net.mul(stored, net.constant([2.0], 1, 1)), shape=[4, 3]), axes=[1, 0])
    graph = net.done(net.linear(net.external(5, 4), weights))
    check(graph, fold_constants, ["linear"])
    remove_unused(graph)
    assert [op.type for op in graph.operations] == ["variable", "external", "linear"]
    assert graph.operations[0].output is stored and labels(graph) == ["w"]


def test_values_have_a_name_of_their_own_where_the_constant_is_used_or_more_than_the_value(net: Net) -> None:
    stored, whole = net.variable((2, 6), label="w"), net.variable((2, 6), label="whole")
    turned, part = net.transpose(stored, axes=[1, 0]), net.sum_reduce(whole, axes=[0])
    graph = net.done(net.matmul(net.mul(net.external(2, 6), stored), turned), net.mul(net.external(2, 6), part))
    check(graph, fold_constants, ["mul", "matmul", "mul"])
    remove_unused(graph)
    assert sorted(labels(graph)) == sorted(["w", turned.name, part.name])


def test_arrays_of_constants(net: Net) -> None:
    joined = net.concat([net.variable((2, 3)), net.constant([1.0], 1, 3)], axis=0)
    check(net.done(net.linear(net.external(5, 3), joined)), fold_constants, ["linear"])


def test_scalars_become_literals(net: Net) -> None:
    factor = net.mul(net.add(2.0, 3.0), 0.5)
    graph = net.done(net.mul(net.external(2, 3), factor))
    check(graph, fold_constants, ["mul"])
    literal = graph.operations[-1].inputs[1]
    assert (literal.name, literal.shape, literal.producer, literal.data) == (None, (), None, 2.5)
    assert labels(graph) == []


def test_values_without_literal_and_outputs_become_variables(net: Net) -> None:
    infinite = net.exp(net.literal(1000.0))
    graph = net.done(net.min(net.external(2, 3), infinite), net.neg(net.literal(1.0)))
    check(graph, fold_constants, ["min"])
    assert len(labels(graph)) == 2


def test_integers_and_casts(net: Net) -> None:
    indices = net.cast(net.variable(np.array([0.0, 2.0], np.float32)), dtype=np.int64)
    indices.dtype = np.int64
    graph = net.done(net.gather(net.external(3, 2), indices, axis=0))
    check(graph, fold_constants, ["gather"])
    (folded,) = (op for op in graph.operations if op.type == "variable")
    assert folded.attribs["dtype"] is np.int64 and folded.output.dtype is np.int64


def test_labels_stay_unique(net: Net) -> None:
    stored = net.variable((2,), label="Taken")
    value = net.neg(stored)
    value.name = "taken"
    check(net.done(net.add(net.add(net.external(2), value), stored)), fold_constants, ["add", "add"])
    assert labels(net.graph) == ["Taken", "taken_1"]


def test_what_is_not_folded(net: Net) -> None:
    x, v = net.external(3), net.variable((3,))
    updated = net.variable((3,))
    huge = net.tile(net.variable((1,)), repeats=[1 << 21])
    foo = net.tensor((3,), np.float32)
    results = [
        net.neg(x),
        net.neg(net.update(updated, x)),
        net.neg(updated),
        net.sum_reduce(huge, axes=[0]),
        net.copy(v),
        *net.split(v, axis=0, ratios=[1, 2]),
    ]
    graph = net.done(*results)
    check(graph, fold_constants, types(graph))
    Operation(graph, type="foo", inputs=v, outputs=foo, custom=True)
    assert fold_constants(graph) == 0


def test_quantized_constants_and_results_are_not_folded(net: Net) -> None:
    a, b = net.neg(net.variable((3,))), net.neg(net.variable((3,)))
    a.producer.input.quant = b.quant = {"op-name": "zero_point_linear_quantize"}
    graph = net.done(a, b, net.neg(net.external(1)))
    assert fold_constants(graph) == 0


def test_an_operation_that_cannot_be_evaluated_stays(net: Net) -> None:
    indices = net.variable(np.array([7]))
    result = net.gather(net.variable((3,)), indices, axis=0)
    graph = net.done(result, net.neg(net.external(1)))
    assert fold_constants(graph) == 0


# unused


def test_unused_operations_go_and_inputs_and_updates_stay(net: Net) -> None:
    x, unused = net.external(3), net.external(3)
    state = net.variable((3,))
    net.update(state, net.exp(x))
    net.sin(unused)
    graph = net.done(net.neg(x))
    assert remove_unused(graph) == 1
    assert [op.type for op in graph.operations] == ["external", "external", "variable", "exp", "update", "neg"]


@pytest.mark.parametrize(
    ("dtype", "count"), [(ml_dtypes.uint4, 2000), (np.int8, 2000), (np.int8, 20), (np.int32, 2000)]
)
def test_codes_stay_codes(net: Net, dtype: type, count: int) -> None:
    """Real numbers in their place would take several times the space."""
    codes = net.variable((np.arange(count) % 8).astype(dtype))
    graph = net.done(net.add(net.external(count), net.mul(net.cast(codes, dtype=np.float32), 0.5)))
    kept = count == 2000 and dtype is not np.int32
    assert fold_constants(graph) == (0 if kept else 2)
