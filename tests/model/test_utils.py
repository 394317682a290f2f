"""Graph edits: names, rewiring, reachability, dynamic shapes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.utils import (
    bypass_and_remove,
    generate_missing_tensor_names_from_op_type,
    generate_op_names_from_op_type,
    generate_tensor_names_from_op_type,
    keep_static,
    place_operations,
    remove_dynamic,
    remove_unreachable,
    replace_tensor_in_consumers,
    replace_tensor_in_graph_inputs,
    replace_tensor_in_graph_outputs,
    replace_tensor_in_producers,
)
from nnef_tools.model.verify import verify

from ..support.graphs import all_types, names


def op(graph, type, inputs, *names, shape=(2,)):
    outputs = tuple(Tensor(graph, name, shape, np.float32) for name in names)
    return Operation(graph, type=type, inputs=inputs, outputs=outputs)


@pytest.fixture
def graph():
    """x -> relu a -> relu b -> (add with the constant w) y"""
    graph = Graph("net")
    x = op(graph, "external", (), "x").output
    w = Tensor(graph, "w", (2,), np.float32, np.ones(2, np.float32))
    a = op(graph, "relu", x, "a").output
    b = op(graph, "relu", a, "b").output
    y = op(graph, "add", (b, w), "y").output
    graph.inputs, graph.outputs = [x], [y]
    verify(graph)
    return graph


# names


def test_all_results_are_named_after_their_operation(graph):
    generate_tensor_names_from_op_type(graph)
    assert names(graph.tensors) == ["external1", None, "relu1", "relu2", "add1"]


def test_kept_names_are_skipped(graph):
    graph.outputs[0].name = "relu2"
    generate_tensor_names_from_op_type(graph, keep_io_names=True)
    assert names(graph.tensors) == ["x", None, "relu1", "relu3", "relu2"]


def test_every_result_of_an_operation_has_its_own_number():
    graph = Graph()
    op(graph, "split", Tensor(graph, "x"), "a", "b")
    op(graph, "split", Tensor(graph, "y"), "c")
    generate_tensor_names_from_op_type(graph)
    assert names(graph.tensors) == [None, "split1", "split2", None, "split3"]


def test_types_that_end_in_digits_do_not_collide():
    graph = Graph()
    for _ in range(11):
        op(graph, "conv", (), "a")
    for _ in range(2):
        op(graph, "conv1", (), "b")
    generate_tensor_names_from_op_type(graph)
    assert len(set(names(graph.tensors))) == 13


def test_missing_names_continue_after_the_largest_number():
    graph = Graph()
    op(graph, "relu", (), "relu7")
    op(graph, "relu", (), None)
    op(graph, "relu", (), "mine")
    op(graph, "relu", (), None)
    op(graph, "neg", (), None)
    op(graph, "neg", (), "neg" + "9" * 5000)
    Tensor(graph)
    generate_missing_tensor_names_from_op_type(graph)
    assert names(graph.tensors)[:5] == ["relu7", "relu8", "mine", "relu9", "neg1"]
    assert graph.tensors[6].name is None


def test_missing_names_leave_omitted_arguments_alone():
    graph = Graph()
    op(graph, "Dropout", (), "y", "")
    generate_missing_tensor_names_from_op_type(graph)
    assert names(graph.tensors) == ["y", ""]


def test_operation_names(graph):
    generate_op_names_from_op_type(graph)
    assert [operation.name for operation in graph.operations] == ["external1", "relu1", "relu2", "add1"]


# rewiring


def test_replacing_in_consumers_keeps_the_kind_of_arguments_and_rewires_graph_outputs():
    graph = Graph()
    x, y, z = Tensor(graph, "x"), Tensor(graph, "y"), Tensor(graph, "z")
    separate = Operation(graph, type="add", inputs=(x, y, x), outputs=Tensor(graph))
    array = Operation(graph, type="concat", inputs=[x, y], outputs=Tensor(graph))
    graph.inputs, graph.outputs = [x], [x, y]
    replace_tensor_in_consumers(graph, x, z)
    assert separate.inputs == (z, y, z) and array.inputs == [z, y] and not isinstance(array.inputs, tuple)
    assert graph.outputs == [z, y] and graph.inputs == [x] and not x.has_consumer
    graph.assert_consistent()


def test_replacing_in_producers_keeps_the_kind_of_results_and_rewires_graph_inputs():
    graph = Graph()
    x, y, z = Tensor(graph, "x"), Tensor(graph, "y"), Tensor(graph, "z")
    array = Operation(graph, type="split", outputs=[x, y])
    graph.inputs, graph.outputs = [x], [x]
    replace_tensor_in_producers(graph, x, z)
    assert array.outputs == [z, y] and not isinstance(array.outputs, tuple)
    assert graph.inputs == [z] and graph.outputs == [x] and z.producer is array and not x.has_producer


def test_replacing_graph_inputs_and_outputs():
    graph = Graph()
    x, y = Tensor(graph, "x"), Tensor(graph, "y")
    graph.inputs, graph.outputs = [x, x], [x]
    replace_tensor_in_graph_inputs(graph, x, y)
    assert graph.inputs == [y, y] and graph.outputs == [x]
    replace_tensor_in_graph_outputs(graph, x, y)
    assert graph.outputs == [y]


def test_bypass_keeps_the_input(graph):
    x, a = graph.inputs[0], graph.tensors[2]
    bypass_and_remove(graph, a.producer)
    assert a.graph is None and all_types(graph) == ["external", "relu", "add"] and graph.operations[1].input is x
    verify(graph)


def test_bypass_can_keep_the_output(graph):
    b, y = graph.tensors[3], graph.outputs[0]
    end = op(graph, "copy", y, "end").output
    graph.outputs = [end]
    other = op(graph, "neg", y, "other").output
    bypass_and_remove(graph, end.producer, remove_input_not_output=True)
    assert y.graph is None and end.producer.type == "add" and other.producer.input is end and graph.outputs == [end]
    assert b.graph is graph
    verify(graph)


def test_bypass_that_keeps_the_output_keeps_the_value_of_a_constant(graph):
    w = graph.tensors[1]
    end = op(graph, "copy", w, "end").output
    graph.outputs = [end]
    bypass_and_remove(graph, end.producer, remove_input_not_output=True)
    assert end.data is not None and w.graph is None
    verify(graph)


# order


def test_late_operations_are_placed_before_their_first_consumer(graph):
    add, w = graph.outputs[0].producer, graph.tensors[1]
    first = op(graph, "variable", (), "v").output
    second = op(graph, "neg", first, "u").output
    add.inputs = (add.inputs[0], second)
    graph.remove_tensor(w)
    assert place_operations(graph)
    assert all_types(graph) == ["external", "relu", "relu", "variable", "neg", "add"]
    verify(graph)


def test_placing_refuses_a_cycle(graph):
    a, b = graph.tensors[2], graph.tensors[3]
    a.producer.inputs = (b,)
    order = list(graph.operations)
    assert place_operations(graph) is False
    assert list(graph.operations) == order


# reachability


def test_unused_operations_and_tensors_go(graph):
    op(graph, "neg", graph.tensors[2], "unused")
    op(graph, "variable", (), "v")
    Tensor(graph, "orphan")
    assert remove_unreachable(graph)
    assert all_types(graph) == ["external", "relu", "relu", "add"]
    assert names(graph.tensors) == ["x", "w", "a", "b", "y"]
    assert not remove_unreachable(graph)
    verify(graph)


def test_what_computes_a_graph_input_is_cut_off(graph):
    graph.inputs = [graph.tensors[3]]
    remove_unreachable(graph)
    assert all_types(graph) == ["add"] and not graph.inputs[0].has_producer
    verify(graph)


def test_an_operation_that_is_needed_for_another_result_loses_the_input_it_computed():
    graph = Graph()
    x = op(graph, "external", (), "x").output
    split = Operation(graph, type="split", inputs=x, outputs=[Tensor(graph, "a"), Tensor(graph, "b")])
    a, b = split.outputs
    y = op(graph, "add", (a, b), "y").output
    graph.inputs, graph.outputs = [x, a], [y]
    remove_unreachable(graph)
    assert all_types(graph) == ["external", "split", "add"]
    assert not a.has_producer and len(split.outputs) == 2 and split.outputs[1] is b
    verify(graph)


def test_unused_graph_inputs_and_their_source_stay(graph):
    unused = op(graph, "external", (), "unused").output
    graph.inputs = [*graph.inputs, unused]
    assert not remove_unreachable(graph)
    assert unused.producer is not None


def test_named_operations_stay_with_what_they_need(graph):
    source = op(graph, "variable", (), "v").output
    update = op(graph, "update", (source, graph.tensors[2]), "u")
    assert not remove_unreachable(graph, keep=[update])
    assert remove_unreachable(graph)
    assert "update" not in all_types(graph)


def with_if(graph):
    """Adds an If whose body captures the result of a new operation; returns it and that tensor."""
    captured = op(graph, "Sigmoid", graph.inputs[0], "captured").output
    body = Graph("then")
    body.outputs = [op(body, "Neg", captured, "inner").output]
    condition = Tensor(graph, "condition", (), np.bool_, np.array(True))
    result = Tensor(graph, "z", (2,), np.float32)
    branch = Operation(graph, type="If", inputs=condition, outputs=result, attribs={"then_branch": body})
    verify(graph)
    return branch, captured


def test_captured_tensors_keep_their_producers(graph):
    branch, captured = with_if(graph)
    graph.outputs = [*graph.outputs, branch.output]
    assert not remove_unreachable(graph)
    assert captured.producer is not None and captured.graph is graph
    verify(graph)


def test_an_unreachable_operation_releases_what_its_graphs_capture(graph):
    _branch, captured = with_if(graph)
    assert remove_unreachable(graph)
    assert all_types(graph) == ["external", "relu", "relu", "add"] and captured.graph is None
    verify(graph)


def test_a_nested_graph_that_another_operation_shares_is_left_whole(graph):
    branch, captured = with_if(graph)
    result = Tensor(graph, "z2", (2,), np.float32)
    graph.outputs = [branch.copy_with(outputs=result).output]
    remove_unreachable(graph)
    assert all_types(graph) == ["external", "Sigmoid", "If"] and captured.has_consumer
    verify(graph)


# dynamic shapes


def test_dynamic_operations_are_cut_off(graph):
    b, y = graph.tensors[3], graph.outputs[0]
    y.shape = (None,)
    tail = op(graph, "neg", y, "tail").output
    aside = op(graph, "neg", b, "aside").output
    graph.outputs = [tail, aside]
    assert remove_dynamic(graph)
    assert all_types(graph) == ["external", "relu", "relu", "neg"]
    assert names(graph.outputs) == ["aside"]
    verify(graph)


def test_tensors_whose_consumers_went_become_outputs(graph):
    graph.outputs[0].shape = None
    assert remove_dynamic(graph)
    assert names(graph.outputs) == ["b"]
    assert names(graph.tensors) == ["x", "a", "b"]
    verify(graph)


def test_an_input_whose_consumers_went_becomes_an_output(graph):
    other = op(graph, "external", (), "other").output
    graph.inputs = [*graph.inputs, other]
    graph.outputs = [op(graph, "nonzero", other, "n", shape=(None,)).output, *graph.outputs]
    assert remove_dynamic(graph)
    assert names(graph.outputs) == ["y", "other"]
    verify(graph)


def test_what_kept_and_removed_operations_read_becomes_an_output_on_request(graph):
    b = graph.tensors[3]
    graph.outputs[0].shape = None
    graph.outputs = [op(graph, "neg", b, "aside").output, *graph.outputs]
    assert keep_static(graph)
    assert names(graph.outputs) == ["aside", "b"]
    verify(graph)


def test_dynamic_inputs_are_refused(graph):
    graph.inputs[0].shape = (None,)
    graph.outputs[0].shape = None
    assert remove_dynamic(graph) is False
    assert len(graph.operations) == 4


def test_nothing_is_removed_from_a_static_graph(graph):
    before = list(graph.operations)
    assert remove_dynamic(graph)
    assert list(graph.operations) == before and names(graph.outputs) == ["y"]


def test_an_unused_result_of_unknown_shape_leaves_its_operation(graph):
    b = graph.tensors[3]
    normalized, mean = op(graph, "normalize", b, "normalized", "mean").outputs
    mean.shape = None
    graph.outputs = [normalized]
    assert remove_dynamic(graph)
    assert all_types(graph) == ["external", "relu", "relu", "normalize"]


# cost


def calls(function, *arguments):
    """Number of Python and builtin function calls."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def long_graph(length):
    """A chain with an unused operation at each link, placed in the reverse order for half of it."""
    graph = Graph()
    tensor = op(graph, "external", (), "x").output
    graph.inputs = [tensor]
    for k in range(length):
        op(graph, "neg", tensor, f"unused{k}")
        tensor = op(graph, "relu", tensor, f"relu_{k}").output
    graph.outputs = [tensor]
    return graph


@pytest.mark.parametrize(
    "function",
    [
        remove_unreachable,
        remove_dynamic,
        generate_tensor_names_from_op_type,
        generate_missing_tensor_names_from_op_type,
        verify,
        lambda graph: (graph.reverse(), place_operations(graph)),
    ],
)
def test_cost_grows_linearly(function):
    assert calls(function, long_graph(400)) < 4.5 * calls(function, long_graph(100))
